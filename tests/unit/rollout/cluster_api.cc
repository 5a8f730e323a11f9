#include "tests/unit/rollout/cluster_api.h"

#include <algorithm>
#include <sstream>
#include <stdexcept>
#include <type_traits>
#include <utility>

#include <fmt/format.h>

#include "agent/decide/api_time.h"
#include "agent/decide/node_lease.h"
#include "agent/kube/codec.h"
#include "agent/model/codec.h"
#include "agent/model/json_reader.h"

namespace daemonsetd::rollout {
namespace {

using kube::HttpRequest;
using kube::HttpResponse;
using kube::ResourceOf;
using testing::ObjectResponse;
using testing::StatusResponse;

constexpr Seconds kGrace{30};

HttpResponse Conflict() { return StatusResponse(409, "Conflict", "the object has been modified"); }

template <class T>
T Decoded(const HttpRequest& request) {
  constexpr kube::Resource kResource = ResourceOf<T>::kValue;
  T object;
  if (!kube::DecodeObject(request.body, kube::ApiVersion(kResource), kResource.kind, object)) {
    throw std::logic_error("no " + std::string(kResource.kind) + " in the body of " + request.target);
  }
  return object;
}

// Counts while it lives, also when its coroutine is cancelled.
class Counted {
 public:
  explicit Counted(int& count) : count_(count) { ++count_; }
  ~Counted() { --count_; }
  Counted(const Counted&) = delete;
  Counted& operator=(const Counted&) = delete;

 private:
  int& count_;
};

}  // namespace

HttpResponse Forbidden() { return StatusResponse(403, "Forbidden", "the agent may not do that"); }

HttpResponse NotFound(const std::string& plural, const std::string& name) {
  // Details name the object, which tells it from a missing path.
  metav1::Status status;
  status.set_status("Failure");
  status.set_code(404);
  status.set_reason("NotFound");
  status.set_message(fmt::format("{} \"{}\" not found", plural, name));
  status.mutable_details()->set_name(name);
  status.mutable_details()->set_kind(plural);
  return {.status = 404,
          .content_type = std::string(kube::kProtobufType),
          .body = kube::EncodeObject("v1", "Status", status)};
}

ClusterApi::ClusterApi(const Place& place)
    : timeline_(place.timeline),
      collections_(place, place, place, place, place),
      other_leases_(place.executor, place.timeline, kube::kLeases) {}

template <class T>
testing::FakeHttpTransport& ClusterApi::Watched(Collection<T>& collection, const std::string& ns) {
  if (std::is_same_v<T, Lease> && ns != decide::kNodeLeaseNamespace) return other_leases_;
  return collection.watched;
}

template <class T>
const T& ClusterApi::Store(Collection<T>& collection, T object) {
  metav1::ObjectMeta& metadata = *object.mutable_metadata();
  const kube::NamespacedName name = kube::NameOf(metadata);
  const auto before = collection.objects.find(name);
  if (before != collection.objects.end()) {
    metadata.set_uid(before->second.metadata().uid());
  } else if (metadata.uid().empty()) {
    metadata.set_uid(fmt::format("uid-{}", ++uids_));
  }
  testing::FakeHttpTransport& watched = Watched(collection, name.ns);
  watched.Put(object);
  metadata.set_resourceversion(watched.version());
  T& stored = collection.objects[name];
  stored = std::move(object);
  return stored;
}

template void ClusterApi::Put(corev1::Node);
template void ClusterApi::Put(corev1::Pod);
template void ClusterApi::Put(appsv1::ControllerRevision);
template void ClusterApi::Put(appsv1::DaemonSet);
template void ClusterApi::Put(coordinationv1::Lease);
template void ClusterApi::Remove<corev1::Node>(const kube::NamespacedName&);
template void ClusterApi::Remove<corev1::Pod>(const kube::NamespacedName&);
template void ClusterApi::Remove<appsv1::ControllerRevision>(const kube::NamespacedName&);
template void ClusterApi::Remove<appsv1::DaemonSet>(const kube::NamespacedName&);
template void ClusterApi::Remove<coordinationv1::Lease>(const kube::NamespacedName&);

int ClusterApi::open_watches() const {
  return std::apply([](const auto&... each) { return (each.watched.open_streams() + ...); }, collections_);
}

ClusterApi::Target ClusterApi::TargetOf(const HttpRequest& request) {
  std::istringstream path(testing::PathOf(request));
  std::vector<std::string> parts;  // "", api, v1 or "", apis, GROUP, VERSION; then [namespaces, NS,] PLURAL, NAME, …
  for (std::string part; std::getline(path, part, '/');) parts.push_back(part);
  std::size_t at = parts.at(1) == "api" ? 3 : 4;
  Target target;
  if (parts.at(at) == "namespaces") {
    target.name.ns = parts.at(at + 1);
    at += 2;
  }
  target.plural = parts.at(at);
  if (parts.size() > at + 1) target.name.name = parts[at + 1];
  if (parts.size() > at + 2) target.subresource = parts[at + 2];
  return target;
}

std::string ClusterApi::TextOf(const HttpRequest& request, const Target& target) {
  if (target.name.name.empty()) {
    return fmt::format("{} {}", request.method == "GET" ? "LIST" : request.method, target.plural);
  }
  std::string text = fmt::format("{} {}/{}", request.method, target.plural, target.name.name);
  if (!target.subresource.empty()) text += "/" + target.subresource;
  if (request.accept == kube::kJsonType) text += " as JSON";
  return text;
}

ClusterApi::Fault ClusterApi::FaultOf(const std::string& call) const {
  for (const auto& [prefix, fault] : faults_) {
    if (call.starts_with(prefix)) return fault;
  }
  return {};
}

std::vector<ClusterApi::Call> ClusterApi::Calls(std::string_view call) const {
  std::vector<Call> found;
  std::copy_if(calls_.begin(), calls_.end(), std::back_inserter(found),
               [&](const Call& each) { return each.text.starts_with(call); });
  return found;
}

std::vector<std::string> ClusterApi::Writes() const {
  std::vector<std::string> writes;
  for (const Call& call : calls_) {
    const std::string verb = call.text.substr(0, call.text.find(' '));
    if (verb != "GET" && verb != "LIST" && verb != "WATCH") writes.push_back(call.text);
  }
  return writes;
}

testing::FakeHttpTransport& ClusterApi::WatchedAt(const Target& target) {
  if (target.plural == kube::kNodes.plural) return Of<corev1::Node>().watched;
  if (target.plural == kube::kPods.plural) return Of<corev1::Pod>().watched;
  if (target.plural == kube::kControllerRevisions.plural) return Of<appsv1::ControllerRevision>().watched;
  if (target.plural == kube::kDaemonSets.plural) return Of<appsv1::DaemonSet>().watched;
  if (target.plural == kube::kLeases.plural) return Watched(Of<Lease>(), target.name.ns);
  throw std::logic_error("nobody asks for " + target.plural);
}

Task<Result<HttpResponse>> ClusterApi::Send(HttpRequest request, MonoTime deadline) {
  const Counted counted(under_way_);
  Target target = TargetOf(request);
  const std::string call = TextOf(request, target);
  calls_.push_back({.text = call, .at = timeline_.mono(), .deadline = deadline, .body = request.body});
  const Fault fault = FaultOf(call);
  if (fault.hook) fault.hook();
  if (fault.silent) {
    co_await timeline_.SleepUntil(deadline);
    co_return Error(ErrorKind::kTimeout, "no answer in time");
  }
  HttpResponse response;
  if (fault.answer) {
    response = *fault.answer;
  } else if (request.method == "GET" && target.name.name.empty()) {
    const Result<HttpResponse> list = co_await WatchedAt(target).Send(request, deadline);
    response = *list;
  } else {
    response = Serve(request, target);
  }
  if (fault.delay > Nanoseconds::zero()) {
    const MonoTime answered = timeline_.mono() + fault.delay;
    co_await timeline_.SleepUntil(std::min(answered, deadline));
    if (answered > deadline) co_return Error(ErrorKind::kTimeout, "no answer in time");
  }
  if (fault.loses_answer) co_return Error(ErrorKind::kRetry, "connection reset by peer");
  co_return response;
}

Task<Result<kube::HttpStreamStart>> ClusterApi::Open(HttpRequest request, MonoTime deadline) {
  const Target target = TargetOf(request);
  const std::string call = "WATCH " + target.plural;
  calls_.push_back({.text = call, .at = timeline_.mono(), .deadline = deadline, .body = ""});
  if (const Fault fault = FaultOf(call); fault.answer) {
    kube::HttpStreamStart refused;
    refused.response = *fault.answer;
    co_return refused;
  }
  co_return co_await WatchedAt(target).Open(std::move(request), deadline);
}

HttpResponse ClusterApi::Serve(const HttpRequest& request, const Target& target) {
  if (target.plural == kube::kNodes.plural) return ServeOf<corev1::Node>(request, target);
  if (target.plural == kube::kPods.plural) return ServeOf<corev1::Pod>(request, target);
  if (target.plural == kube::kDaemonSets.plural) return ServeOf<appsv1::DaemonSet>(request, target);
  if (target.plural == kube::kLeases.plural) return ServeOf<Lease>(request, target);
  return ServeOf<appsv1::ControllerRevision>(request, target);
}

template <class T>
HttpResponse ClusterApi::ServeOf(const HttpRequest& request, const Target& target) {
  constexpr kube::Resource kResource = ResourceOf<T>::kValue;
  if (request.method == "POST" || request.method == "PUT") return Write<T>(request, target);
  const auto found = Of<T>().objects.find(target.name);
  if (found == Of<T>().objects.end()) return NotFound(target.plural, target.name.name);
  const T& object = found->second;
  if (request.method == "GET" && request.accept == kube::kJsonType) {
    return {.status = 200,
            .content_type = std::string(kube::kJsonType),
            .body = model::EncodeJson(object, kube::ApiVersion(kResource), kResource.kind)};
  }
  if (request.method == "GET") return ObjectResponse(kResource, object);
  if (request.method == "DELETE") return Delete<T>(request, object);
  if constexpr (std::is_same_v<T, corev1::Pod>) {
    if (request.method == "PATCH") return PatchPod(request, object);
  }
  return StatusResponse(405, "MethodNotAllowed", request.method + " is not served here");
}

// POST, PUT, and PUT of a status: that changes nothing but the status, and the other one everything else.
template <class T>
HttpResponse ClusterApi::Write(const HttpRequest& request, const Target& target) {
  constexpr kube::Resource kResource = ResourceOf<T>::kValue;
  T object = Decoded<T>(request);
  const auto stored = Of<T>().objects.find(kube::NameOf(object.metadata()));
  const bool exists = stored != Of<T>().objects.end();
  if (request.method == "POST") {
    if (exists) return StatusResponse(409, "AlreadyExists", "the object already exists");
    HttpResponse created = ObjectResponse(kResource, Store(Of<T>(), std::move(object)));
    created.status = 201;
    return created;
  }
  if (!exists) return NotFound(target.plural, target.name.name);
  if (object.metadata().resourceversion() != stored->second.metadata().resourceversion()) return Conflict();
  if constexpr (requires { object.mutable_status(); }) {
    T merged = target.subresource == "status" ? stored->second : object;
    *merged.mutable_status() = target.subresource == "status" ? object.status() : stored->second.status();
    object = std::move(merged);
  }
  return ObjectResponse(kResource, Store(Of<T>(), std::move(object)));
}

template <class T>
HttpResponse ClusterApi::Delete(const HttpRequest& request, const T& object) {
  metav1::DeleteOptions options;
  if (!kube::DecodeObject(request.body, "v1", "DeleteOptions", options)) {
    throw std::logic_error("no DeleteOptions in the body of DELETE " + request.target);
  }
  const metav1::Preconditions& wanted = options.preconditions();
  if (wanted.has_uid() && wanted.uid() != object.metadata().uid()) return Conflict();
  if (wanted.has_resourceversion() && wanted.resourceversion() != object.metadata().resourceversion()) {
    return Conflict();
  }
  if constexpr (std::is_same_v<T, corev1::Pod>) {
    if (object.metadata().has_deletiontimestamp()) return ObjectResponse(kube::kPods, object);
    T terminating = object;
    metav1::ObjectMeta& metadata = *terminating.mutable_metadata();
    *metadata.mutable_deletiontimestamp() = decide::ToApiTime(timeline_.Read().wall + kGrace);
    metadata.set_deletiongraceperiodseconds(kGrace.count());
    return ObjectResponse(kube::kPods, Store(Of<T>(), std::move(terminating)));
  } else {
    HttpResponse last = ObjectResponse(ResourceOf<T>::kValue, object);
    Remove<T>(kube::NameOf(object.metadata()));
    return last;
  }
}

// A merge patch of labels and annotations.
HttpResponse ClusterApi::PatchPod(const HttpRequest& request, corev1::Pod pod) {
  model::Tree tree;
  std::vector<const model::Node*> roots;
  const auto broken = model::ReadJson(request.body, tree, roots);
  const model::Node* patch = broken || roots.size() != 1 ? nullptr : roots.front()->Find("metadata");
  if (patch == nullptr) throw std::logic_error("no patch of metadata: " + request.body);
  for (const model::Member& member : patch->members) {
    metav1::ObjectMeta& metadata = *pod.mutable_metadata();
    if (member.key == "uid") {
      if (member.value->text != metadata.uid()) return Conflict();
      continue;
    }
    if (member.key != "labels" && member.key != "annotations") throw std::logic_error("a patch of " + member.key);
    auto& map = member.key == "labels" ? *metadata.mutable_labels() : *metadata.mutable_annotations();
    for (const model::Member& entry : member.value->members) map[entry.key] = entry.value->text;
  }
  return ObjectResponse(kube::kPods, Store(Of<corev1::Pod>(), std::move(pod)));
}

}  // namespace daemonsetd::rollout
