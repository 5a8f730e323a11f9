#include "tests/unit/cluster/node_api.h"

#include <algorithm>
#include <utility>

#include <fmt/format.h>

#include "agent/kube/codec.h"

namespace daemonsetd::cluster {
namespace {

using testing::ObjectResponse;
using testing::StatusResponse;

std::string TextOf(const std::string& method, const kube::HttpRequest& request) {
  std::string path = testing::PathOf(request);
  for (const std::string prefix :
       {"/api/v1/", "/apis/coordination.k8s.io/v1/namespaces/kube-node-lease/", "/apis/coordination.k8s.io/v1/"}) {
    if (path.starts_with(prefix)) path.erase(0, prefix.size());
  }
  return method + " " + path;
}

kube::HttpResponse Absent(std::string_view what) {
  // As for every object that is missing: details name it, which tells it from a missing path.
  metav1::Status status;
  status.set_status("Failure");
  status.set_code(404);
  status.set_reason("NotFound");
  status.set_message(fmt::format("{} \"node-a\" not found", what));
  status.mutable_details()->set_name("node-a");
  status.mutable_details()->set_kind(std::string(what));
  return {.status = 404,
          .content_type = std::string(kube::kProtobufType),
          .body = kube::EncodeObject("v1", "Status", status)};
}

kube::HttpResponse Conflict() { return StatusResponse(409, "Conflict", "the object has been modified"); }

template <class T>
T Decoded(const kube::HttpRequest& request, const kube::Resource& resource) {
  T object;
  // A body that cannot be read is an empty object, which no test expects.
  if (!kube::DecodeObject(request.body, kube::ApiVersion(resource), resource.kind, object)) object.Clear();
  return object;
}

}  // namespace

NodeApi::NodeApi(async::Executor executor, async::Timeline& timeline)
    : timeline_(timeline), watch_(std::move(executor), timeline, kube::kNodes) {}

void NodeApi::Store(corev1::Node node) {
  if (!refused_label_.empty()) node.mutable_metadata()->mutable_labels()->erase(refused_label_);
  node.mutable_metadata()->set_uid(node_ ? node_->metadata().uid() : fmt::format("uid-{}", ++uids_));
  watch_.Put(node);
  node.mutable_metadata()->set_resourceversion(watch_.version());
  node_ = std::move(node);
  if (Ready() == "False") ++times_not_ready_;
}

void NodeApi::PutNode(corev1::Node node) {
  node.mutable_metadata()->set_name("node-a");
  Store(std::move(node));
}

void NodeApi::DeleteNode() {
  node_.reset();
  watch_.Remove({"", "node-a"});
}

void NodeApi::PutLease(Lease lease) {
  lease.mutable_metadata()->set_name("node-a");
  lease.mutable_metadata()->set_namespace_(decide::kNodeLeaseNamespace);
  lease.mutable_metadata()->set_resourceversion(fmt::to_string(++lease_version_));
  lease_ = std::move(lease);
}

std::string NodeApi::Ready() const {
  if (!node_) return {};
  for (const corev1::NodeCondition& condition : node_->status().conditions()) {
    if (condition.type() == "Ready") return condition.status();
  }
  return {};
}

void NodeApi::Inject(std::string call, Mishap mishap, Answer answer, int times) {
  mishaps_.push_back({.call = std::move(call), .mishap = mishap, .answer = std::move(answer), .times = times});
}

std::optional<NodeApi::Injected> NodeApi::TakeMishap(const std::string& call) {
  const auto found =
      std::find_if(mishaps_.begin(), mishaps_.end(), [&](const Injected& each) { return each.call == call; });
  if (found == mishaps_.end()) return std::nullopt;
  Injected taken = *found;
  if (--found->times == 0) mishaps_.erase(found);
  return taken;
}

std::vector<std::string> NodeApi::TakeCalls() {
  std::vector<std::string> texts;
  for (; taken_ < calls_.size(); ++taken_) texts.push_back(calls_[taken_].text);
  return texts;
}

int NodeApi::Count(const std::string& call) const {
  return static_cast<int>(
      std::count_if(calls_.begin(), calls_.end(), [&](const Call& each) { return each.text == call; }));
}

Task<Result<kube::HttpResponse>> NodeApi::Send(kube::HttpRequest request, MonoTime deadline) {
  const std::string call = TextOf(request.method, request);
  calls_.push_back({.text = call, .at = timeline_.mono()});
  const std::optional<Injected> mishap = TakeMishap(call);
  const bool silent = mishap && mishap->mishap == Mishap::kNeverAnswers;
  if (silent || delay_ > Nanoseconds::zero()) {
    const MonoTime answered = silent ? deadline : timeline_.mono() + delay_;
    co_await timeline_.SleepUntil(std::min(answered, deadline));
    if (answered >= deadline) co_return Error(ErrorKind::kTimeout, "no answer in time");
  }
  if (!mishap) {
    kube::HttpResponse response = Serve(call, request);
    if (answer_delay_ > Nanoseconds::zero()) co_await timeline_.SleepFor(answer_delay_);
    co_return response;
  }
  if (mishap->mishap == Mishap::kDoneAnyway) Serve(call, request);
  if (const auto* error = std::get_if<Error>(&mishap->answer)) co_return *error;
  co_return std::get<kube::HttpResponse>(mishap->answer);
}

Task<Result<kube::HttpStreamStart>> NodeApi::Open(kube::HttpRequest request, MonoTime deadline) {
  const std::string call = TextOf("WATCH", request);
  calls_.push_back({.text = call, .at = timeline_.mono()});
  const std::optional<Injected> mishap = TakeMishap(call);
  if (mishap && mishap->mishap == Mishap::kNeverAnswers) {
    co_await timeline_.SleepUntil(deadline);
    co_return Error(ErrorKind::kTimeout, "no answer in time");
  }
  if (mishap) {
    if (const auto* error = std::get_if<Error>(&mishap->answer)) co_return *error;
    kube::HttpStreamStart start;
    start.response = std::get<kube::HttpResponse>(mishap->answer);
    co_return start;
  }
  Result<kube::HttpStreamStart> start = co_await watch_.Open(std::move(request), deadline);
  co_return start;
}

kube::HttpResponse NodeApi::Serve(const std::string& call, const kube::HttpRequest& request) {
  if (call == "POST nodes") return CreateNode(request);
  if (call == "POST leases" || call == "PUT leases/node-a") return WriteLease(request);
  if (call == "GET leases/node-a") return lease_ ? ObjectResponse(kube::kLeases, *lease_) : Absent("leases");
  if (call == "GET nodes/node-a") return node_ ? ObjectResponse(kube::kNodes, *node_) : Absent("nodes");
  if (call == "PUT nodes/node-a") return UpdateNode(request, false);
  if (call == "PUT nodes/node-a/status") return UpdateNode(request, true);
  return StatusResponse(405, "MethodNotAllowed", call + " is not served here");
}

kube::HttpResponse NodeApi::CreateNode(const kube::HttpRequest& request) {
  if (node_) return StatusResponse(409, "AlreadyExists", "nodes \"node-a\" already exists");
  auto node = Decoded<corev1::Node>(request, kube::kNodes);
  // As the admission plugin TaintNodesByCondition does to each new Node.
  corev1::Taint& taint = *node.mutable_spec()->add_taints();
  taint.set_key("node.kubernetes.io/not-ready");
  taint.set_effect("NoSchedule");
  Store(std::move(node));
  return ObjectResponse(kube::kNodes, *node_);
}

kube::HttpResponse NodeApi::UpdateNode(const kube::HttpRequest& request, bool status) {
  const auto sent = Decoded<corev1::Node>(request, kube::kNodes);
  if (!node_) return Absent("nodes");
  if (sent.metadata().resourceversion() != node_->metadata().resourceversion()) return Conflict();
  corev1::Node node = status ? *node_ : sent;
  *node.mutable_status() = status ? sent.status() : node_->status();
  Store(std::move(node));
  return ObjectResponse(kube::kNodes, *node_);
}

kube::HttpResponse NodeApi::WriteLease(const kube::HttpRequest& request) {
  const auto sent = Decoded<Lease>(request, kube::kLeases);
  if (request.method == "POST" && lease_) return StatusResponse(409, "AlreadyExists", "the Lease exists");
  if (request.method == "PUT") {
    if (!lease_) return Absent("leases");
    if (sent.metadata().resourceversion() != lease_->metadata().resourceversion()) return Conflict();
  }
  PutLease(sent);
  renewals_.push_back(timeline_.mono());
  return ObjectResponse(kube::kLeases, *lease_);
}

}  // namespace daemonsetd::cluster
