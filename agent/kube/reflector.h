// A copy of one collection of the API server, kept up to date: carries out what agent/kube/watch_machine.h decides.
//
// Who notices a dead connection: the transport's TCP keep-alive, within 45 s, since a quiet watch brings no bytes for a
// minute (bookmarks); then the read deadlines of the machine: 30 s within a list, and the time that was asked of the
// server plus a margin for a server, or a proxy, that lives and tells nothing.
#pragma once

#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include <google/protobuf/message.h>

#include "agent/async/timeline.h"
#include "agent/kube/client.h"
#include "agent/kube/watch_machine.h"

namespace daemonsetd::kube {

struct ReflectorSettings {
  std::string ns;  // empty: all namespaces
  std::string label_selector;
  std::string field_selector;  // "spec.nodeName=n1"
  std::string newest;          // the resourceVersion that an earlier life had reached; empty if unknown
  // Takes off what nobody here reads before the object is kept; not its name, UID and resourceVersion. May be null.
  std::function<void(google::protobuf::Message&)> trim;
  Nanoseconds call_timeout = std::chrono::seconds(30);  // for one page, and for the opening of a watch
  WatchRules rules;
};

// Called on the loop, never while the copy is half changed. They may read the reflector, and not destroy it.
struct ReflectorHandlers {
  std::function<void(const NamespacedName&)> on_change;  // came, changed or went: Find() says which
  std::function<void()> on_complete;                     // a complete list was taken over; its changes were told before
  std::function<void()> on_state;                        // live() or last_error() changed
};

// The untyped part.
class ReflectorCore {
 public:
  using Object = std::shared_ptr<const google::protobuf::Message>;

  // `client` and `timeline` must outlive it. `random` gives numbers in [0, 1). `prototype` is the resource's message.
  ReflectorCore(Client& client, async::Timeline& timeline, std::function<double()> random, Resource resource,
                const google::protobuf::Message& prototype, ReflectorSettings settings, ReflectorHandlers handlers);
  ReflectorCore(const ReflectorCore&) = delete;
  ReflectorCore& operator=(const ReflectorCore&) = delete;

  // Lists and watches until cancelled. Once.
  Task<void> Run();

  // A complete list came once: what is not here does not exist.
  bool synced() const { return state_.synced; }
  // Changes arrive; without it the copy may be out of date since `since()`.
  bool live() const { return state_.live; }
  // Of the latest failure; empty while all is well.
  std::string last_error() const { return state_.last_error ? state_.last_error->message() : std::string(); }
  std::optional<MonoTime> since() const { return state_.live ? std::nullopt : state_.failing_since; }
  // How the changes came that on_change tells now.
  enum class ChangeSource {
    kEvent,      // as they happened
    kList,       // found by comparing: what happened in between is not known
    kOlderList,  // the same, and the server's data went back to a time before `newest` (design.md D3)
  };
  ChangeSource change_source() const { return change_source_; }
  // For the checkpoint, and the next life's ReflectorSettings::newest.
  const std::string& newest() const { return state_.newest; }

 protected:
  const std::map<NamespacedName, Object>& objects() const { return objects_; }

 private:
  struct Arrived {
    FrameType type = FrameType::kAdded;
    NamespacedName name;
    std::string resource_version;
    bool initial_events_end = false;
    Object object;
  };

  Task<WatchInput> Perform(WatchThen then);
  Task<WatchInput> PerformOpen(ListOptions options);
  Task<WatchInput> PerformPage(ListOptions options);
  Task<WatchInput> PerformRead(MonoTime deadline);
  Result<Arrived> Decode(FrameType type, const std::string& bytes) const;
  ListOptions Selected(ListOptions options) const;

  void Take(WatchStep step);
  void Collect();
  void Apply();
  void TakeOver();
  void Tell(const WatchState& before, const std::string& note);

  Client& client_;
  async::Timeline& timeline_;
  const std::function<double()> random_;
  const Resource resource_;
  const google::protobuf::Message& prototype_;
  const ReflectorSettings settings_;
  const ReflectorHandlers handlers_;

  WatchState state_;
  ChangeSource change_source_ = ChangeSource::kList;
  std::unique_ptr<WatchStream> stream_;
  bool was_open_ = false;         // a watch, once
  std::vector<Arrived> arrived_;  // with the input that is being stepped
  std::map<NamespacedName, Object> objects_;
  std::map<NamespacedName, Object> fresh_;  // collected, not complete yet
  std::optional<MonoTime> told_failing_;    // the trouble that was logged, and whose end was
  std::optional<MonoTime> told_well_;
};

// T: a message of agent/kube/typed_resources.h. managedFields are not kept: nobody here asks who wrote which field, and
// the server keeps its own when an update leaves them out.
template <class T>
class Reflector final : public ReflectorCore {
 public:
  Reflector(Client& client, async::Timeline& timeline, std::function<double()> random, ReflectorSettings settings,
            ReflectorHandlers handlers)
      : ReflectorCore(client, timeline, std::move(random), ResourceOf<T>::kValue, T::default_instance(),
                      std::move(settings), std::move(handlers)) {}

  // Null when there is none, or before synced() when it is not known. The object itself never changes.
  std::shared_ptr<const T> Find(const NamespacedName& name) const {
    const auto found = objects().find(name);
    return found == objects().end() ? nullptr : std::static_pointer_cast<const T>(found->second);
  }
  std::vector<std::shared_ptr<const T>> All() const {
    std::vector<std::shared_ptr<const T>> all;
    all.reserve(objects().size());
    for (const auto& [name, object] : objects()) all.push_back(std::static_pointer_cast<const T>(object));
    return all;
  }
};

}  // namespace daemonsetd::kube
