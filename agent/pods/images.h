// Brings images to the node: pull policy, back-off, bounded parallelism, one pull for everybody who wants the same
// image. Rules: pkg/kubelet/images (image_manager.go).
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <optional>
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

struct PullSettings {
  int parallel = 4;  // pulls at the same time on this node
  BackoffLimits backoff{.initial = std::chrono::seconds(10), .maximum = std::chrono::minutes(5)};
  // One pull, from the start of the download. CRI reports no progress, so a hanging pull is only told by its length.
  Nanoseconds pull_timeout = std::chrono::minutes(30);
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

struct PullOutcome {
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
  // `runtime`, `timeline` and `credentials` must outlive the puller. Without credentials every pull is anonymous.
  ImagePuller(async::Executor executor, async::Timeline& timeline, cri::Runtime& runtime, PullSettings settings,
              ImageCredentials* credentials = nullptr);
  ~ImagePuller();
  ImagePuller(const ImagePuller&) = delete;
  ImagePuller& operator=(const ImagePuller&) = delete;

  // Makes the image present as the policy says. A pull that was started goes on when its callers are cancelled: others
  // may wait for it, and what it fetched is not fetched again. Back-off counts per image and credentials, so that new
  // credentials are tried at once (GC-04). Throws operation_aborted when the caller is cancelled.
  Task<PullOutcome> Ensure(PullRequest request);

  // Sorted by image.
  std::vector<PullState> States() const;
  // The pull that `requester` waits for now.
  std::optional<PullState> WaitingFor(std::string_view requester) const;

  // Cancels the pulls and waits for them. Before destruction.
  Task<void> Stop();

 private:
  struct Pull;
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
  };

  Task<Present> Look(std::string image);
  Task<ImageCredentials::Answer> Credentials(std::vector<cri::v1::AuthConfig> own, std::string repository);
  Task<void> RunPull(std::shared_ptr<Pull> pull, cri::v1::PullImageRequest request, int priority);
  Task<Status> PullWithEach(std::shared_ptr<Pull> pull, cri::v1::PullImageRequest request);
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
  async::Semaphore places_;
  async::TaskScope scope_;
  std::map<std::string, std::shared_ptr<Pull>> pulls_;  // by image and credentials
  std::map<std::string, Failure> failures_;             // by the same
};

}  // namespace daemonsetd::pods
