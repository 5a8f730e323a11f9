#include "tests/unit/pods/fake_objects.h"

#include <fmt/format.h>

namespace daemonsetd::pods {
namespace {

constexpr char kNamespace[] = "default";

template <class T>
T Named(const std::string& name_space, const std::string& name) {
  T object;
  object.mutable_metadata()->set_namespace_(name_space);
  object.mutable_metadata()->set_name(name);
  return object;
}

}  // namespace

struct FakeObjects::Watching final : Subscription {
  Watching(std::shared_ptr<Watches> all, int number) : watches(std::move(all)), id(number) {}
  ~Watching() override { watches->erase(id); }
  std::shared_ptr<Watches> watches;
  int id;
};

void FakeObjects::SetConfigMap(const std::string& name, const std::map<std::string, std::string>& data) {
  auto object = Named<corev1::ConfigMap>(kNamespace, name);
  for (const auto& [key, value] : data) (*object.mutable_data())[key] = value;
  config_maps_[{kNamespace, name}] = std::make_shared<const corev1::ConfigMap>(std::move(object));
  Tell(ObjectKey::Kind::kConfigMap, name);
}

void FakeObjects::RemoveConfigMap(const std::string& name) {
  config_maps_.erase({kNamespace, name});
  Tell(ObjectKey::Kind::kConfigMap, name);
}

void FakeObjects::SetSecret(const std::string& name, const std::map<std::string, std::string>& data,
                            const std::string& type) {
  auto object = Named<corev1::Secret>(kNamespace, name);
  object.set_type(type);
  for (const auto& [key, value] : data) (*object.mutable_data())[key] = value;
  secrets_[{kNamespace, name}] = std::make_shared<const corev1::Secret>(std::move(object));
  Tell(ObjectKey::Kind::kSecret, name);
}

void FakeObjects::SetAccount(const std::string& name, const std::vector<std::string>& pull_secrets) {
  auto object = Named<corev1::ServiceAccount>(kNamespace, name);
  for (const std::string& secret : pull_secrets) object.add_imagepullsecrets()->set_name(secret);
  accounts_[{kNamespace, name}] = std::make_shared<const corev1::ServiceAccount>(std::move(object));
  Tell(ObjectKey::Kind::kServiceAccount, name);
}

void FakeObjects::SetService(const std::string& name_space, const std::string& name, const std::string& address,
                             int port) {
  auto object = Named<corev1::Service>(name_space, name);
  object.mutable_spec()->set_clusterip(address);
  object.mutable_spec()->add_ports()->set_port(port);
  services_[{name_space, name}] = std::make_shared<const corev1::Service>(std::move(object));
}

void FakeObjects::SetRuntimeClass(const std::string& name, const std::string& handler,
                                  const std::string& memory_overhead) {
  auto object = Named<nodev1::RuntimeClass>("", name);
  object.set_handler(handler);
  if (!memory_overhead.empty()) {
    (*object.mutable_overhead()->mutable_podfixed())["memory"].set_string(memory_overhead);
  }
  runtime_classes_[{"", name}] = std::make_shared<const nodev1::RuntimeClass>(std::move(object));
  Tell(ObjectKey::Kind::kRuntimeClass, name, "");
}

void FakeObjects::RemoveRuntimeClass(const std::string& name) {
  runtime_classes_.erase({"", name});
  Tell(ObjectKey::Kind::kRuntimeClass, name, "");
}

void FakeObjects::SetDown(bool down, bool has_cache) {
  down_ = down;
  cached_since_.reset();
  if (down && has_cache) cached_since_ = timeline_.Read().wall;
  if (down) return;
  const Watches watches = *watches_;  // a callback may end a watch
  for (const auto& [id, watch] : watches) {
    if (watches_->contains(id)) watch.second();
  }
}

void FakeObjects::Tell(ObjectKey::Kind kind, const std::string& name, const std::string& name_space) {
  const ObjectKey key{.kind = kind, .name_space = name_space, .name = name};
  const Watches watches = *watches_;
  for (const auto& [id, watch] : watches) {
    if (watch.first == key && watches_->contains(id)) watch.second();
  }
}

Task<Status> FakeObjects::Reach(Nanoseconds timeout) {
  ++questions_;
  if (delay_ > timeout) {
    co_await timeline_.SleepFor(timeout);
    co_return Error(ErrorKind::kTimeout, "the API server did not answer in time");
  }
  if (delay_ > Nanoseconds::zero()) co_await timeline_.SleepFor(delay_);
  if (down_ && !cached_since_) co_return Error(ErrorKind::kRetry, "the API server cannot be reached");
  co_return Ok();
}

template <class T>
Task<Result<Found<T>>> FakeObjects::Get(const Objects<T>* objects, std::string kind, std::string name_space,
                                        std::string name, Nanoseconds timeout) {
  const Status reached = co_await Reach(timeout);
  if (!reached) co_return reached.error();
  const auto found = objects->find({name_space, name});
  if (found == objects->end()) co_return Error(ErrorKind::kAbsent, fmt::format("{} \"{}\" not found", kind, name));
  co_return Found<T>{.object = found->second, .cached_since = cached_since_};
}

Task<Result<Found<corev1::ConfigMap>>> FakeObjects::GetConfigMap(std::string name_space, std::string name,
                                                                 Nanoseconds timeout) {
  return Get(&config_maps_, "configmap", std::move(name_space), std::move(name), timeout);
}

Task<Result<Found<corev1::Secret>>> FakeObjects::GetSecret(std::string name_space, std::string name,
                                                           Nanoseconds timeout) {
  return Get(&secrets_, "secret", std::move(name_space), std::move(name), timeout);
}

Task<Result<Found<corev1::ServiceAccount>>> FakeObjects::GetServiceAccount(std::string name_space, std::string name,
                                                                           Nanoseconds timeout) {
  return Get(&accounts_, "serviceaccount", std::move(name_space), std::move(name), timeout);
}

Task<Result<Found<corev1::Service>>> FakeObjects::GetService(std::string name_space, std::string name,
                                                             Nanoseconds timeout) {
  return Get(&services_, "service", std::move(name_space), std::move(name), timeout);
}

Task<Result<Found<corev1::ServiceList>>> FakeObjects::ListServices(std::string name_space, Nanoseconds timeout) {
  const Status reached = co_await Reach(timeout);
  if (!reached) co_return reached.error();
  const auto list = std::make_shared<corev1::ServiceList>();
  for (const auto& [key, service] : services_) {
    if (key.first == name_space) *list->add_items() = *service;
  }
  co_return Found<corev1::ServiceList>{.object = list, .cached_since = cached_since_};
}

Task<Result<Found<nodev1::RuntimeClass>>> FakeObjects::GetRuntimeClass(std::string name, Nanoseconds timeout) {
  asked_classes_.push_back(name);
  return Get(&runtime_classes_, "runtimeclass", "", std::move(name), timeout);
}

Task<Result<Token>> FakeObjects::RequestToken(TokenRequest request, Nanoseconds timeout) {
  const Status reached = co_await Reach(timeout);
  if (!reached) co_return reached.error();
  if (cached_since_) co_return Error(ErrorKind::kRetry, "no token was kept");
  if (!accounts_.contains({request.name_space, request.service_account})) {
    co_return Error(ErrorKind::kAbsent, fmt::format("serviceaccount \"{}\" not found", request.service_account));
  }
  token_requests_.push_back(std::move(request));
  Token token;
  token.value = fmt::format("token-{}", token_requests_.size());
  token.lifetime = token_lifetime_;
  token.issued = timeline_.Read().wall;
  co_return token;
}

std::unique_ptr<ObjectSource::Subscription> FakeObjects::Watch(ObjectKey key, std::function<void()> on_change) {
  const int id = next_watch_++;
  watches_->emplace(id, std::pair(std::move(key), std::move(on_change)));
  return std::make_unique<Watching>(watches_, id);
}

}  // namespace daemonsetd::pods
