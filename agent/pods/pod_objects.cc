#include "agent/pods/pod_objects.h"

#include <algorithm>
#include <utility>

#include <fmt/format.h>
#include <fmt/ranges.h>

#include "agent/base/log.h"
#include "agent/decide/pod_object.h"
#include "agent/pods/image_name.h"
#include "agent/pods/service_links.h"
#include "agent/pods/volumes/object_volumes.h"

namespace daemonsetd::pods {
namespace {

using decide::NameOf;

// One question to the source.
constexpr Nanoseconds kTimeout = std::chrono::seconds(10);
constexpr BackoffLimits kRefreshRetry{.initial = std::chrono::seconds(5), .maximum = std::chrono::minutes(2)};

bool HasToken(const corev1::Volume& volume) {
  const auto& sources = volume.volumesource().projected().sources();
  return std::any_of(sources.begin(), sources.end(),
                     [](const corev1::VolumeProjection& source) { return source.has_serviceaccounttoken(); });
}

bool HasDownwardApi(const corev1::Volume& volume) {
  const auto& sources = volume.volumesource().projected().sources();
  return volume.volumesource().has_downwardapi() ||
         std::any_of(sources.begin(), sources.end(),
                     [](const corev1::VolumeProjection& source) { return source.has_downwardapi(); });
}

bool NamesObject(const corev1::Volume& volume, const ObjectKey& key) {
  ObjectNames names;
  AddNames(volume, names);
  switch (key.kind) {
    case ObjectKey::Kind::kConfigMap: return names.config_maps.contains(key.name);
    case ObjectKey::Kind::kSecret: return names.secrets.contains(key.name);
    case ObjectKey::Kind::kServiceAccount: return HasToken(volume);
    case ObjectKey::Kind::kRuntimeClass: break;
  }
  return false;
}

// The words that people look for (pkg/kubelet/volumemanager).
Error MountFailed(const std::string& volume, const Error& error) {
  return Error(error.kind(), fmt::format("MountVolume.SetUp failed for volume \"{}\" : {}", volume, error.message()));
}

}  // namespace

PodObjects::PodObjects(PodServices& services, const corev1::Pod& pod, PodEvents& events,
                       std::function<PodFacts()> facts, std::function<void()> on_change)
    : services_(services),
      pod_(pod),
      events_(events),
      facts_(std::move(facts)),
      on_change_(std::move(on_change)),
      tokens_(services.objects, services.timeline),
      wake_(services.executor),
      files_(services.executor, 1) {}

std::vector<const corev1::Volume*> PodObjects::ObjectVolumes() const {
  const std::set<std::string> mounted = MountedVolumes(pod_.spec());
  std::vector<const corev1::Volume*> volumes;
  for (const corev1::Volume& volume : pod_.spec().volumes()) {
    if (mounted.contains(volume.name()) && FindObjectVolume(volume.volumesource())) volumes.push_back(&volume);
  }
  return volumes;
}

void PodObjects::Watch(ObjectKey::Kind kind, const std::string& name, Subscriptions& subscriptions) {
  ObjectKey key{.kind = kind, .name_space = pod_.metadata().namespace_(), .name = name};
  if (kind == ObjectKey::Kind::kRuntimeClass) key.name_space.clear();
  if (name.empty() || closed_ || subscriptions.contains(key)) return;
  auto subscription = services_.objects->Watch(key, [this, key] { Changed(key); });
  subscriptions.emplace(std::move(key), std::move(subscription));
}

void PodObjects::WatchAll() {
  ObjectNames names;
  for (const corev1::Volume* volume : ObjectVolumes()) AddNames(*volume, names);
  for (const auto* containers : {&pod_.spec().initcontainers(), &pod_.spec().containers()}) {
    for (const corev1::Container& container : *containers) AddNames(container, names);
  }
  for (const std::string& name : names.config_maps) Watch(ObjectKey::Kind::kConfigMap, name, subscriptions_);
  for (const std::string& name : names.secrets) Watch(ObjectKey::Kind::kSecret, name, subscriptions_);
}

void PodObjects::Changed(const ObjectKey& key) {
  ++changes_;
  if (key.kind == ObjectKey::Kind::kServiceAccount) tokens_.RetryNow();
  for (const corev1::Volume* volume : ObjectVolumes()) {
    if (!NamesObject(*volume, key)) continue;
    stale_.insert(volume->name());
    failed_.erase(volume->name());
  }
  if (!stale_.empty()) wake_.Notify();
  on_change_();
}

void PodObjects::PodChanged() {
  for (const corev1::Volume* volume : ObjectVolumes()) {
    if (HasDownwardApi(*volume)) stale_.insert(volume->name());
  }
  if (!stale_.empty()) wake_.Notify();
}

TokenRequest PodObjects::RequestOf(const corev1::ServiceAccountTokenProjection& projection) const {
  TokenRequest request;
  request.name_space = pod_.metadata().namespace_();
  request.service_account = pod_.spec().serviceaccountname();
  request.audience = projection.audience();
  if (projection.has_expirationseconds()) request.expiration = Seconds(projection.expirationseconds());
  request.pod_name = pod_.metadata().name();
  const std::string object_uid = facts_().object_uid;
  request.pod_uid = object_uid.empty() ? pod_.metadata().uid() : object_uid;
  return request;
}

Task<Result<TokenValues>> PodObjects::TokensOf(corev1::Volume volume) {
  TokenValues values;
  const corev1::ProjectedVolumeSource& projected = volume.volumesource().projected();
  for (int i = 0; i < projected.sources_size(); ++i) {
    if (!projected.sources(i).has_serviceaccounttoken()) continue;
    TokenRequest request = RequestOf(projected.sources(i).serviceaccounttoken());
    // Admission names the account of every pod, and adds the volume of the default token; where no API server is, both
    // are the manifest's business.
    if (request.service_account.empty()) {
      co_return Error(ErrorKind::kInvalid, "serviceAccountToken: the pod names no serviceAccountName");
    }
    const std::string account = request.service_account;
    Result<std::string> token = co_await tokens_.Get(std::move(request), kTimeout);
    if (!token) {
      Watch(ObjectKey::Kind::kServiceAccount, account, token_subscriptions_);
      co_return Error(token.error().kind(),
                      fmt::format("failed to fetch token of ServiceAccount {}: {}", account, token.error().message()));
    }
    values[i] = std::move(*token);
  }
  if (!values.empty()) token_subscriptions_.clear();
  co_return values;
}

Task<Result<WantedFiles>> PodObjects::MakeFiles(corev1::Volume volume) {
  ObjectNames names;
  AddNames(volume, names);
  const NamedObjects objects =
      co_await Fetch(services_.objects, pod_.metadata().namespace_(), std::move(names), kTimeout);
  const Result<TokenValues> tokens = co_await TokensOf(volume);
  if (!tokens) co_return tokens.error();
  Result<WantedFiles> files = FilesOf(pod_, volume, objects, *tokens, facts_());
  if (files) NoteAge("volume " + volume.name(), objects.cached_since);
  co_return files;
}

Task<ObjectStatus> PodObjects::SetUpVolumes() {
  const async::Semaphore::Permit permit = co_await files_.Acquire();
  WatchAll();
  std::vector<corev1::Volume> volumes;
  for (const corev1::Volume* volume : ObjectVolumes()) volumes.push_back(*volume);
  ObjectFiles files{.volumes = {}, .now = services_.timeline.Read().wall};
  std::optional<Error> unknown;  // the first; after it nobody is asked for what can wait
  for (const corev1::Volume& volume : volumes) {
    if (unknown && co_await services_.volumes.HasFiles(pod_, volume.name())) {
      KeepOldFiles(volume.name(), *unknown);
      continue;
    }
    Result<WantedFiles> wanted = co_await MakeFiles(volume);
    if (wanted) {
      files.volumes.emplace(volume.name(), std::move(*wanted));
      continue;
    }
    const bool is_unknown = IsUnknown(wanted.error());
    if (!is_unknown || !co_await services_.volumes.HasFiles(pod_, volume.name())) {
      co_return ObjectStatus{.status = MountFailed(volume.name(), wanted.error()), .unknown = is_unknown};
    }
    unknown = wanted.error();
    KeepOldFiles(volume.name(), *unknown);
  }
  const Status done = co_await services_.volumes.SetUp(pod_, std::move(files));
  if (!done) co_return ObjectStatus{.status = done, .unknown = false};
  set_up_ = !closed_;
  wake_.Notify();
  if (const auto since = cached_since()) events_.CachedObjects(*since);
  co_return ObjectStatus();
}

bool PodObjects::HasDueToken(const corev1::Volume& volume) const {
  const auto& sources = volume.volumesource().projected().sources();
  return std::any_of(sources.begin(), sources.end(), [this](const corev1::VolumeProjection& source) {
    return source.has_serviceaccounttoken() && tokens_.IsDue(RequestOf(source.serviceaccounttoken()));
  });
}

std::optional<MonoTime> PodObjects::NextCheck() const {
  if (!set_up_) return std::nullopt;
  std::optional<MonoTime> next = tokens_.next_check();
  for (const auto& [volume, backoff] : failed_) {
    if (!next || *backoff.due() < *next) next = backoff.due();
  }
  return next;
}

Task<void> PodObjects::KeepFresh() {
  if (ObjectVolumes().empty()) co_return;
  for (;;) {
    co_await wake_.WaitUntil(services_.timeline, NextCheck());
    co_await Refresh();
  }
}

Task<void> PodObjects::Refresh() {
  const async::Semaphore::Permit permit = co_await files_.Acquire();
  if (!set_up_) co_return;
  const MonoTime now = services_.timeline.mono();
  std::vector<corev1::Volume> volumes;
  for (const corev1::Volume* volume : ObjectVolumes()) {
    const auto failed = failed_.find(volume->name());
    const bool again = failed != failed_.end() && !failed->second.Waiting(now);
    if (stale_.contains(volume->name()) || again || HasDueToken(*volume)) volumes.push_back(*volume);
  }
  stale_.clear();
  for (const corev1::Volume& volume : volumes) {
    const std::string& name = volume.name();
    Result<WantedFiles> wanted = co_await MakeFiles(volume);
    Status status = Ok();
    if (wanted) {
      ObjectFiles files{.volumes = {}, .now = services_.timeline.Read().wall};
      files.volumes.emplace(name, std::move(*wanted));
      status = co_await services_.volumes.Refresh(pod_, std::move(files));
    } else {
      status = MountFailed(name, wanted.error());
      if (!IsUnknown(wanted.error())) events_.MountFailed(status.error().message());
    }
    if (status) {
      failed_.erase(name);
      continue;
    }
    KeepOldFiles(name, status.error());
  }
}

void PodObjects::KeepOldFiles(const std::string& volume, const Error& why) {
  Backoff& backoff = failed_.try_emplace(volume, kRefreshRetry).first->second;
  backoff.Fail(services_.timeline.mono());
  log::Warning("a volume keeps its old files; trying again", {{"pod", NameOf(pod_)},
                                                              {"volume", volume},
                                                              {"retryIn", FormatDuration(backoff.delay())},
                                                              {"err", why.message()}});
}

Task<void> PodObjects::Close() {
  closed_ = true;
  set_up_ = false;
  subscriptions_.clear();
  pull_subscriptions_.clear();
  token_subscriptions_.clear();
  class_subscriptions_.clear();
  const async::Semaphore::Permit permit = co_await files_.Acquire();  // a refresh under way ends first
}

void PodObjects::NoteAge(const std::string& user, std::optional<WallTime> cached_since) {
  if (cached_since) {
    cached_[user] = *cached_since;
  } else {
    cached_.erase(user);
  }
}

std::optional<WallTime> PodObjects::cached_since() const {
  std::optional<WallTime> oldest;
  for (const auto& [user, since] : cached_) oldest = oldest ? std::min(*oldest, since) : since;
  return oldest;
}

Task<Result<std::vector<corev1::Service>>> PodObjects::Services() {
  std::vector<corev1::Service> services;
  // A pod that never met the API server (it has no account then) does not wait for it, as the kubelet's static pods.
  const bool waits = !pod_.spec().serviceaccountname().empty();
  const Result<Found<corev1::Service>> master =
      co_await services_.objects->GetService(kMasterServiceNamespace, kMasterService, kTimeout);
  if (master) services.push_back(*master->object);
  if (!master && master.error().kind() != ErrorKind::kAbsent && waits) co_return master.error();
  if (!pod_.spec().enableservicelinks() && pod_.spec().has_enableservicelinks()) co_return services;
  const Result<Found<corev1::ServiceList>> list =
      co_await services_.objects->ListServices(pod_.metadata().namespace_(), kTimeout);
  if (!list && waits) co_return list.error();
  if (list) services.insert(services.end(), list->object->items().begin(), list->object->items().end());
  co_return services;
}

Task<Result<EnvSources>> PodObjects::SourcesOf(corev1::Container container) {
  WatchAll();
  ObjectNames names;
  AddNames(container, names);
  EnvSources sources;
  sources.objects = co_await Fetch(services_.objects, pod_.metadata().namespace_(), std::move(names), kTimeout);
  if (sources.objects.unknown) co_return *sources.objects.unknown;
  Result<std::vector<corev1::Service>> services = co_await Services();
  if (!services) co_return services.error().WithContext("Services for the environment");
  sources.services = std::move(*services);
  NoteAge("container " + container.name(), sources.objects.cached_since);
  co_return sources;
}

Task<std::vector<std::string>> PodObjects::PullSecretNames() {
  std::vector<std::string> names;
  for (const auto& secret : pod_.spec().imagepullsecrets()) names.push_back(secret.name());
  const std::string account = pod_.spec().serviceaccountname();
  if (!names.empty() || account.empty()) co_return names;
  Watch(ObjectKey::Kind::kServiceAccount, account, pull_subscriptions_);
  const Result<Found<corev1::ServiceAccount>> found =
      co_await services_.objects->GetServiceAccount(pod_.metadata().namespace_(), account, kTimeout);
  if (found) {
    for (const auto& secret : found->object->imagepullsecrets()) names.push_back(secret.name());
  } else if (!IsUnknown(found.error())) {
    log::Debug("no pull secrets of a ServiceAccount", {{"pod", NameOf(pod_)}, {"err", found.error().message()}});
  } else {
    events_.PullSecretsMissing({"those of ServiceAccount " + account});
  }
  co_return names;
}

Task<std::vector<cri::v1::AuthConfig>> PodObjects::PullCredentials(std::string image) {
  const Result<ImageName> parsed = ParseImageName(image);
  if (!parsed) co_return std::vector<cri::v1::AuthConfig>();  // the puller says what is wrong with it
  std::vector<ImageCredential> credentials;
  std::vector<std::string> missing;
  const std::vector<std::string> names = co_await PullSecretNames();
  for (const std::string& name : names) {
    Watch(ObjectKey::Kind::kSecret, name, pull_subscriptions_);
    const Result<Found<corev1::Secret>> secret =
        co_await services_.objects->GetSecret(pod_.metadata().namespace_(), name, kTimeout);
    Result<std::vector<ImageCredential>> read =
        secret ? ReadPullSecret(*secret->object) : Result<std::vector<ImageCredential>>(secret.error());
    if (!read) {
      missing.push_back(name);
      log::Warning("cannot use a pull secret",
                   {{"pod", NameOf(pod_)}, {"secret", name}, {"err", read.error().message()}});
      continue;
    }
    credentials.insert(credentials.end(), read->begin(), read->end());
  }
  if (!missing.empty()) events_.PullSecretsMissing(missing);
  SortCredentials(credentials);
  co_return FindImageCredentials(credentials, parsed->registry + "/" + parsed->repository);
}

Task<Result<decide::RuntimeClass>> PodObjects::FindRuntimeClass() {
  const std::string name = pod_.spec().runtimeclassname();
  if (name.empty()) co_return decide::RuntimeClass();
  const auto* configured = decide::FindConfigured(pod_.spec(), services_.settings.runtime_classes);
  if (configured != nullptr) co_return *configured;
  const Result<Found<nodev1::RuntimeClass>> found = co_await services_.objects->GetRuntimeClass(name, kTimeout);
  if (found) {
    class_subscriptions_.clear();
    co_return decide::RuntimeClassOf(*found->object);
  }
  Watch(ObjectKey::Kind::kRuntimeClass, name, class_subscriptions_);
  if (found.error().kind() == ErrorKind::kAbsent) co_return decide::MissingRuntimeClass(found.error());
  co_return found.error();
}

}  // namespace daemonsetd::pods
