// Everything that one pod takes from objects of the API server: the files of its volumes, and that they stay fresh
// while it runs; the environment of its containers; the credentials for its images; its RuntimeClass.
//
// The environment is read at a container's start and never again. Files that a container mounts through subPath stay as
// they were at its start (pkg/volume/util/subpath): the next start takes the newer ones (VO-01).
#pragma once

#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "agent/async/semaphore.h"
#include "agent/async/wake.h"
#include "agent/base/backoff.h"
#include "agent/pods/env.h"
#include "agent/pods/object_source.h"
#include "agent/pods/pod_events.h"
#include "agent/pods/pod_services.h"
#include "agent/pods/tokens.h"
#include "agent/pods/volumes/projected_files.h"

namespace daemonsetd::pods {

// `unknown`: nobody can say yet what the pod names. It waits, and that is not a failure to report (VO-07).
struct ObjectStatus {
  Status status = Ok();
  bool unknown = false;
};

class PodObjects {
 public:
  // The references must outlive it. `on_change` is called on the loop when an object that the pod names changed, so
  // that what failed for want of it is tried again at once.
  PodObjects(PodServices& services, const corev1::Pod& pod, PodEvents& events, std::function<PodFacts()> facts,
             std::function<void()> on_change);

  // Sets up every volume of the pod, those made of objects with their files. Where nobody can say what an object holds,
  // files of an earlier time are good enough (a restart of the agent without the API server).
  Task<ObjectStatus> SetUpVolumes();

  // What the container's env may name. The error: nobody can say what an object holds (IsUnknown), or the Services.
  Task<Result<EnvSources>> SourcesOf(corev1::Container container);

  // The credentials for `image` from the pod's imagePullSecrets; where it names none, from its ServiceAccount's, which
  // the API server's admission would have copied. What is missing becomes an Event: the pull may work without.
  Task<std::vector<cri::v1::AuthConfig>> PullCredentials(std::string image);

  // What PullCredentials found is not watched any longer: until then, a change of it means another try (GC-04).
  void PullSucceeded() { pull_subscriptions_.clear(); }

  // The class that the pod names; an empty one where it names none. The configuration's word holds, and the API server
  // is asked only for a class that is not configured. The error: nobody can say (IsUnknown), or nobody has it.
  Task<Result<decide::RuntimeClass>> FindRuntimeClass();

  // Writes new files when an object changed, a label did (PodChanged), or a token is due. Runs until cancelled; ends at
  // once for a pod without such volumes.
  Task<void> KeepFresh();
  // The pod's labels, annotations or resources changed.
  void PodChanged();

  // No file is written from here on, and nobody is told of changes any more: the pod is being taken down.
  Task<void> Close();

  // How often the source told of a change.
  std::uint64_t changes() const { return changes_; }
  // Of the oldest object in use that is not live (VO-10); unset when all are.
  std::optional<WallTime> cached_since() const;

 private:
  using Subscriptions = std::map<ObjectKey, std::unique_ptr<ObjectSource::Subscription>>;

  void Watch(ObjectKey::Kind kind, const std::string& name, Subscriptions& subscriptions);
  void WatchAll();
  void Changed(const ObjectKey& key);
  Task<Result<WantedFiles>> MakeFiles(corev1::Volume volume);
  Task<Result<TokenValues>> TokensOf(corev1::Volume volume);
  TokenRequest RequestOf(const corev1::ServiceAccountTokenProjection& projection) const;
  bool HasDueToken(const corev1::Volume& volume) const;
  std::vector<const corev1::Volume*> ObjectVolumes() const;  // that containers mount
  Task<void> Refresh();
  void KeepOldFiles(const std::string& volume, const Error& why);  // until a later try
  std::optional<MonoTime> NextCheck() const;
  void NoteAge(const std::string& user, std::optional<WallTime> cached_since);
  Task<Result<std::vector<corev1::Service>>> Services();
  Task<std::vector<std::string>> PullSecretNames();

  PodServices& services_;
  const corev1::Pod& pod_;
  PodEvents& events_;
  std::function<PodFacts()> facts_;
  std::function<void()> on_change_;
  PodTokens tokens_;
  async::Wake wake_;
  async::Semaphore files_;  // who writes the volumes' files
  Subscriptions subscriptions_;
  Subscriptions pull_subscriptions_;        // what a pull that has not succeeded depends on
  Subscriptions token_subscriptions_;       // the account, while it gives no token
  Subscriptions class_subscriptions_;       // the RuntimeClass, while nobody gives it
  std::set<std::string> stale_;             // volumes to write anew
  std::map<std::string, Backoff> failed_;   // volumes that could not be written anew
  std::map<std::string, WallTime> cached_;  // by user: "volume x", "container y"
  std::uint64_t changes_ = 0;
  bool set_up_ = false;
  bool closed_ = false;
};

}  // namespace daemonsetd::pods
