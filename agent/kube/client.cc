#include "agent/kube/client.h"

#include <fmt/format.h>

namespace daemonsetd::kube {
namespace {

std::string CallText(std::string_view verb, const Resource& resource, std::string_view subresource,
                     const NamespacedName& name) {
  const std::string_view slash = subresource.empty() ? "" : "/";
  return fmt::format("{} {}{}{} {}", verb, resource.plural, slash, subresource, ToString(name));
}

std::string CollectionText(std::string_view verb, const Resource& resource, std::string_view ns) {
  if (ns.empty()) return fmt::format("{} {}", verb, resource.plural);
  return fmt::format("{} {} in {}", verb, resource.plural, ns);
}

std::string_view ContentType(PatchType type) {
  return type == PatchType::kMerge ? "application/merge-patch+json" : "application/strategic-merge-patch+json";
}

}  // namespace

Task<Result<std::optional<WatchFrame>>> WatchStream::Next(MonoTime deadline) {
  for (;;) {
    const Result<std::optional<std::string>> frame = frames_.Next();
    if (!frame) co_return frame.error().WithContext(call_);
    if (*frame) {
      Result<WatchFrame> decoded = DecodeWatchFrame(**frame, resource_, call_);
      if (!decoded) co_return decoded.error().WithContext(call_);
      co_return std::optional<WatchFrame>(std::move(*decoded));
    }
    const Result<std::string> piece = co_await stream_->Read(deadline);
    if (!piece) co_return piece.error().WithContext(call_);
    if (piece->empty()) {
      if (!frames_.HasPart()) co_return std::optional<WatchFrame>();
      co_return Error(ErrorKind::kRetry, call_ + ": the stream ended within a frame");
    }
    frames_.Append(*piece);
  }
}

Client::Call Client::MakeCall(std::string_view verb, std::string text, std::string target,
                              const CallOptions& options) const {
  Call call{.text = std::move(text), .deadline = timeline_.mono() + options.timeout, .priority = options.priority};
  call.request.method = std::string(verb);
  call.request.target = std::move(target);
  call.request.accept = std::string(kProtobufType);
  return call;
}

ApiError Client::Refused(const HttpResponse& response, const Call& call) {
  ApiError error = ErrorOf(response, call.text);
  const bool overloaded = response.status == 429 || response.status == 503;
  if (overloaded && error.retry_after) limiter_.Pause(call.priority, *error.retry_after);
  return error;
}

void Client::Observe(const Call& call, int code, MonoTime since) const {
  if (observer_ != nullptr)
    observer_->Requested(call.request.method, transport_.host(), code, timeline_.mono() - since);
}

Task<Answer<HttpResponse>> Client::Send(Call call) {
  const Status admitted = co_await limiter_.Acquire(call.priority, call.deadline);
  if (!admitted) co_return ApiError{.error = admitted.error().WithContext(call.text)};
  const MonoTime since = timeline_.mono();
  HttpRequest request = std::move(call.request);
  call.request.method = request.method;  // still told of
  Result<HttpResponse> response = co_await transport_.Send(std::move(request), call.deadline);
  Observe(call, response ? response->status : 0, since);
  if (!response) co_return ApiError{.error = response.error().WithContext(call.text)};
  if (response->status < 200 || response->status > 299) co_return Refused(*response, call);
  co_return std::move(*response);
}

Task<Status> Client::Exchange(Call call, Wanted wanted) {
  const std::string text = call.text;
  const Answer<HttpResponse> response = co_await Send(std::move(call));
  if (!response) co_return response.error().error;
  wanted.object->Clear();
  const Status decoded = DecodeObject(response->body, wanted.api_version, wanted.kind, *wanted.object);
  if (!decoded) co_return decoded.error().WithContext(text);
  co_return Ok();
}

Task<Status> Client::GetObject(Resource resource, NamespacedName name, CallOptions options, Message* object) {
  const Result<std::string> path = ObjectPath(resource, name);
  const std::string text = CallText("get", resource, "", name);
  if (!path) co_return path.error().WithContext(text);
  Call call = MakeCall("GET", text, *path, options);
  Wanted wanted{.api_version = ApiVersion(resource), .kind = std::string(resource.kind), .object = object};
  co_return co_await Exchange(std::move(call), std::move(wanted));
}

Task<Result<std::string>> Client::GetJson(Resource resource, NamespacedName name, CallOptions options) {
  const Result<std::string> path = ObjectPath(resource, name);
  const std::string text = CallText("get", resource, "", name);
  if (!path) co_return path.error().WithContext(text);
  Call call = MakeCall("GET", text, *path, options);
  call.request.accept = std::string(kJsonType);
  Answer<HttpResponse> response = co_await Send(std::move(call));
  if (!response) co_return response.error().error;
  if (!response->content_type.starts_with(kJsonType)) {
    co_return Error(ErrorKind::kInvalid, text + ": the answer is broken: it is not JSON");
  }
  co_return std::move(response->body);
}

Task<Status> Client::CreateObject(Resource resource, NamespacedName name, CallOptions options, Message* object) {
  const std::string text = CallText("create", resource, "", name);
  // The object's own name is not in the path, but an object without a namespace would land nowhere.
  if (resource.namespaced && name.ns.empty()) {
    co_return Error(ErrorKind::kInvalid, text + ": the object lacks its namespace");
  }
  const Result<std::string> path = CollectionPath(resource, name.ns);
  if (!path) co_return path.error().WithContext(text);
  Call call = MakeCall("POST", text, *path, options);
  call.request.content_type = std::string(kProtobufType);
  call.request.body = EncodeObject(ApiVersion(resource), resource.kind, *object);
  Wanted wanted{.api_version = ApiVersion(resource), .kind = std::string(resource.kind), .object = object};
  co_return co_await Exchange(std::move(call), std::move(wanted));
}

Task<Status> Client::UpdateObject(Resource resource, NamespacedName name, std::string subresource, CallOptions options,
                                  Message* object) {
  const Result<std::string> path = ObjectPath(resource, name, subresource);
  const std::string text = CallText("update", resource, subresource, name);
  if (!path) co_return path.error().WithContext(text);
  Call call = MakeCall("PUT", text, *path, options);
  call.request.content_type = std::string(kProtobufType);
  call.request.body = EncodeObject(ApiVersion(resource), resource.kind, *object);
  Wanted wanted{.api_version = ApiVersion(resource), .kind = std::string(resource.kind), .object = object};
  co_return co_await Exchange(std::move(call), std::move(wanted));
}

Task<Status> Client::PatchObject(Resource resource, NamespacedName name, std::string subresource, PatchType type,
                                 std::string json, CallOptions options, Message* object) {
  const Result<std::string> path = ObjectPath(resource, name, subresource);
  const std::string text = CallText("patch", resource, subresource, name);
  if (!path) co_return path.error().WithContext(text);
  Call call = MakeCall("PATCH", text, *path, options);
  call.request.content_type = std::string(ContentType(type));
  call.request.body = std::move(json);
  Wanted wanted{.api_version = ApiVersion(resource), .kind = std::string(resource.kind), .object = object};
  co_return co_await Exchange(std::move(call), std::move(wanted));
}

Task<Status> Client::DeleteObject(Resource resource, NamespacedName name, metav1::DeleteOptions how,
                                  CallOptions options) {
  const Result<std::string> path = ObjectPath(resource, name);
  const std::string text = CallText("delete", resource, "", name);
  if (!path) co_return path.error().WithContext(text);
  Call call = MakeCall("DELETE", text, *path, options);
  call.request.content_type = std::string(kProtobufType);
  call.request.body = EncodeObject("v1", "DeleteOptions", how);
  // The body is a Status, or the object when it is still on its way out; the code says all.
  const Answer<HttpResponse> response = co_await Send(std::move(call));
  if (!response) co_return response.error().error;
  co_return Ok();
}

Task<Result<authenticationv1::TokenRequest>> Client::CreateToken(NamespacedName account,
                                                                 authenticationv1::TokenRequest request,
                                                                 CallOptions options) {
  constexpr std::string_view kApiVersion = "authentication.k8s.io/v1";
  constexpr std::string_view kKind = "TokenRequest";
  const Result<std::string> path = ObjectPath(kServiceAccounts, account, "token");
  const std::string text = CallText("create", kServiceAccounts, "token", account);
  if (!path) co_return path.error().WithContext(text);
  Call call = MakeCall("POST", text, *path, options);
  call.request.content_type = std::string(kProtobufType);
  call.request.body = EncodeObject(kApiVersion, kKind, request);
  Wanted wanted{.api_version = std::string(kApiVersion), .kind = std::string(kKind), .object = &request};
  const Status done = co_await Exchange(std::move(call), std::move(wanted));
  if (!done) co_return done.error();
  if (request.status().token().empty()) {
    co_return Error(ErrorKind::kInvalid, text + ": the answer is broken: it holds no token");
  }
  co_return request;
}

Task<Answer<ListPage>> Client::ListObjects(Resource resource, std::string ns, ListOptions list, CallOptions options) {
  const Result<std::string> path = CollectionPath(resource, ns);
  const std::string text = CollectionText("list", resource, ns);
  if (!path) co_return ApiError{.error = path.error().WithContext(text)};
  list.watch = false;
  Call call = MakeCall("GET", text, *path + QueryText(list), options);
  const Answer<HttpResponse> response = co_await Send(std::move(call));
  if (!response) co_return response.error();
  Result<ListPage> page = DecodeList(response->body, resource);
  if (!page) co_return ApiError{.error = page.error().WithContext(text), .code = response->status};
  co_return std::move(*page);
}

Task<Answer<std::unique_ptr<WatchStream>>> Client::Watch(Resource resource, std::string ns, ListOptions list,
                                                         CallOptions options) {
  const Result<std::string> path = CollectionPath(resource, ns);
  const std::string text = CollectionText("watch", resource, ns);
  if (!path) co_return ApiError{.error = path.error().WithContext(text)};
  list.watch = true;
  Call call = MakeCall("GET", text, *path + QueryText(list), options);
  call.request.accept = std::string(kProtobufWatchType);
  const Status admitted = co_await limiter_.Acquire(call.priority, call.deadline);
  if (!admitted) co_return ApiError{.error = admitted.error().WithContext(text)};
  const MonoTime since = timeline_.mono();
  HttpRequest request = call.request;
  Result<HttpStreamStart> start = co_await transport_.Open(std::move(request), call.deadline);
  Observe(call, start ? start->response.status : 0, since);
  if (!start) co_return ApiError{.error = start.error().WithContext(text)};
  const HttpResponse& response = start->response;
  if (response.status != 200 || !start->stream) co_return Refused(response, call);
  if (!response.content_type.starts_with(kProtobufType)) {
    co_return ApiError{.error = Error(ErrorKind::kInvalid, text + ": the answer is broken: it is not protobuf"),
                       .code = response.status};
  }
  co_return std::make_unique<WatchStream>(std::move(start->stream), resource, text);
}

}  // namespace daemonsetd::kube
