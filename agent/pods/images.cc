#include "agent/pods/images.h"

#include <algorithm>
#include <array>
#include <list>
#include <string_view>
#include <utility>

#include <fmt/format.h>

#include "agent/async/within_deadline.h"
#include "agent/base/digest.h"
#include "agent/base/log.h"
#include "agent/pods/garbage/damaged_images.h"
#include "agent/pods/image_name.h"
#include "agent/pods/pull_progress.h"

#include <boost/asio/as_tuple.hpp>
#include <boost/asio/error.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/this_coro.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <boost/system/system_error.hpp>

namespace daemonsetd::pods {

namespace asio = boost::asio;
namespace v1 = ::runtime::v1;

namespace {

// A removal takes as long as a few file operations.
constexpr Nanoseconds kRemovalPoll = std::chrono::milliseconds(50);
// Between two looks at the progress of pulls.
constexpr Nanoseconds kLeastLook = std::chrono::milliseconds(100);
constexpr Nanoseconds kMostLook = std::chrono::seconds(10);

// Pulls with different credentials are different pulls. The digest keeps the credentials themselves out of the key.
std::string KeyOf(const std::string& image, const std::vector<v1::AuthConfig>& auths) {
  if (auths.empty()) return image;
  std::string all;
  for (const v1::AuthConfig& auth : auths) all += auth.SerializeAsString() + '\n';
  return fmt::format("{}#{:016x}", image, Fnv1a64(all));
}

// CRI names this state only in some runtimes; containerd passes the Go error's text on.
bool IsRegistryUnavailable(const Error& error) {
  constexpr std::array<std::string_view, 8> kSigns = {
      "RegistryUnavailable", "connection refused",     "no such host", "i/o timeout",
      "no route to host",    "network is unreachable", "503 Service",  "TLS handshake timeout"};
  return std::any_of(kSigns.begin(), kSigns.end(),
                     [&error](std::string_view sign) { return error.message().find(sign) != std::string::npos; });
}

const char* ReasonOf(const Error& error) {
  return IsRegistryUnavailable(error) ? "RegistryUnavailable" : "ErrImagePull";
}

std::string PolicyOf(const PullRequest& request, const ImageName& name) {
  if (!request.policy.empty()) return request.policy;
  return name.digest.empty() && name.tag == "latest" ? "Always" : "IfNotPresent";
}

PullOutcome Fail(std::string reason, Error error) {
  PullOutcome outcome;
  outcome.reason = std::move(reason);
  outcome.status = std::move(error);
  return outcome;
}

PullOutcome Success(v1::Image image, ImageHold hold) {
  PullOutcome outcome;
  outcome.hold = std::move(hold);
  outcome.image_ref = image.id();
  outcome.image = std::move(image);
  return outcome;
}

}  // namespace

std::string RequesterName(const corev1::Pod& pod, std::string_view container) {
  return fmt::format("{}/{}, container {}", pod.metadata().namespace_(), pod.metadata().name(), container);
}

std::string Describe(const PullState& state, const Now& now) {
  const std::string since = FormatRfc3339(now.wall - (now.mono - state.since));
  switch (state.phase) {
    case PullState::Phase::kPulling: return fmt::format("pulling image {} since {}", state.image, since);
    case PullState::Phase::kQueued:
      return fmt::format("waiting since {} to pull image {}: other pulls are under way", since, state.image);
    case PullState::Phase::kBackOff: break;
  }
  return fmt::format("back-off pulling image {} since {}: {}", state.image, since, state.last_error);
}

struct ImagePuller::Pull {
  Pull(const async::Executor& executor, std::string pull_key, std::string pull_image, MonoTime now)
      : key(std::move(pull_key)),
        image(std::move(pull_image)),
        since(now),
        finished(executor, asio::steady_timer::time_point::max()) {}

  std::string key;
  std::string image;
  MonoTime since;
  bool pulling = false;
  std::list<PullState::Waiter> waiters;
  ImageCredentials::Answer credentials;
  std::optional<Status> result;
  asio::steady_timer finished;  // never expires; cancelled when `result` is there
};

ImagePuller::ImagePuller(async::Executor executor, async::Timeline& timeline, cri::Runtime& runtime,
                         PullSettings settings, ImageCredentials* credentials, PullProgress* progress,
                         DamagedImages* damaged)
    : executor_(executor),
      timeline_(timeline),
      runtime_(runtime),
      settings_(settings),
      credentials_(credentials),
      progress_(progress),
      damaged_(damaged),
      places_(executor, std::max(settings.parallel, 1)),
      scope_(executor) {}

ImagePuller::~ImagePuller() = default;

Task<ImagePuller::Present> ImagePuller::Look(std::string image) {
  v1::ImageSpec spec;
  spec.set_image(image);
  std::uint64_t removals = 0;
  Result<v1::Image> found = Error();
  bool stands = false;
  // The answer may be older than a removal that went on meanwhile.
  while (!stands) {
    removals = removals_;
    found = co_await runtime_.ImageStatus(spec, settings_.request_timeout);
    stands = !found || (removals == removals_ && !removing_.contains(found->id()));
    if (!stands) co_await timeline_.SleepFor(kRemovalPoll);
  }
  Present present;
  if (found) {
    present.hold = Hold(found->id());
    present.image = std::move(*found);
  } else if (found.error().kind() != ErrorKind::kAbsent) {
    present.status = found.error().WithContext("asking the runtime for image " + image);
  }
  co_return present;
}

ImageHold ImagePuller::Hold(const std::string& image_id) {
  ++(*holds_)[image_id];
  return {holds_.get(), [holds = holds_, image_id](const void*) {
            const auto held = holds->find(image_id);
            if (--held->second == 0) holds->erase(held);
          }};
}

// Ends also where its coroutine is cancelled: then the image is maybe gone, and who looks next finds out.
class ImagePuller::Removal {
 public:
  Removal(ImagePuller& puller, std::vector<std::string> names) : puller_(puller), names_(std::move(names)) {
    puller_.removing_.insert(names_.begin(), names_.end());
  }
  ~Removal() {
    for (const std::string& name : names_) puller_.removing_.erase(name);
    ++puller_.removals_;
  }
  Removal(const Removal&) = delete;
  Removal& operator=(const Removal&) = delete;

 private:
  ImagePuller& puller_;
  const std::vector<std::string> names_;
};

bool ImagePuller::IsNeeded(const std::string& image_id, const std::vector<std::string>& names) const {
  if (holds_->contains(image_id)) return true;
  const auto is_asked_for = [this](const std::string& name) { return asked_for_.contains(name); };
  if (std::any_of(names.begin(), names.end(), is_asked_for)) return true;
  // Also where nobody waits for it any more.
  return std::any_of(pulls_.begin(), pulls_.end(), [&names](const auto& entry) {
    return std::find(names.begin(), names.end(), entry.second->image) != names.end();
  });
}

Task<Status> ImagePuller::Remove(std::string image_id, std::vector<std::string> names, Nanoseconds timeout) {
  if (IsNeeded(image_id, names)) {
    co_return Error(ErrorKind::kConflict, "a container of image " + image_id + " is being started");
  }
  names.push_back(image_id);
  const Removal under_way(*this, std::move(names));
  v1::ImageSpec spec;
  spec.set_image(image_id);
  co_return co_await runtime_.RemoveImage(std::move(spec), timeout);
}

void ImagePuller::NoteFailedStart(const std::string& image, std::string_view error) {
  if (damaged_) damaged_->NoteFailedStart(image, error);
}

Task<PullOutcome> ImagePuller::Ensure(PullRequest request) {
  const Result<ImageName> name = ParseImageName(request.image);
  if (!name) co_return Fail("InvalidImageName", name.error());
  const std::string policy = PolicyOf(request, *name);
  const std::string image = name->Canonical();
  // From now on the image is not taken from under this request; once it was seen, the hold does the same by ID.
  const auto asked = asked_for_.insert(image);
  const auto forget = [this, asked](const void*) { asked_for_.erase(asked); };
  const std::unique_ptr<const void, decltype(forget)> until_end(&image, forget);

  Present present = co_await Look(image);
  if (!present.status) co_return Fail("ImageInspectError", present.status.error());
  // It is only given up when the registry still has it.
  const bool suspected = present.image && damaged_ && damaged_->Suspects(*present.image) && policy != "Never";
  if (present.image && policy != "Always" && !suspected) {
    co_return Success(std::move(*present.image), std::move(present.hold));
  }
  if (policy == "Never") {
    co_return Fail(
        "ErrImageNeverPull",
        Error(ErrorKind::kAbsent, fmt::format("Container image \"{}\" is not present with pull policy of Never; "
                                              "load it with: ctr -n k8s.io images import FILE",
                                              request.image)));
  }

  if (request.find_auths) {
    const std::vector<v1::AuthConfig> found = co_await request.find_auths();
    request.auths.insert(request.auths.end(), found.begin(), found.end());
  }
  std::string repository = name->registry + "/" + name->repository;
  ImageCredentials::Answer credentials = co_await Credentials(request.auths, std::move(repository));
  const std::string key = KeyOf(image, credentials.auths);
  const auto failed = failures_.find(key);
  if (!pulls_.contains(key) && failed != failures_.end() && failed->second.backoff.Waiting(timeline_.mono())) {
    if (suspected && policy != "Always") co_return Success(std::move(*present.image), std::move(present.hold));
    const Failure& failure = failed->second;
    PullOutcome outcome =
        Fail("ImagePullBackOff", Error(ErrorKind::kRetry, fmt::format("Back-off pulling image \"{}\": {}: {}",
                                                                      request.image, failure.reason, failure.message)));
    outcome.retry_at = failure.backoff.due();
    co_return outcome;
  }

  std::shared_ptr<Pull> pull = Join(key, image, request, credentials);
  if (request.on_pull) request.on_pull();
  co_await Wait(pull, request.requester);
  if (suspected && *pull->result) {
    present.hold.reset();
    if (co_await TakeAway(*present.image)) {
      pull = Join(key, image, request, std::move(credentials));
      co_await Wait(pull, std::move(request.requester));
    }
  }
  if (!*pull->result) {
    const Error& error = pull->result->error();
    const bool unavailable = IsRegistryUnavailable(error);
    if (suspected && present.hold && policy != "Always") {
      co_return Success(std::move(*present.image), std::move(present.hold));
    }
    if (unavailable && settings_.always_if_reachable && present.hold) {
      PullOutcome outcome = Success(std::move(*present.image), std::move(present.hold));
      outcome.stale = true;
      co_return outcome;
    }
    PullOutcome outcome = Fail(ReasonOf(error), error);
    if (const auto entry = failures_.find(key); entry != failures_.end()) {
      outcome.retry_at = entry->second.backoff.due();
    }
    co_return outcome;
  }

  Present pulled = co_await Look(image);
  if (!pulled.status) co_return Fail("ImageInspectError", pulled.status.error());
  if (!pulled.image) {
    co_return Fail("ErrImagePull",
                   Error(ErrorKind::kRetry, fmt::format("image {} was pulled and removed again", request.image)));
  }
  PullOutcome outcome = Success(std::move(*pulled.image), std::move(pulled.hold));
  outcome.pulled = true;
  co_return outcome;
}

// Whoever asks for the image meanwhile waits (Look), and then finds it gone.
Task<bool> ImagePuller::TakeAway(v1::Image image) {
  if (removing_.contains(image.id())) co_return false;
  const Removal under_way(*this, {image.id()});
  co_return co_await damaged_->TakeAway(std::move(image));
}

std::shared_ptr<ImagePuller::Pull> ImagePuller::Join(const std::string& key, const std::string& image,
                                                     const PullRequest& request, ImageCredentials::Answer credentials) {
  if (const auto present = pulls_.find(key); present != pulls_.end()) return present->second;
  const auto pull = std::make_shared<Pull>(executor_, key, image, timeline_.mono());
  pull->credentials = std::move(credentials);
  pulls_.emplace(key, pull);
  v1::PullImageRequest call;
  call.mutable_image()->set_image(image);
  call.mutable_image()->set_user_specified_image(request.image);
  *call.mutable_sandbox_config() = request.sandbox_config;
  // Cancelled by Stop() before or while it ran: its waiters must not wait for ever.
  const auto on_end = [this, pull] {
    if (!pull->result) pull->result = Error(ErrorKind::kCancelled, "pulling was stopped");
    pulls_.erase(pull->key);
    pull->finished.cancel();
  };
  scope_.Spawn("pull " + image, RunPull(pull, std::move(call), request.priority), on_end);
  return pull;
}

Task<void> ImagePuller::RunPull(std::shared_ptr<Pull> pull, v1::PullImageRequest request, int priority) {
  const async::Semaphore::Permit place = co_await places_.Acquire(priority);
  // Else what comes would be taken away again.
  while (removing_.contains(pull->image)) co_await timeline_.SleepFor(kRemovalPoll);
  pull->pulling = true;
  pull->since = timeline_.mono();
  log::Info("pulling image", {{"image", pull->image}});
  const Status answer = co_await PullWithEach(pull, std::move(request));
  const std::string took = FormatDuration(timeline_.mono() - pull->since);
  if (answer) {
    log::Info("pulled image", {{"image", pull->image}, {"took", took}});
  } else {
    log::Warning("cannot pull image", {{"image", pull->image}, {"took", took}, {"err", answer.error().message()}});
  }
  pull->result = answer;
  Record(*pull);
}

// Which of several credentials opens the image only the registry knows. The last answer counts, and all of them share
// the time of one pull.
Task<Status> ImagePuller::PullWithEach(std::shared_ptr<Pull> pull, v1::PullImageRequest request) {
  const ImageCredentials::Answer& credentials = pull->credentials;
  const MonoTime deadline = pull->since + settings_.pull_timeout;
  Status status = Ok();
  for (std::size_t i = 0; i < std::max<std::size_t>(credentials.auths.size(), 1); ++i) {
    if (!credentials.auths.empty()) *request.mutable_auth() = credentials.auths[i];
    const Nanoseconds left = deadline - timeline_.mono();
    if (i > 0 && left <= Nanoseconds::zero()) break;
    v1::PullImageRequest attempt = request;
    const Result<std::string> answer = co_await PullOnce(std::move(attempt), left);
    if (answer) co_return Ok();
    status = answer.error().WithContext("pulling image " + pull->image);
    if (answer.error().kind() == ErrorKind::kCancelled) break;
  }
  if (!credentials.file) {
    status = Error(status.error().kind(),
                   fmt::format("{} ({})", status.error().message(), credentials.file.error().message()));
  }
  co_return status;
}

Task<Result<std::string>> ImagePuller::PullOnce(v1::PullImageRequest request, Nanoseconds timeout) {
  if (progress_ == nullptr || settings_.progress_timeout == Nanoseconds::zero()) {
    co_return co_await runtime_.PullImage(std::move(request), timeout);
  }
  const Nanoseconds between = std::clamp(settings_.progress_timeout / 5, kLeastLook, kMostLook);
  auto call = runtime_.PullImage(std::move(request), timeout);
  async::Running<Result<std::string>> pull(executor_, std::move(call));
  std::optional<std::uint64_t> seen;
  MonoTime moved = timeline_.mono();
  bool stalled = false;
  while (!stalled && !co_await pull.WaitUntil(&timeline_, timeline_.mono() + between) && !pull.cancelled()) {
    const std::optional<std::uint64_t> now = co_await progress_->Look(settings_.request_timeout);
    if (!now || now != seen) moved = timeline_.mono();
    seen = now;
    stalled = timeline_.mono() - moved >= settings_.progress_timeout;
  }
  co_await pull.End();
  if (pull.answer() && (!stalled || *pull.answer())) co_return std::move(*pull.answer());
  co_return Error(ErrorKind::kTimeout,
                  fmt::format("nothing came from the registry for {} (imagePullProgressTimeout), so the pull was given "
                              "up; look at the registry and the way to it",
                              FormatDuration(settings_.progress_timeout)));
}

Task<ImageCredentials::Answer> ImagePuller::Credentials(std::vector<v1::AuthConfig> own, std::string repository) {
  ImageCredentials::Answer answer;
  if (credentials_ != nullptr) answer = co_await credentials_->Find(std::move(repository));
  answer.auths.insert(answer.auths.begin(), own.begin(), own.end());
  co_return answer;
}

void ImagePuller::Record(const Pull& pull) {
  if (*pull.result) {
    failures_.erase(pull.key);
    return;
  }
  if (pull.result->error().kind() == ErrorKind::kCancelled) return;
  const MonoTime now = timeline_.mono();
  Failure& failure = failures_.try_emplace(pull.key, settings_.backoff).first->second;
  failure.image = pull.image;
  failure.backoff.Fail(now);
  failure.at = now;
  failure.reason = ReasonOf(pull.result->error());
  failure.message = pull.result->error().message();
  ForgetOldFailures();
}

// Images that nobody asks for any more must not stay for ever.
void ImagePuller::ForgetOldFailures() {
  const MonoTime now = timeline_.mono();
  std::erase_if(failures_, [&](const auto& entry) {
    const auto due = entry.second.backoff.due();
    return due && now > *due + 2 * settings_.backoff.maximum;
  });
}

Task<void> ImagePuller::Wait(std::shared_ptr<Pull> pull, std::string requester) {
  struct Listed {
    Listed(std::list<PullState::Waiter>& all, PullState::Waiter waiter)
        : list(all), place(all.insert(all.end(), std::move(waiter))) {}
    Listed(const Listed&) = delete;
    Listed& operator=(const Listed&) = delete;
    ~Listed() { list.erase(place); }
    std::list<PullState::Waiter>& list;
    std::list<PullState::Waiter>::iterator place;
  };
  const Listed listed(pull->waiters, {.requester = std::move(requester), .since = timeline_.mono()});
  while (!pull->result) {
    co_await pull->finished.async_wait(asio::as_tuple(asio::use_awaitable));
    const auto state = co_await asio::this_coro::cancellation_state;
    if (state.cancelled() != asio::cancellation_type::none) {
      throw boost::system::system_error(asio::error::operation_aborted);
    }
  }
}

PullState ImagePuller::StateOf(const Pull& pull) {
  return {.image = pull.image,
          .phase = pull.pulling ? PullState::Phase::kPulling : PullState::Phase::kQueued,
          .since = pull.since,
          .waiters = {pull.waiters.begin(), pull.waiters.end()},
          .last_error = {},
          .retry_at = {}};
}

std::optional<PullState> ImagePuller::WaitingFor(std::string_view requester) const {
  for (const auto& [key, pull] : pulls_) {
    for (const PullState::Waiter& waiter : pull->waiters) {
      if (waiter.requester == requester) return StateOf(*pull);
    }
  }
  return std::nullopt;
}

std::vector<PullState> ImagePuller::States() const {
  std::map<std::string, PullState> states;
  for (const auto& [key, failure] : failures_) {
    states[key] = PullState{.image = failure.image,
                            .phase = PullState::Phase::kBackOff,
                            .since = failure.at,
                            .failures = failure.backoff.failures(),
                            .last_error = failure.message,
                            .retry_at = failure.backoff.due()};
  }
  for (const auto& [key, pull] : pulls_) {
    PullState& state = states[key];
    PullState now = StateOf(*pull);
    now.failures = state.failures;
    now.last_error = std::move(state.last_error);
    state = std::move(now);
  }
  std::vector<PullState> sorted;
  for (auto& [key, state] : states) sorted.push_back(std::move(state));
  return sorted;
}

Task<void> ImagePuller::Stop() {
  scope_.Cancel();
  co_await scope_.Join();
}

}  // namespace daemonsetd::pods
