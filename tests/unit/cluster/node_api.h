// An API server that has Nodes and Leases, as the registration of a Node needs it: writes that compare the
// resourceVersion, a status of its own, a watch; and faults on demand. The node is always "node-a".
#pragma once

#include <list>
#include <optional>
#include <string>
#include <variant>
#include <vector>

#include "agent/decide/node_lease.h"
#include "tests/support/fake_http_transport.h"

namespace daemonsetd::cluster {

using coordinationv1::Lease;

class NodeApi final : public kube::HttpTransport {
 public:
  enum class Mishap {
    kFails,        // nothing is done, and `answer` is answered
    kDoneAnyway,   // it is done, and `answer` is answered
    kNeverAnswers  // nothing is done; the caller's deadline ends it
  };
  using Answer = std::variant<kube::HttpResponse, Error>;

  NodeApi(async::Executor executor, async::Timeline& timeline);

  // What is stored, and what others write.
  const std::optional<corev1::Node>& node() const { return node_; }
  const std::optional<Lease>& lease() const { return lease_; }
  // A new object gets a new uid; a present one keeps its own.
  void PutNode(corev1::Node node);
  void DeleteNode();
  void PutLease(Lease lease);
  void DeleteLease() { lease_.reset(); }
  // "True", "False", "Unknown"; empty without the condition.
  std::string Ready() const;
  // How often the stored Ready condition was "False".
  int times_not_ready() const { return times_not_ready_; }
  // As an admission webhook that takes this label away from every Node.
  void RefuseLabel(std::string key) { refused_label_ = std::move(key); }

  // The next `times` requests of this text.
  void Inject(std::string call, Mishap mishap, Answer answer = Error(ErrorKind::kRetry, "connection refused"),
              int times = 1);
  void ClearMishaps() { mishaps_.clear(); }
  // Every answer takes this long.
  void set_delay(Nanoseconds delay) { delay_ = delay; }
  // It is done at once, and answered after this long.
  void set_answer_delay(Nanoseconds delay) { answer_delay_ = delay; }
  // The watch stays open and brings nothing.
  void SilenceWatch(bool silent) { watch_.Silence(silent); }

  // What was asked since the last call of it: "WATCH nodes", "POST nodes", "PUT nodes/node-a/status",
  // "PUT leases/node-a".
  std::vector<std::string> TakeCalls();
  int Count(const std::string& call) const;
  struct Call {
    std::string text;
    MonoTime at;
  };
  const std::vector<Call>& calls() const { return calls_; }
  // When Leases were written.
  std::vector<MonoTime> renewals() const { return renewals_; }

  Task<Result<kube::HttpResponse>> Send(kube::HttpRequest request, MonoTime deadline) override;
  Task<Result<kube::HttpStreamStart>> Open(kube::HttpRequest request, MonoTime deadline) override;

 private:
  struct Injected {
    std::string call;
    Mishap mishap;
    Answer answer;
    int times;
  };
  std::optional<Injected> TakeMishap(const std::string& call);
  kube::HttpResponse Serve(const std::string& call, const kube::HttpRequest& request);
  kube::HttpResponse CreateNode(const kube::HttpRequest& request);
  kube::HttpResponse UpdateNode(const kube::HttpRequest& request, bool status);
  kube::HttpResponse WriteLease(const kube::HttpRequest& request);
  void Store(corev1::Node node);

  async::Timeline& timeline_;
  testing::FakeHttpTransport watch_;
  std::optional<corev1::Node> node_;
  std::optional<Lease> lease_;
  int uids_ = 0;
  int lease_version_ = 0;
  int times_not_ready_ = 0;
  std::string refused_label_;
  Nanoseconds delay_ = Nanoseconds::zero();
  Nanoseconds answer_delay_ = Nanoseconds::zero();
  std::list<Injected> mishaps_;
  std::vector<Call> calls_;
  std::size_t taken_ = 0;
  std::vector<MonoTime> renewals_;
};

}  // namespace daemonsetd::cluster
