// Brings images to the node: pull policy, back-off, bounded parallelism, one pull for everybody who wants the same
// image. Rules: pkg/kubelet/images (image_manager.go).
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "agent/async/semaphore.h"
#include "agent/async/task_scope.h"
#include "agent/async/timeline.h"
#include "agent/base/backoff.h"
#include "agent/base/result.h"
#include "agent/model/kubernetes.h"
#include "agent/pods/image_credentials.h"
#include "cri/runtime.h"

namespace daemonsetd::pods {

class DamagedImages;
class PullProgress;

struct PullSettings {
  int parallel = 4;  // pulls at the same time on this node
  BackoffLimits backoff{.initial = std::chrono::seconds(10), .maximum = std::chrono::minutes(5)};
  Nanoseconds pull_timeout = std::chrono::minutes(30);  // one pull, from the start of the download
  // A pull is given up when nothing came to the disk for this long (GC-06). CRI tells no progress, so it is read off
  // the disk (pull_progress.h); where that cannot be seen, only pull_timeout counts. Zero: likewise.
  Nanoseconds progress_timeout = Nanoseconds::zero();
  Nanoseconds request_timeout = std::chrono::minutes(2);  // ImageStatus
  // Policy Always starts with the image that is here when the registry cannot be reached (GC-08).
  bool always_if_reachable = false;
};

// "ns/pod, container main": who waits for a pull.
std::string RequesterName(const corev1::Pod& pod, std::string_view container);

struct PullRequest {
  std::string image;   // as the container names it
  std::string policy;  // "Always", "IfNotPresent", "Never"; empty: what API defaulting would choose
  // The pod's own, tried in turn before those of the node's file.
  std::vector<cri::v1::AuthConfig> auths;
  // Finds more of them, if set; asked only when the image has to be pulled.
  std::function<Task<std::vector<cri::v1::AuthConfig>>()> find_auths;
  std::string requester;                     // who waits, for people: "ns/pod, container main"
  cri::v1::PodSandboxConfig sandbox_config;  // passed on to the runtime
  int priority = 0;                          // a higher one goes first when pulls wait
  std::function<void()> on_pull;             // called, if set, when this request is going to wait for a pull
};

// While one of these lives, no image garbage collection takes the image (GC-03).
using ImageHold = std::shared_ptr<const void>;

struct PullOutcome {
  ImageHold hold;         // when `status` is good
  cri::v1::Image image;   // when `status` is good
  std::string image_ref;  // what CreateContainer wants
  Status status = Ok();
  // Kubernetes' word for the failure: "ErrImagePull", "ImagePullBackOff", "ErrImageNeverPull", "InvalidImageName",
  // "RegistryUnavailable", "ImageInspectError".
  std::string reason;
  std::optional<MonoTime> retry_at;  // no pull before
  bool pulled = false;               // this request waited for a pull (its own or a joined one)
  bool stale = false;                // always_if_reachable: the registry was not asked
};

// For the status of the node: what is being pulled, and what waits after a failure.
struct PullState {
  std::string image;  // canonical
  enum class Phase { kQueued, kPulling, kBackOff } phase;
  MonoTime since;  // queued, started, or failed
  struct Waiter {
    std::string requester;
    MonoTime since;
  };
  std::vector<Waiter> waiters;       // requests that share this pull, the first one first
  int failures = 0;                  // in a row
  std::string last_error;            // empty before the first failure
  std::optional<MonoTime> retry_at;  // kBackOff
};

// "pulling image docker.io/library/busybox:1 since 2026-11-25T04:30:00Z". A moment, not an age: see local/snapshot.h.
std::string Describe(const PullState& state, const Now& now);

// Everything on the loop thread.
class ImagePuller {
 public:
  // What it is given must outlive the puller. Without credentials every pull is anonymous, without `progress` no pull
  // is given up for want of it, and without `damaged` no image is ever suspected.
  ImagePuller(async::Executor executor, async::Timeline& timeline, cri::Runtime& runtime, PullSettings settings,
              ImageCredentials* credentials = nullptr, PullProgress* progress = nullptr,
              DamagedImages* damaged = nullptr);
  ~ImagePuller();
  ImagePuller(const ImagePuller&) = delete;
  ImagePuller& operator=(const ImagePuller&) = delete;

  // Makes the image present as the policy says. A pull that was started goes on when its callers are cancelled: others
  // may wait for it, and what it fetched is not fetched again. Back-off counts per image and credentials, so that new
  // credentials are tried at once (GC-04). Throws operation_aborted when the caller is cancelled.
  Task<PullOutcome> Ensure(PullRequest request);

  // A container of this image, under any of its names, could not be started. After a loss of power that may be the
  // image's fault; then the next Ensure fetches it anew, once (DamagedImages).
  void NoteFailedStart(const std::string& image, std::string_view error);

  // Removes an image, under all its names, unless somebody here is about to use it (kConflict).
  Task<Status> Remove(std::string image_id, std::vector<std::string> names, Nanoseconds timeout);

  // Sorted by image.
  std::vector<PullState> States() const;
  // The pull that `requester` waits for now.
  std::optional<PullState> WaitingFor(std::string_view requester) const;

  // Cancels the pulls and waits for them. Before destruction.
  Task<void> Stop();

 private:
  struct Pull;
  class Removal;
  struct Failure {
    explicit Failure(BackoffLimits limits) : backoff(limits) {}
    std::string image;
    Backoff backoff;
    MonoTime at;
    std::string reason;
    std::string message;
  };
  struct Present {
    Status status = Ok();                 // the question failed
    std::optional<cri::v1::Image> image;  // unset: not here
    ImageHold hold;
  };

  Task<Present> Look(std::string image);
  Task<ImageCredentials::Answer> Credentials(std::vector<cri::v1::AuthConfig> own, std::string repository);
  Task<void> RunPull(std::shared_ptr<Pull> pull, cri::v1::PullImageRequest request, int priority);
  Task<Status> PullWithEach(std::shared_ptr<Pull> pull, cri::v1::PullImageRequest request);
  Task<Result<std::string>> PullOnce(cri::v1::PullImageRequest request, Nanoseconds timeout);
  Task<bool> TakeAway(cri::v1::Image image);
  ImageHold Hold(const std::string& image_id);
  bool IsNeeded(const std::string& image_id, const std::vector<std::string>& names) const;
  Task<void> Wait(std::shared_ptr<Pull> pull, std::string requester);
  std::shared_ptr<Pull> Join(const std::string& key, const std::string& image, const PullRequest& request,
                             ImageCredentials::Answer credentials);
  static PullState StateOf(const Pull& pull);
  void Record(const Pull& pull);
  void ForgetOldFailures();

  async::Executor executor_;
  async::Timeline& timeline_;
  cri::Runtime& runtime_;
  PullSettings settings_;
  ImageCredentials* credentials_;
  PullProgress* progress_;
  DamagedImages* damaged_;
  async::Semaphore places_;
  async::TaskScope scope_;
  std::map<std::string, std::shared_ptr<Pull>> pulls_;  // by image and credentials
  std::map<std::string, Failure> failures_;             // by the same
  // By image ID. Shared with the holds, which may outlive the puller.
  std::shared_ptr<std::map<std::string, int>> holds_ = std::make_shared<std::map<std::string, int>>();
  std::multiset<std::string> asked_for_;  // by Ensure, canonical
  std::set<std::string> removing_;        // IDs and names
  std::uint64_t removals_ = 0;            // that ended
};

}  // namespace daemonsetd::pods
