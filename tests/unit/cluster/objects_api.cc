#include "tests/unit/cluster/objects_api.h"

#include <sstream>
#include <stdexcept>
#include <utility>

#include <fmt/format.h>

#include "agent/kube/codec.h"

namespace daemonsetd::cluster {
namespace {

using kube::HttpRequest;
using kube::HttpResponse;

HttpResponse Refusal(int code, const std::string& reason, const std::string& message, const std::string& name) {
  metav1::Status status;
  status.set_status("Failure");
  status.set_code(code);
  status.set_reason(reason);
  status.set_message(message);
  status.mutable_details()->set_name(name);
  return {.status = code,
          .content_type = std::string(kube::kProtobufType),
          .body = kube::EncodeObject("v1", "Status", status)};
}

}  // namespace

HttpResponse NotFoundResponse(const std::string& plural, const std::string& name) {
  return Refusal(404, "NotFound", fmt::format("{} \"{}\" not found", plural, name), name);
}

HttpResponse ForbiddenResponse(const std::string& message) { return Refusal(403, "Forbidden", message, "x"); }

ObjectsApi::Target ObjectsApi::TargetOf(const HttpRequest& request) {
  std::vector<std::string> parts;  // "", api, v1, namespaces, NS, PLURAL, NAME, SUBRESOURCE
  std::istringstream path(testing::PathOf(request));
  for (std::string part; std::getline(path, part, '/');) parts.push_back(part);
  if (parts.size() == 6 && parts[4] == kube::kRuntimeClasses.plural) {  // "", apis, GROUP, v1, PLURAL, NAME
    return {.resource = &kube::kRuntimeClasses, .name = {"", parts[5]}, .subresource = ""};
  }
  for (const kube::Resource* resource :
       {&kube::kConfigMaps, &kube::kSecrets, &kube::kServiceAccounts, &kube::kServices}) {
    if (parts.size() < 6 || parts[5] != resource->plural) continue;
    Target target{.resource = resource, .name = {parts[4], parts.size() > 6 ? parts[6] : ""}, .subresource = ""};
    if (parts.size() > 7) target.subresource = parts[7];
    constexpr std::string_view kByName = "metadata.name=";
    const auto query = testing::QueryOf(request);
    const auto selector = query.find("fieldSelector");
    if (selector != query.end() && selector->second.starts_with(kByName)) {
      target.name.name = selector->second.substr(kByName.size());
    }
    return target;
  }
  throw std::logic_error("nobody asks for " + request.target);
}

testing::FakeHttpTransport& ObjectsApi::At(const kube::Resource& resource, const kube::NamespacedName& name) {
  const bool shared = resource.plural == kube::kServices.plural;
  auto& server = servers_[fmt::format("{}/{}/{}", resource.plural, name.ns, shared ? "" : name.name)];
  if (!server) server = std::make_unique<testing::FakeHttpTransport>(executor_, timeline_, resource);
  return *server;
}

void ObjectsApi::SetDown(bool down) {
  down_ = down;
  if (!down) return;
  for (const auto& [key, server] : servers_) server->BreakStreams();
}

void ObjectsApi::SetSilent(bool silent) {
  silent_ = silent;
  for (const auto& [key, server] : servers_) server->Silence(silent);
}

std::vector<std::string> ObjectsApi::TakeCalls() { return std::exchange(calls_, {}); }

int ObjectsApi::open_watches() const {
  int open = 0;
  for (const auto& [key, server] : servers_) open += server->open_streams();
  return open;
}

Task<Status> ObjectsApi::Reach(std::string call, MonoTime deadline) {
  calls_.push_back(std::move(call));
  if (down_) co_return Error(ErrorKind::kRetry, "connection refused");
  if (silent_ || timeline_.mono() + delay_ > deadline) {
    co_await timeline_.SleepUntil(deadline);
    co_return Error(ErrorKind::kTimeout, "no answer in time");
  }
  if (delay_ > Nanoseconds::zero()) co_await timeline_.SleepFor(delay_);
  if (down_) co_return Error(ErrorKind::kRetry, "connection reset by peer");
  co_return Ok();
}

std::optional<HttpResponse> ObjectsApi::RefusalOf(const std::string& call) const {
  for (const auto& [prefix, answer] : refused_) {
    if (call.starts_with(prefix)) return answer;
  }
  return std::nullopt;
}

Task<HttpResponse> ObjectsApi::GetOne(Target target) {
  HttpRequest list{.method = "GET", .target = fmt::format("/{}", target.resource->plural)};
  const Result<HttpResponse> answer =
      co_await At(*target.resource, target.name).Send(std::move(list), timeline_.mono());
  const auto page = kube::DecodeList(answer->body, *target.resource);
  for (const std::string& item : page->items) {
    metav1::PartialObjectMetadata object;  // keeps the rest as unknown fields
    object.ParseFromString(item);
    if (object.metadata().name() == target.name.name) co_return testing::ObjectResponse(*target.resource, object);
  }
  co_return NotFoundResponse(std::string(target.resource->plural), target.name.name);
}

HttpResponse ObjectsApi::MakeToken(const Target& target, const HttpRequest& request) {
  constexpr std::string_view kApiVersion = "authentication.k8s.io/v1";
  kube::authenticationv1::TokenRequest token;
  if (!kube::DecodeObject(request.body, kApiVersion, "TokenRequest", token)) {
    throw std::logic_error("no TokenRequest for " + target.name.name);
  }
  token_requests_.push_back(token);
  if (granted_ > Seconds::zero()) token.mutable_spec()->set_expirationseconds(granted_.count());
  token.mutable_status()->set_token(token_.empty() ? fmt::format("token-{}", token_requests_.size()) : token_);
  return {.status = 201,
          .content_type = std::string(kube::kProtobufType),
          .body = kube::EncodeObject(kApiVersion, "TokenRequest", token)};
}

Task<Result<HttpResponse>> ObjectsApi::Send(HttpRequest request, MonoTime deadline) {
  Target target = TargetOf(request);
  std::string call = fmt::format("{} {}/{}", request.method, target.resource->plural, target.name.name);
  if (!target.subresource.empty()) call += "/" + target.subresource;
  if (target.name.name.empty()) call = fmt::format("LIST {} in {}", target.resource->plural, target.name.ns);
  const Status reached = co_await Reach(call, deadline);
  if (!reached) co_return reached.error();
  if (auto refusal = RefusalOf(call)) co_return std::move(*refusal);
  if (target.name.name.empty()) co_return co_await At(*target.resource, target.name).Send(std::move(request), deadline);
  const HttpResponse object = co_await GetOne(target);
  if (target.subresource.empty() || object.status != 200) co_return object;
  co_return MakeToken(target, request);
}

Task<Result<kube::HttpStreamStart>> ObjectsApi::Open(HttpRequest request, MonoTime deadline) {
  const Target target = TargetOf(request);
  const std::string call = fmt::format("WATCH {}/{}", target.resource->plural, target.name.name);
  const Status reached = co_await Reach(call, deadline);
  if (!reached) co_return reached.error();
  if (auto refusal = RefusalOf(call)) {
    kube::HttpStreamStart refused;
    refused.response = std::move(*refusal);
    co_return refused;
  }
  co_return co_await At(*target.resource, target.name).Open(std::move(request), deadline);
}

}  // namespace daemonsetd::cluster
