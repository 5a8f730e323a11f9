#include "agent/decide/event_aggregation.h"

#include <algorithm>
#include <utility>

#include <fmt/format.h>

namespace daemonsetd::decide {
namespace {

// A DNS subdomain's length, which an Event's name must keep to.
constexpr std::size_t kMaxName = 253;
constexpr std::string_view kCombined = "(combined from similar events): ";
constexpr std::string_view kCut = "...";
constexpr std::string_view kReplacement = "\xef\xbf\xbd";
// Between the parts of a key; no name holds it.
constexpr char kSeparator = '\0';

std::string ObjectKey(const corev1::ObjectReference& about) {
  std::string key;
  for (const std::string* part : {&about.apiversion(), &about.kind(), &about.namespace_(), &about.name(), &about.uid()})
    key += *part + kSeparator;
  return key;
}

// Length of the UTF-8 sequence at the start of `text`; 0 when there is none. Overlong forms and surrogates count as
// none.
std::size_t SequenceLength(std::string_view text) {
  const auto byte = [text](std::size_t i) { return static_cast<unsigned char>(text[i]); };
  const unsigned char first = byte(0);
  const std::size_t length = first < 0x80   ? 1
                             : first < 0xc2 ? 0
                             : first < 0xe0 ? 2
                             : first < 0xf0 ? 3
                             : first < 0xf5 ? 4
                                            : 0;
  if (length == 0 || length > text.size()) return 0;
  for (std::size_t i = 1; i < length; ++i) {
    if ((byte(i) & 0xc0) != 0x80) return 0;
  }
  if (first == 0xe0 && byte(1) < 0xa0) return 0;
  if (first == 0xed && byte(1) > 0x9f) return 0;
  if (first == 0xf0 && byte(1) < 0x90) return 0;
  if (first == 0xf4 && byte(1) > 0x8f) return 0;
  return length;
}

// Messages hold what programs wrote (a probe's output): bytes that are no text would make the Event unreadable.
std::string Readable(std::string_view text, std::size_t limit) {
  std::string readable;
  while (!text.empty()) {
    const std::size_t length = SequenceLength(text);
    const std::string_view piece = length == 0 ? kReplacement : text.substr(0, length);
    if (readable.size() + piece.size() > limit) {
      while (readable.size() + kCut.size() > limit) {
        // Back to the start of the last character.
        do {
          const auto last = static_cast<unsigned char>(readable.back());
          readable.pop_back();
          if ((last & 0xc0) != 0x80) break;
        } while (!readable.empty());
      }
      return readable.append(kCut);
    }
    readable.append(piece);
    text.remove_prefix(length == 0 ? 1 : length);
  }
  return readable;
}

void Set(metav1::Time& time, WallTime moment) {
  const auto seconds = std::chrono::floor<Seconds>(moment);
  time.set_seconds(seconds.time_since_epoch().count());
}

bool HasContainer(const google::protobuf::RepeatedPtrField<corev1::Container>& containers, const std::string& name) {
  return std::any_of(containers.begin(), containers.end(), [&name](const auto& one) { return one.name() == name; });
}

}  // namespace

EventRing::EventRing(std::string component, std::string host, EventLimits limits)
    : component_(std::move(component)), host_(std::move(host)), limits_(limits) {}

void EventRing::Add(const corev1::ObjectReference& about, EventType type, const std::string& reason,
                    const std::string& message, const Now& now) {
  std::string text = Readable(message, limits_.message_bytes);
  const std::string object = ObjectKey(about);
  const std::string group_key =
      object + about.fieldpath() + kSeparator + (type == EventType::kWarning ? 'w' : 'n') + reason + kSeparator;
  Group& group = groups_[group_key];
  if (now.mono - group.last > limits_.similar_within) group.messages.clear();
  group.last = now.mono;
  std::string key = group_key + text;
  if (!group.messages.contains(text)) {
    if (group.messages.size() < limits_.similar_messages) {
      group.messages.insert(text);
    } else {
      // No message can be equal to this key: theirs come after the group's separator, and hold no other one.
      key = group_key + kSeparator;
      text = Readable(std::string(kCombined) + text, limits_.message_bytes);
    }
  }

  auto logged = std::make_shared<LoggedEvent>();
  const auto known = by_key_.find(key);
  logged->event = known == by_key_.end() ? Make(about, type, reason, now.wall) : known->second->logged->event;
  logged->event.set_count(logged->event.count() + 1);
  logged->event.set_message(std::move(text));
  Set(*logged->event.mutable_lasttimestamp(), now.wall);
  logged->change = ++change_;
  if (known != by_key_.end()) {
    known->second->logged = std::move(logged);
    entries_.splice(entries_.end(), entries_, known->second);
    return;
  }
  ++group.events;
  const std::size_t of_object = ++per_object_[object];
  by_key_[key] = entries_.insert(entries_.end(), Entry{key, group_key, object, std::move(logged)});
  if (of_object > limits_.events_per_object) {
    Drop(std::find_if(entries_.begin(), entries_.end(), [&object](const Entry& one) { return one.object == object; }));
  }
  if (entries_.size() > limits_.events) Drop(entries_.begin());
}

corev1::Event EventRing::Make(const corev1::ObjectReference& about, EventType type, const std::string& reason,
                              WallTime now) {
  corev1::Event event;
  // Two events of one moment must not share a name.
  last_name_ = std::max(last_name_ + 1, static_cast<std::int64_t>(now.time_since_epoch().count()));
  const std::string suffix = fmt::format(".{:x}", last_name_);
  std::string name = about.name().substr(0, kMaxName - suffix.size());
  while (name.ends_with('-') || name.ends_with('.')) name.pop_back();
  event.mutable_metadata()->set_name(name + suffix);
  // Events on objects without a namespace live in this one, as upstream's.
  event.mutable_metadata()->set_namespace_(about.namespace_().empty() ? "default" : about.namespace_());
  *event.mutable_involvedobject() = about;
  event.set_type(type == EventType::kWarning ? "Warning" : "Normal");
  event.set_reason(reason);
  event.mutable_source()->set_component(component_);
  event.mutable_source()->set_host(host_);
  event.set_reportingcomponent(component_);
  event.set_reportinginstance(host_);
  Set(*event.mutable_firsttimestamp(), now);
  return event;
}

void EventRing::Drop(Entries::iterator entry) {
  const auto group = groups_.find(entry->group);
  if (--group->second.events == 0) groups_.erase(group);
  const auto object = per_object_.find(entry->object);
  if (--object->second == 0) per_object_.erase(object);
  by_key_.erase(entry->key);
  entries_.erase(entry);
}

std::vector<std::shared_ptr<const LoggedEvent>> EventRing::Recent() const {
  std::vector<std::shared_ptr<const LoggedEvent>> recent;
  recent.reserve(entries_.size());
  for (const Entry& entry : entries_) recent.push_back(entry.logged);
  return recent;
}

corev1::ObjectReference ReferenceTo(const corev1::Pod& pod) {
  corev1::ObjectReference reference;
  reference.set_apiversion("v1");
  reference.set_kind("Pod");
  reference.set_namespace_(pod.metadata().namespace_());
  reference.set_name(pod.metadata().name());
  reference.set_uid(pod.metadata().uid());
  return reference;
}

corev1::ObjectReference ReferenceTo(const appsv1::DaemonSet& daemon_set) {
  corev1::ObjectReference reference;
  reference.set_apiversion("apps/v1");
  reference.set_kind("DaemonSet");
  reference.set_namespace_(daemon_set.metadata().namespace_());
  reference.set_name(daemon_set.metadata().name());
  reference.set_uid(daemon_set.metadata().uid());
  return reference;
}

corev1::ObjectReference ReferenceTo(const corev1::Node& node) {
  corev1::ObjectReference reference;
  reference.set_apiversion("v1");
  reference.set_kind("Node");
  reference.set_name(node.metadata().name());
  reference.set_uid(node.metadata().name());
  return reference;
}

corev1::ObjectReference ReferenceToContainer(const corev1::Pod& pod, const std::string& container) {
  corev1::ObjectReference reference = ReferenceTo(pod);
  if (HasContainer(pod.spec().containers(), container)) {
    reference.set_fieldpath("spec.containers{" + container + "}");
  } else if (HasContainer(pod.spec().initcontainers(), container)) {
    reference.set_fieldpath("spec.initContainers{" + container + "}");
  }
  return reference;
}

}  // namespace daemonsetd::decide
