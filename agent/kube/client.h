// The typed client of the API server: one thin template over the generated messages, and an untyped core.
// Every call has a deadline, waits for the limiter, and says in its error what it did to which object. Loop thread.
//   auto pod = co_await client.Get<corev1::Pod>(name);
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "agent/async/timeline.h"
#include "agent/base/result.h"
#include "agent/kube/api_error.h"
#include "agent/kube/codec.h"
#include "agent/kube/http.h"
#include "agent/kube/request_limiter.h"
#include "agent/kube/request_observer.h"
#include "agent/kube/resource.h"
#include "kubernetes/authentication_v1.pb.h"

namespace daemonsetd::kube {

namespace authenticationv1 = ::k8s::io::api::authentication::v1;

// The resource of a message; specialised in agent/kube/typed_resources.h, which callers of the templates include.
template <class T>
struct ResourceOf;

struct CallOptions {
  RequestPriority priority = RequestPriority::kNormal;
  Nanoseconds timeout = std::chrono::seconds(10);  // for all of it: the limiter, the way there, the answer
};

enum class PatchType { kMerge, kStrategicMerge };  // RFC 7386; Kubernetes' own, which merges lists by key

// An open watch. Destroying it closes its connection.
class WatchStream {
 public:
  WatchStream(std::unique_ptr<HttpStream> stream, Resource resource, std::string call)
      : stream_(std::move(stream)), resource_(resource), call_(std::move(call)) {}

  // The next frame; nothing at the regular end. kTimeout when no whole frame came until `deadline`, kRetry when the
  // connection broke, within a frame too, kInvalid for broken frames: the stream is then of no further use.
  Task<Result<std::optional<WatchFrame>>> Next(MonoTime deadline);

 private:
  std::unique_ptr<HttpStream> stream_;
  Resource resource_;
  std::string call_;
  FrameParser frames_;
};

class Client {
 public:
  // All must outlive it. `observer` may be null.
  Client(HttpTransport& transport, RequestLimiter& limiter, async::Timeline& timeline,
         RequestObserver* observer = nullptr)
      : transport_(transport), limiter_(limiter), timeline_(timeline), observer_(observer) {}
  Client(const Client&) = delete;
  Client& operator=(const Client&) = delete;

  template <class T>
  Task<Result<T>> Get(NamespacedName name, CallOptions options = {}) {
    T object;
    DAEMONSETD_CO_RETURN_IF_ERROR(co_await GetObject(ResourceOf<T>::kValue, std::move(name), options, &object));
    co_return object;
  }

  // The answer is the object as stored, with its uid and resourceVersion. kExists: the name is taken.
  template <class T>
  Task<Result<T>> Create(T object, CallOptions options = {}) {
    const NamespacedName name = NameOf(object.metadata());
    object.mutable_metadata()->clear_resourceversion();  // of the object that it replaces; the server refuses it
    DAEMONSETD_CO_RETURN_IF_ERROR(co_await CreateObject(ResourceOf<T>::kValue, name, options, &object));
    co_return object;
  }

  // kConflict unless the object's resourceVersion is the stored one.
  template <class T>
  Task<Result<T>> Update(T object, CallOptions options = {}) {
    const NamespacedName name = NameOf(object.metadata());
    DAEMONSETD_CO_RETURN_IF_ERROR(co_await UpdateObject(ResourceOf<T>::kValue, name, "", options, &object));
    co_return object;
  }
  template <class T>
  Task<Result<T>> UpdateStatus(T object, CallOptions options = {}) {
    const NamespacedName name = NameOf(object.metadata());
    DAEMONSETD_CO_RETURN_IF_ERROR(co_await UpdateObject(ResourceOf<T>::kValue, name, "status", options, &object));
    co_return object;
  }

  // The conditions of a CertificateSigningRequest.
  template <class T>
  Task<Result<T>> UpdateApproval(T object, CallOptions options = {}) {
    const NamespacedName name = NameOf(object.metadata());
    DAEMONSETD_CO_RETURN_IF_ERROR(co_await UpdateObject(ResourceOf<T>::kValue, name, "approval", options, &object));
    co_return object;
  }

  // `json` is the patch. A uid in its metadata makes it fail with kConflict on an object's successor.
  template <class T>
  Task<Result<T>> Patch(NamespacedName name, PatchType type, std::string json, CallOptions options = {}) {
    T object;
    DAEMONSETD_CO_RETURN_IF_ERROR(
        co_await PatchObject(ResourceOf<T>::kValue, std::move(name), "", type, std::move(json), options, &object));
    co_return object;
  }
  template <class T>
  Task<Result<T>> PatchStatus(NamespacedName name, PatchType type, std::string json, CallOptions options = {}) {
    T object;
    DAEMONSETD_CO_RETURN_IF_ERROR(co_await PatchObject(ResourceOf<T>::kValue, std::move(name), "status", type,
                                                       std::move(json), options, &object));
    co_return object;
  }

  // Ok means accepted: a Pod is gone only when its node has stopped it. DeleteWith() makes `how`. kConflict: another
  // uid than the wanted one.
  template <class T>
  Task<Status> Delete(NamespacedName name, metav1::DeleteOptions how, CallOptions options = {}) {
    return DeleteObject(ResourceOf<T>::kValue, std::move(name), std::move(how), options);
  }

  template <class T>
  struct Page {
    std::string resource_version;
    std::string continue_token;  // not empty: ask again with it in `list`
    std::vector<T> items;
  };
  // One page. An empty `ns` means all namespaces. kGone: the token is too old, begin again.
  template <class T>
  Task<Result<Page<T>>> List(std::string ns, ListOptions list, CallOptions options = {}) {
    Answer<ListPage> answer = co_await ListObjects(ResourceOf<T>::kValue, std::move(ns), std::move(list), options);
    if (!answer) co_return answer.error().error;
    Page<T> page{.resource_version = answer->resource_version, .continue_token = answer->continue_token};
    for (const std::string& item : answer->items) {
      if (!page.items.emplace_back().ParseFromString(item)) {
        co_return Error(ErrorKind::kInvalid, "the answer is broken: an item of the list cannot be read");
      }
    }
    co_return page;
  }

  // The object as the server writes it in JSON, with the fields that our messages do not have.
  Task<Result<std::string>> GetJson(Resource resource, NamespacedName name, CallOptions options = {});

  // A token of the service account `account`. The answer's status holds it.
  Task<Result<authenticationv1::TokenRequest>> CreateToken(NamespacedName account,
                                                           authenticationv1::TokenRequest request,
                                                           CallOptions options = {});

  // The untyped core, for what works on any resource (agent/kube/reflector.h).
  Task<Answer<ListPage>> ListObjects(Resource resource, std::string ns, ListOptions list, CallOptions options = {});
  // Opens a watch; `options` bound the opening, not the watch.
  Task<Answer<std::unique_ptr<WatchStream>>> Watch(Resource resource, std::string ns, ListOptions list,
                                                   CallOptions options = {});
  // For whoever opens a watch anew.
  void NoteWatchRestart(const Resource& resource) {
    if (observer_ != nullptr) observer_->WatchRestarted(resource.plural);
  }

 private:
  using Message = google::protobuf::MessageLite;
  struct Call {
    std::string text;  // "get pods kube-system/a"
    HttpRequest request;
    MonoTime deadline;
    RequestPriority priority;
  };
  // What is decoded out of an answer.
  struct Wanted {
    std::string api_version;
    std::string kind;
    Message* object;
  };

  // `object` is read for the request where there is one, and replaced by the answer.
  Task<Status> GetObject(Resource resource, NamespacedName name, CallOptions options, Message* object);
  Task<Status> CreateObject(Resource resource, NamespacedName name, CallOptions options, Message* object);
  Task<Status> UpdateObject(Resource resource, NamespacedName name, std::string subresource, CallOptions options,
                            Message* object);
  Task<Status> PatchObject(Resource resource, NamespacedName name, std::string subresource, PatchType type,
                           std::string json, CallOptions options, Message* object);
  Task<Status> DeleteObject(Resource resource, NamespacedName name, metav1::DeleteOptions how, CallOptions options);

  Call MakeCall(std::string_view verb, std::string text, std::string target, const CallOptions& options) const;
  Task<Answer<HttpResponse>> Send(Call call);
  Task<Status> Exchange(Call call, Wanted wanted);
  ApiError Refused(const HttpResponse& response, const Call& call);
  // `code` 0: no answer came.
  void Observe(const Call& call, int code, MonoTime since) const;

  HttpTransport& transport_;
  RequestLimiter& limiter_;
  async::Timeline& timeline_;
  RequestObserver* observer_;
};

}  // namespace daemonsetd::kube
