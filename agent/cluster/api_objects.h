// The objects that pods name, from the API server; from the checkpoint while it cannot be reached.
//
// ConfigMaps and Secrets are watched one by one, as long as pods name them, and answered from memory while their watch
// lives. ServiceAccounts, Services and RuntimeClasses are asked for when a container or sandbox starts, and remembered
// for some seconds, so that those that start together ask once.
#pragma once

#include <functional>
#include <map>
#include <memory>
#include <set>
#include <string>
#include <type_traits>
#include <vector>

#include "agent/async/semaphore.h"
#include "agent/async/task_scope.h"
#include "agent/async/timeline.h"
#include "agent/cluster/api_objects_watch.h"
#include "agent/cluster/object_cache.h"
#include "agent/kube/client.h"
#include "agent/pods/object_source.h"
#include "agent/pods/tokens.h"

namespace daemonsetd::cluster {

class ApiObjects final : public pods::ObjectSource {
 public:
  // The references must outlive it. `random` gives numbers in [0, 1). `reachable`: whether the server can be asked now;
  // when it cannot, nothing waits for it.
  ApiObjects(async::Executor executor, async::Timeline& timeline, kube::Client& client, ObjectCache& cache,
             std::function<double()> random, std::function<bool()> reachable);

  // `reachable` answers otherwise than before. Must be called each time.
  void ReachabilityChanged();

  // Forgets, in the checkpoint, what none of these pods names and nobody watches: no Secret and no token outlives its
  // last pod for long. `hosted`: every pod that this node runs or may have to start, from whatever source.
  void KeepOnly(const std::vector<std::shared_ptr<const corev1::Pod>>& hosted);

  // Ends all watches and waits for them; those that come later tell nothing. Must be awaited before it is destroyed,
  // and every call of the port must have ended then.
  Task<void> Close();

  Task<Result<pods::Found<corev1::ConfigMap>>> GetConfigMap(std::string name_space, std::string name,
                                                            Nanoseconds timeout) override;
  Task<Result<pods::Found<corev1::Secret>>> GetSecret(std::string name_space, std::string name,
                                                      Nanoseconds timeout) override;
  Task<Result<pods::Found<corev1::ServiceAccount>>> GetServiceAccount(std::string name_space, std::string name,
                                                                      Nanoseconds timeout) override;
  Task<Result<pods::Found<corev1::Service>>> GetService(std::string name_space, std::string name,
                                                        Nanoseconds timeout) override;
  Task<Result<pods::Found<corev1::ServiceList>>> ListServices(std::string name_space, Nanoseconds timeout) override;
  Task<Result<pods::Found<nodev1::RuntimeClass>>> GetRuntimeClass(std::string name, Nanoseconds timeout) override;
  Task<Result<pods::Token>> RequestToken(pods::TokenRequest request, Nanoseconds timeout) override;
  std::unique_ptr<Subscription> Watch(pods::ObjectKey key, std::function<void()> on_change) override;

 private:
  class WatchSubscription;
  struct WatchedVersion;
  // What is asked for on demand: one question at a time, its answer remembered for a short time.
  template <class T>
  struct OnDemand;
  template <class T>
  using OnDemandMap = std::map<kube::NamespacedName, std::shared_ptr<OnDemand<T>>>;

  template <class T>
  Task<Result<pods::Found<T>>> GetWatched(pods::ObjectKey::Kind kind, kube::NamespacedName name, Nanoseconds timeout);
  template <class T>
  Task<Result<pods::Found<T>>> GetOnDemand(OnDemandMap<T>* known, kube::NamespacedName name, Nanoseconds timeout);
  template <class T>
  Task<void> Forget(std::shared_ptr<OnDemand<T>> entry);
  template <class T>
  Result<pods::Found<T>> Offline(const kube::NamespacedName& name) const;
  template <class T>
  Result<pods::Found<T>> CachedInstead(const kube::NamespacedName& name, const Error& error) const;

  // From the server.
  template <class T>
  Task<Result<T>> Request(std::type_identity<T> type, kube::NamespacedName name, Nanoseconds timeout);
  Task<Result<corev1::ServiceList>> Request(std::type_identity<corev1::ServiceList> type, kube::NamespacedName name,
                                            Nanoseconds timeout);
  Task<Result<corev1::ServiceList>> ListAll(std::string ns, MonoTime deadline);

  std::shared_ptr<WatchedKey> FindWatched(const pods::ObjectKey& key) const;
  std::shared_ptr<WatchedKey> MakeWatched(const pods::ObjectKey& key);
  template <class T>
  Task<void> WatchObject(std::shared_ptr<WatchedObject<T>> watched);
  template <class T>
  std::shared_ptr<WatchedKey> MakeWatchedVersion(const pods::ObjectKey& key);
  template <class T>
  Task<void> WatchVersion(std::shared_ptr<WatchedVersion> watched);
  template <class T>
  void NoteVersion(const kube::NamespacedName& name, const Result<T>& answer);
  Result<pods::Token> KeptToken(const pods::TokenRequest& request) const;
  void KeepToken(const pods::TokenRequest& request, const pods::Token& token);
  void KeepTokensOf(const std::set<kube::NamespacedName>& pods);

  async::Executor executor_;
  async::Timeline& timeline_;
  kube::Client& client_;
  ObjectCache& cache_;
  std::function<double()> random_;
  std::function<bool()> reachable_;
  std::map<pods::ObjectKey, std::shared_ptr<WatchedKey>> watched_;
  OnDemandMap<corev1::ServiceAccount> accounts_;
  OnDemandMap<corev1::Service> services_;
  OnDemandMap<corev1::ServiceList> service_lists_;  // by namespace, without a name
  OnDemandMap<nodev1::RuntimeClass> runtime_classes_;
  std::map<pods::TokenRequest, pods::HeldToken> tokens_;
  async::TaskScope scope_;
  bool closed_ = false;
};

}  // namespace daemonsetd::cluster
