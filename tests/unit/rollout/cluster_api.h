// An API server that has what a coordinator reads and writes: lists and watches of Nodes, Pods, ControllerRevisions and
// DaemonSets, Leases, and the writes, with the preconditions that the real one checks. It refuses, delays, loses
// answers and holds back watches as the test says.
#pragma once

#include <functional>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <tuple>
#include <vector>

#include "agent/decide/node_lease.h"
#include "agent/kube/typed_resources.h"
#include "tests/support/fake_http_transport.h"

namespace daemonsetd::rollout {

class ClusterApi final : public kube::HttpTransport {
 public:
  ClusterApi(async::Executor executor, async::Timeline& timeline) : ClusterApi(Place{executor, timeline}) {}

  // As a write of somebody. A new object that has no UID gets one.
  template <class T>
  void Put(T object) {
    Store(Of<T>(), std::move(object));
  }
  template <class T>
  void Remove(const kube::NamespacedName& name) {
    Of<T>().objects.erase(name);
    Watched(Of<T>(), name.ns).Remove(name);
  }
  // The object as it is stored; throws when there is none.
  template <class T>
  T At(const kube::NamespacedName& name) {
    return Of<T>().objects.at(name);
  }
  template <class T>
  const std::map<kube::NamespacedName, T>& All() {
    return Of<T>().objects;
  }
  // Watches of T stay open, and bring what happened only when they are let go.
  template <class T>
  void HoldBack(bool hold) {
    Of<T>().watched.Silence(hold);
  }
  template <class T>
  void BreakWatches() {
    Of<T>().watched.BreakStreams();
  }
  // Watches from before have to list anew.
  template <class T>
  void Compact() {
    Of<T>().watched.Compact();
  }
  int open_watches() const;

  // Of requests whose text begins with `call`, until Heal(): "DELETE pods", "GET daemonsets/log".
  // Nothing is done, and this is answered.
  void Refuse(const std::string& call, kube::HttpResponse answer) { faults_[call].answer = std::move(answer); }
  // It is done at once, and the answer comes after so long.
  void Delay(const std::string& call, Nanoseconds delay) { faults_[call].delay = delay; }
  // It is done, and the answer is lost.
  void LoseAnswers(const std::string& call) { faults_[call].loses_answer = true; }
  // Nothing is done, and nothing comes until the caller's deadline.
  void Silence(const std::string& call) { faults_[call].silent = true; }
  // Before anything else is done with the request.
  void OnCall(const std::string& call, std::function<void()> hook) { faults_[call].hook = std::move(hook); }
  void Heal() { faults_.clear(); }

  // "WATCH nodes", "LIST leases", "GET daemonsets/log", "GET daemonsets/log as JSON", "PUT daemonsets/log/status",
  // "DELETE pods/log-a", "POST controllerrevisions". Names without their namespace.
  struct Call {
    std::string text;
    MonoTime at;
    MonoTime deadline;
    std::string body;
  };
  const std::vector<Call>& calls() const { return calls_; }
  // Whose text begins so.
  std::vector<Call> Calls(std::string_view call) const;
  int Count(std::string_view call) const { return static_cast<int>(Calls(call).size()); }
  // Everything but reads.
  std::vector<std::string> Writes() const;
  void ForgetCalls() { calls_.clear(); }
  // Requests without an answer so far; watches are not counted.
  int under_way() const { return under_way_; }

  Task<Result<kube::HttpResponse>> Send(kube::HttpRequest request, MonoTime deadline) override;
  Task<Result<kube::HttpStreamStart>> Open(kube::HttpRequest request, MonoTime deadline) override;

 private:
  struct Place {
    async::Executor executor;
    async::Timeline& timeline;
  };
  template <class T>
  struct Collection {
    explicit Collection(const Place& place) : watched(place.executor, place.timeline, kube::ResourceOf<T>::kValue) {}
    testing::FakeHttpTransport watched;
    std::map<kube::NamespacedName, T> objects;
  };
  struct Target {
    std::string plural;
    kube::NamespacedName name;  // without a name: the collection
    std::string subresource;
  };
  struct Fault {
    std::optional<kube::HttpResponse> answer;
    Nanoseconds delay = Nanoseconds::zero();
    bool loses_answer = false;
    bool silent = false;
    std::function<void()> hook;
  };
  using Lease = coordinationv1::Lease;

  explicit ClusterApi(const Place& place);
  template <class T>
  Collection<T>& Of() {
    return std::get<Collection<T>>(collections_);
  }
  template <class T>
  testing::FakeHttpTransport& Watched(Collection<T>& collection, const std::string& ns);
  template <class T>
  const T& Store(Collection<T>& collection, T object);

  static Target TargetOf(const kube::HttpRequest& request);
  static std::string TextOf(const kube::HttpRequest& request, const Target& target);
  Fault FaultOf(const std::string& call) const;
  testing::FakeHttpTransport& WatchedAt(const Target& target);
  kube::HttpResponse Serve(const kube::HttpRequest& request, const Target& target);
  template <class T>
  kube::HttpResponse ServeOf(const kube::HttpRequest& request, const Target& target);
  template <class T>
  kube::HttpResponse Write(const kube::HttpRequest& request, const Target& target);
  template <class T>
  kube::HttpResponse Delete(const kube::HttpRequest& request, const T& object);
  kube::HttpResponse PatchPod(const kube::HttpRequest& request, corev1::Pod pod);

  async::Timeline& timeline_;
  std::tuple<Collection<corev1::Node>, Collection<corev1::Pod>, Collection<appsv1::ControllerRevision>,
             Collection<appsv1::DaemonSet>, Collection<Lease>>
      collections_;
  testing::FakeHttpTransport other_leases_;  // than those of nodes: a list is of one namespace
  int uids_ = 0;
  std::map<std::string, Fault> faults_;
  std::vector<Call> calls_;
  int under_way_ = 0;
};

// As the API server says it.
kube::HttpResponse Forbidden();
kube::HttpResponse NotFound(const std::string& plural, const std::string& name);

}  // namespace daemonsetd::rollout
