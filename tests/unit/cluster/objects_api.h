// An API server that has the objects that pods name: each can be got and watched, Services can be listed, and service
// accounts give tokens; and it is slow, refuses or cannot be reached as the test says.
#pragma once

#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "agent/kube/typed_resources.h"
#include "tests/support/fake_http_transport.h"

namespace daemonsetd::cluster {

class ObjectsApi final : public kube::HttpTransport {
 public:
  ObjectsApi(async::Executor executor, async::Timeline& timeline) : executor_(executor), timeline_(timeline) {}

  template <class T>
  void Put(const T& object) {
    At(kube::ResourceOf<T>::kValue, kube::NameOf(object.metadata())).Put(object);
  }
  template <class T>
  void Remove(const kube::NamespacedName& name) {
    At(kube::ResourceOf<T>::kValue, name).Remove(name);
  }

  // Requests are answered, and watches tell, only after so long.
  void set_delay(Nanoseconds delay) { delay_ = delay; }
  // Connections break, and new ones are refused.
  void SetDown(bool down);
  // Connections stand still: no answer until the caller's deadline.
  void SetSilent(bool silent);
  // What begins like this ("WATCH configmaps", "GET secrets/a") is answered so, until it is taken back.
  void Refuse(const std::string& call, kube::HttpResponse answer) { refused_[call] = std::move(answer); }
  void AllowAll() { refused_.clear(); }
  void set_granted(Seconds granted) { granted_ = granted; }
  // In place of "token-1", "token-2".
  void set_token(std::string token) { token_ = std::move(token); }

  // Since the last call of it: "GET configmaps/a", "WATCH configmaps/a", "LIST services in default",
  // "POST serviceaccounts/a/token".
  std::vector<std::string> TakeCalls();
  int open_watches() const;
  const std::vector<kube::authenticationv1::TokenRequest>& token_requests() const { return token_requests_; }

  Task<Result<kube::HttpResponse>> Send(kube::HttpRequest request, MonoTime deadline) override;
  Task<Result<kube::HttpStreamStart>> Open(kube::HttpRequest request, MonoTime deadline) override;

 private:
  struct Target {
    const kube::Resource* resource;
    kube::NamespacedName name;  // without a name: the collection
    std::string subresource;
  };
  static Target TargetOf(const kube::HttpRequest& request);
  // One object has a server of its own; but all Services of a namespace share one.
  testing::FakeHttpTransport& At(const kube::Resource& resource, const kube::NamespacedName& name);
  Task<Status> Reach(std::string call, MonoTime deadline);
  std::optional<kube::HttpResponse> RefusalOf(const std::string& call) const;
  Task<kube::HttpResponse> GetOne(Target target);
  kube::HttpResponse MakeToken(const Target& target, const kube::HttpRequest& request);

  async::Executor executor_;
  async::Timeline& timeline_;
  std::map<std::string, std::unique_ptr<testing::FakeHttpTransport>> servers_;
  std::map<std::string, kube::HttpResponse> refused_;
  Nanoseconds delay_ = Nanoseconds::zero();
  bool down_ = false;
  bool silent_ = false;
  Seconds granted_{0};
  std::string token_;
  std::vector<std::string> calls_;
  std::vector<kube::authenticationv1::TokenRequest> token_requests_;
};

// As the API server says it.
kube::HttpResponse NotFoundResponse(const std::string& plural, const std::string& name);
kube::HttpResponse ForbiddenResponse(const std::string& message);

}  // namespace daemonsetd::cluster
