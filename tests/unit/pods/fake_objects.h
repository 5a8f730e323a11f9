// ConfigMaps, Secrets, ServiceAccounts, Services, RuntimeClasses and tokens in memory, on a source that behaves as an
// API client does: it tells its watchers of changes, is slow, cannot be reached, or answers from a cache, as the test
// says.
#pragma once

#include <map>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "agent/async/timeline.h"
#include "agent/pods/object_source.h"

namespace daemonsetd::pods {

class FakeObjects final : public ObjectSource {
 public:
  explicit FakeObjects(async::Timeline& timeline) : timeline_(timeline) {}

  // Namespace "default". Each tells the watchers.
  void SetConfigMap(const std::string& name, const std::map<std::string, std::string>& data);
  void RemoveConfigMap(const std::string& name);
  void SetSecret(const std::string& name, const std::map<std::string, std::string>& data,
                 const std::string& type = "Opaque");
  void SetAccount(const std::string& name, const std::vector<std::string>& pull_secrets);
  void SetService(const std::string& name_space, const std::string& name, const std::string& address, int port);
  void SetRuntimeClass(const std::string& name, const std::string& handler, const std::string& memory_overhead = "");
  void RemoveRuntimeClass(const std::string& name);

  // Every question takes this long; kTimeout when that is longer than the asker waits.
  void SetDelay(Nanoseconds delay) { delay_ = delay; }
  // Down: kRetry. With a cache, what was there before is answered as of that moment.
  void SetDown(bool down, bool has_cache = false);
  void SetTokenLifetime(Seconds lifetime) { token_lifetime_ = lifetime; }

  int questions() const { return questions_; }
  std::size_t watches() const { return watches_->size(); }
  const std::vector<TokenRequest>& token_requests() const { return token_requests_; }
  const std::vector<std::string>& asked_classes() const { return asked_classes_; }

  Task<Result<Found<corev1::ConfigMap>>> GetConfigMap(std::string name_space, std::string name,
                                                      Nanoseconds timeout) override;
  Task<Result<Found<corev1::Secret>>> GetSecret(std::string name_space, std::string name, Nanoseconds timeout) override;
  Task<Result<Found<corev1::ServiceAccount>>> GetServiceAccount(std::string name_space, std::string name,
                                                                Nanoseconds timeout) override;
  Task<Result<Found<corev1::Service>>> GetService(std::string name_space, std::string name,
                                                  Nanoseconds timeout) override;
  Task<Result<Found<corev1::ServiceList>>> ListServices(std::string name_space, Nanoseconds timeout) override;
  Task<Result<Found<nodev1::RuntimeClass>>> GetRuntimeClass(std::string name, Nanoseconds timeout) override;
  // "token-1", "token-2", ...
  Task<Result<Token>> RequestToken(TokenRequest request, Nanoseconds timeout) override;
  std::unique_ptr<Subscription> Watch(ObjectKey key, std::function<void()> on_change) override;

 private:
  template <class T>
  using Objects = std::map<std::pair<std::string, std::string>, std::shared_ptr<const T>>;
  using Watches = std::map<int, std::pair<ObjectKey, std::function<void()>>>;
  struct Watching;

  template <class T>
  Task<Result<Found<T>>> Get(const Objects<T>* objects, std::string kind, std::string name_space, std::string name,
                             Nanoseconds timeout);
  Task<Status> Reach(Nanoseconds timeout);
  void Tell(ObjectKey::Kind kind, const std::string& name, const std::string& name_space = "default");

  async::Timeline& timeline_;
  Objects<corev1::ConfigMap> config_maps_;
  Objects<corev1::Secret> secrets_;
  Objects<corev1::ServiceAccount> accounts_;
  Objects<corev1::Service> services_;
  Objects<nodev1::RuntimeClass> runtime_classes_;
  std::shared_ptr<Watches> watches_ = std::make_shared<Watches>();
  int next_watch_ = 0;
  int questions_ = 0;
  std::vector<TokenRequest> token_requests_;
  std::vector<std::string> asked_classes_;
  Seconds token_lifetime_{3600};
  Nanoseconds delay_ = Nanoseconds::zero();
  bool down_ = false;
  std::optional<WallTime> cached_since_;
};

}  // namespace daemonsetd::pods
