#include "agent/kube/reflector.h"

#include <stdexcept>
#include <utility>

#include <fmt/format.h>

#include "agent/base/log.h"
#include "agent/kube/resource_version.h"

namespace daemonsetd::kube {
namespace {

using google::protobuf::FieldDescriptor;
using google::protobuf::Message;

const FieldDescriptor& MetadataField(const Message& object) {
  const FieldDescriptor* field = object.GetDescriptor()->FindFieldByName("metadata");
  if (field == nullptr || field->message_type() != metav1::ObjectMeta::descriptor()) {
    throw std::logic_error(object.GetTypeName() + " is no object of the API: it has no metadata");
  }
  return *field;
}

const metav1::ObjectMeta& MetadataOf(const Message& object) {
  return static_cast<const metav1::ObjectMeta&>(object.GetReflection()->GetMessage(object, &MetadataField(object)));
}

metav1::ObjectMeta& MutableMetadataOf(Message& object) {
  return static_cast<metav1::ObjectMeta&>(*object.GetReflection()->MutableMessage(&object, &MetadataField(object)));
}

}  // namespace

ReflectorCore::ReflectorCore(Client& client, async::Timeline& timeline, std::function<double()> random,
                             Resource resource, const Message& prototype, ReflectorSettings settings,
                             ReflectorHandlers handlers)
    : client_(client),
      timeline_(timeline),
      random_(std::move(random)),
      resource_(resource),
      prototype_(prototype),
      settings_(std::move(settings)),
      handlers_(std::move(handlers)) {}

Task<void> ReflectorCore::Run() {
  WatchStep step = BeginWatch(fmt::format("watch {}", resource_.plural), settings_.newest, timeline_.mono());
  WatchThen then = step.then;
  state_ = std::move(step.state);
  for (;;) {
    const WatchInput input = co_await Perform(std::move(then));
    WatchStep next = StepWatch(state_, input, settings_.rules, timeline_.mono(), random_());
    then = next.then;
    if (!std::holds_alternative<ReadFrame>(then)) stream_.reset();
    Take(std::move(next));
  }
}

Task<WatchInput> ReflectorCore::Perform(WatchThen then) {
  arrived_.clear();
  if (const auto* open = std::get_if<OpenWatch>(&then)) co_return co_await PerformOpen(open->options);
  if (const auto* page = std::get_if<GetPage>(&then)) co_return co_await PerformPage(page->options);
  if (const auto* read = std::get_if<ReadFrame>(&then)) co_return co_await PerformRead(read->deadline);
  co_await timeline_.SleepUntil(std::get<WaitUntil>(then).when);
  co_return TimeCame{};
}

ListOptions ReflectorCore::Selected(ListOptions options) const {
  options.label_selector = settings_.label_selector;
  options.field_selector = settings_.field_selector;
  return options;
}

Task<WatchInput> ReflectorCore::PerformOpen(ListOptions options) {
  fresh_.clear();
  ListOptions selected = Selected(std::move(options));
  const CallOptions call{.timeout = settings_.call_timeout};
  if (was_open_) client_.NoteWatchRestart(resource_);
  Answer<std::unique_ptr<WatchStream>> answer =
      co_await client_.Watch(resource_, settings_.ns, std::move(selected), call);
  if (!answer) co_return WatchRefused{.error = answer.error()};
  stream_ = std::move(*answer);
  was_open_ = true;
  co_return WatchOpened{};
}

Task<WatchInput> ReflectorCore::PerformPage(ListOptions options) {
  if (options.continue_token.empty()) fresh_.clear();
  ListOptions selected = Selected(std::move(options));
  const CallOptions call{.timeout = settings_.call_timeout};
  const Answer<ListPage> answer = co_await client_.ListObjects(resource_, settings_.ns, std::move(selected), call);
  if (!answer) co_return PageRefused{.error = answer.error()};
  for (const std::string& item : answer->items) {
    Result<Arrived> object = Decode(FrameType::kAdded, item);
    if (!object) co_return PageRefused{.error = {.error = object.error()}};
    arrived_.push_back(std::move(*object));
  }
  co_return PageCame{.resource_version = answer->resource_version,
                     .continue_token = answer->continue_token,
                     .objects = static_cast<int>(answer->items.size())};
}

Task<WatchInput> ReflectorCore::PerformRead(MonoTime deadline) {
  Result<std::optional<WatchFrame>> read = co_await stream_->Next(deadline);
  if (!read) co_return StreamBroke{.error = read.error()};
  if (!*read) co_return StreamEnded{};
  const WatchFrame& frame = **read;
  FrameCame came{.type = frame.type, .error = frame.error};
  if (frame.type == FrameType::kError) co_return came;
  Result<Arrived> object = Decode(frame.type, frame.object);
  if (!object) co_return StreamBroke{.error = object.error()};
  came.resource_version = object->resource_version;
  came.initial_events_end = object->initial_events_end;
  if (frame.type != FrameType::kBookmark) arrived_.push_back(std::move(*object));
  co_return came;
}

Result<ReflectorCore::Arrived> ReflectorCore::Decode(FrameType type, const std::string& bytes) const {
  const auto broken = [this](std::string_view what) {
    return Error(ErrorKind::kInvalid, fmt::format("watch {}: the answer is broken: {}", resource_.plural, what));
  };
  std::shared_ptr<Message> object(prototype_.New());
  if (!object->ParseFromString(bytes)) return broken(fmt::format("a {} cannot be read", resource_.kind));
  const metav1::ObjectMeta& metadata = MetadataOf(*object);
  Arrived arrived{.type = type, .name = NameOf(metadata), .resource_version = metadata.resourceversion()};
  if (type == FrameType::kBookmark) {
    const auto mark = metadata.annotations().find(std::string(kInitialEventsEnd));
    arrived.initial_events_end = mark != metadata.annotations().end() && mark->second == "true";
    return arrived;
  }
  if (arrived.name.name.empty() || arrived.name.ns.empty() == resource_.namespaced ||
      arrived.resource_version.empty()) {
    return broken(fmt::format("a {} lacks its name, namespace or resourceVersion", resource_.kind));
  }
  MutableMetadataOf(*object).clear_managedfields();
  if (settings_.trim) settings_.trim(*object);
  arrived.object = std::move(object);
  return arrived;
}

void ReflectorCore::Take(WatchStep step) {
  const WatchState before = std::exchange(state_, std::move(step.state));
  switch (step.objects) {
    case ObjectAction::kNothing: break;
    case ObjectAction::kCollect: Collect(); break;
    case ObjectAction::kApply:
      change_source_ = ChangeSource::kEvent;
      Apply();
      break;
    case ObjectAction::kTakeOver:
      change_source_ = IsOlder(state_.newest, before.newest) ? ChangeSource::kOlderList : ChangeSource::kList;
      TakeOver();
      break;
  }
  Tell(before, step.note);
}

void ReflectorCore::Collect() {
  for (Arrived& arrived : arrived_) {
    if (arrived.type == FrameType::kDeleted) {
      fresh_.erase(arrived.name);
    } else {
      fresh_[arrived.name] = std::move(arrived.object);
    }
  }
}

void ReflectorCore::Apply() {
  for (Arrived& arrived : arrived_) {
    if (arrived.type == FrameType::kDeleted) {
      if (objects_.erase(arrived.name) == 0) continue;
    } else {
      Object& object = objects_[arrived.name];
      if (object && SameVersion(MetadataOf(*object), MetadataOf(*arrived.object))) continue;
      object = std::move(arrived.object);
    }
    if (handlers_.on_change) handlers_.on_change(arrived.name);
  }
}

void ReflectorCore::TakeOver() {
  Collect();
  const std::map<NamespacedName, Object> before = std::exchange(objects_, std::move(fresh_));
  fresh_.clear();
  std::vector<NamespacedName> changed;
  for (const auto& [name, object] : before) {
    const auto now = objects_.find(name);
    if (now == objects_.end() || !SameVersion(MetadataOf(*object), MetadataOf(*now->second))) changed.push_back(name);
  }
  for (const auto& [name, object] : objects_) {
    if (!before.contains(name)) changed.push_back(name);
  }
  if (handlers_.on_change) {
    for (const NamespacedName& name : changed) handlers_.on_change(name);
  }
  log::Debug("a complete list came", {{"resource", resource_.plural}, {"objects", objects_.size()}});
  if (handlers_.on_complete) handlers_.on_complete();
}

void ReflectorCore::Tell(const WatchState& before, const std::string& note) {
  if (!note.empty()) log::Info(note, {{"resource", resource_.plural}});
  if (!state_.live && state_.failing_since != told_failing_) {
    told_failing_ = state_.failing_since;
    log::Warning("the API server does not tell of changes; the last known objects stay in use",
                 {{"resource", resource_.plural}, {"err", last_error()}});
  } else if (state_.live && told_failing_ && told_well_ != told_failing_) {
    told_well_ = told_failing_;  // one line for one trouble, however often it seems to end
    log::Info("the API server tells of changes again", {{"resource", resource_.plural}});
  }
  const auto text = [](const WatchState& state) { return state.last_error ? state.last_error->message() : ""; };
  if (handlers_.on_state && (before.live != state_.live || text(before) != text(state_))) handlers_.on_state();
}

}  // namespace daemonsetd::kube
