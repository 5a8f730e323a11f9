#include "agent/config/reference.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <map>
#include <set>

#include "agent/config/config.h"
#include "agent/config/reload.h"
#include "tests/support/golden.h"
#include "tests/support/test_data.h"

namespace daemonsetd::config {
namespace {

using google::protobuf::Descriptor;
using google::protobuf::FieldDescriptor;
using ::testing::HasSubstr;

const Surroundings kMachine{.host_name = "node-1"};

// The paths of all fields, without the two that every object has.
void CollectPaths(const Descriptor& descriptor, const std::string& prefix,
                  std::map<std::string, const FieldDescriptor*>& out) {
  for (int i = 0; i < descriptor.field_count(); ++i) {
    const FieldDescriptor& field = *descriptor.field(i);
    const std::string path = prefix + field.name();
    if (path == "apiVersion" || path == "kind") continue;
    if (!field.is_repeated() && field.cpp_type() == FieldDescriptor::CPPTYPE_MESSAGE) {
      CollectPaths(*field.message_type(), path + ".", out);
    } else {
      out[path] = &field;
    }
  }
}
std::map<std::string, const FieldDescriptor*> AllPaths() {
  std::map<std::string, const FieldDescriptor*> paths;
  CollectPaths(*Message::descriptor(), "", paths);
  return paths;
}

TEST(Reference, NamesExactlyTheFieldsOfTheMessage) {
  std::set<std::string> listed;
  for (const Key& key : Reference()) EXPECT_TRUE(listed.insert(std::string(key.path)).second) << key.path;
  std::set<std::string> fields;
  for (const auto& [path, field] : AllPaths()) fields.insert(path);
  EXPECT_EQ(listed, fields);
}

TEST(Reference, CoversOnlyTypesThatTheMergeKnows) {
  for (const auto& [path, field] : AllPaths()) {
    if (field->is_map()) {
      EXPECT_EQ(field->message_type()->map_key()->cpp_type(), FieldDescriptor::CPPTYPE_STRING) << path;
      continue;
    }
    const auto type = field->cpp_type();
    const bool in_list = type == FieldDescriptor::CPPTYPE_MESSAGE || type == FieldDescriptor::CPPTYPE_STRING;
    const bool alone = type == FieldDescriptor::CPPTYPE_INT32 || type == FieldDescriptor::CPPTYPE_BOOL ||
                       type == FieldDescriptor::CPPTYPE_STRING;
    EXPECT_TRUE(field->is_repeated() ? in_list : alone) << path;
  }
}

// The comments of proto/config.proto by field name, on one line each.
std::multimap<std::string, std::string> ProtoComments() {
  std::multimap<std::string, std::string> comments;
  std::string comment;
  for (const std::string& line : testing::ReadTestDataLines("proto/config.proto")) {
    std::string_view text = line;
    text.remove_prefix(std::min(text.find_first_not_of(' '), text.size()));
    if (text.starts_with("// ----")) {
      comment.clear();
    } else if (text.starts_with("// ")) {
      comment += (comment.empty() ? "" : " ") + std::string(text.substr(3));
    } else {
      const std::size_t equals = text.find(" = ");
      if (equals != std::string_view::npos && !text.starts_with("option ")) {
        const std::string_view before = text.substr(0, equals);
        comments.emplace(std::string(before.substr(before.rfind(' ') + 1)), comment);
      }
      comment.clear();
    }
  }
  return comments;
}

TEST(Reference, SaysTheSameAsTheCommentsOfTheProto) {
  const std::multimap<std::string, std::string> comments = ProtoComments();
  for (const Key& key : Reference()) {
    const std::string name(
        key.path.substr(key.path.rfind('.') == std::string_view::npos ? 0 : key.path.rfind('.') + 1));
    const auto found = comments.find(name);
    ASSERT_NE(found, comments.end()) << key.path;
    const std::string expected = std::string(key.doc) + (key.doc.empty() ? "" : " ") + "Default: " +
                                 std::string(key.default_text.empty() ? key.default_words : key.default_text) +
                                 (key.change == Change::kReloadable ? ". Reloadable." : ". Restart.");
    EXPECT_EQ(found->second, expected);
  }
}

TEST(Reference, PackagedConfigurationFileIsTheDocumentedDefault) {
  EXPECT_TRUE(testing::MatchesGolden("packaging/config/config.yaml", DocumentedDefaults()));
}

TEST(Reference, PackagedConfigurationFileIsValidAsItIsAndWithEveryKeyInUse) {
  const std::string text = DocumentedDefaults();
  EXPECT_TRUE(Build({{.file = "config.yaml", .text = text}}, {}, kMachine).config);
  std::string all;
  std::size_t at = 0;
  while (at < text.size()) {
    const std::size_t end = std::min(text.find('\n', at), text.size());
    std::string line = text.substr(at, end - at);
    at = end + 1;
    const bool key = line.starts_with("#") && !line.starts_with("# ") && !line.starts_with("#  #");
    if (key) line.erase(0, 1);
    all += line + "\n";
  }
  const LoadResult result = Build({{.file = "config.yaml", .text = all}}, {}, kMachine);
  for (const auto& error : result.errors) ADD_FAILURE() << model::ToString(error) << "\n" << all;
  ASSERT_TRUE(result.config);
  for (const Key& key : Reference()) EXPECT_TRUE(IsSet(result.config->message, key.path)) << key.path;
}

Config Built(const std::string& keys) {
  const std::string text = "apiVersion: daemonsetd.dev/v1alpha1\nkind: DaemonsetdConfiguration\n" + keys;
  LoadResult result = Build({{.file = "config.yaml", .text = text}}, {}, kMachine);
  if (!result.config) throw std::runtime_error(model::ToString(result.errors.at(0)));
  return std::move(*result.config);
}

TEST(Reload, OfTheSameConfigurationChangesNothing) {
  const ReloadReport report = Reload(Built(""), Built("maxPods: 110\n"));
  EXPECT_TRUE(report.changes.empty());
  EXPECT_FALSE(report.NeedsRestart());
  EXPECT_EQ(report.Text(), "nothing changed");
}

TEST(Reload, TellsWhatTakesEffectAndWhatNeedsARestart) {
  const Config running = Built("");
  const Config loaded = Built("maxPods: 50\nnodeLabels: {a: b}\npodRoot: /pods\nlogging: {level: debug}\n");
  const ReloadReport report = Reload(running, loaded);
  EXPECT_EQ(report.Text(),
            "nodeLabels, maxPods \"110\" -> \"50\", logging.level \"info\" -> \"debug\"; "
            "restart needed for podRoot \"/var/lib/kubelet\" -> \"/pods\"");
  EXPECT_TRUE(report.NeedsRestart());

  const Config next = ApplyReload(running, loaded);
  EXPECT_EQ(next.message.maxpods(), 50);
  EXPECT_EQ(next.message.nodelabels().at("a"), "b");
  EXPECT_EQ(next.message.logging().level(), "debug");
  EXPECT_EQ(next.message.logging().format(), "text");
  EXPECT_EQ(next.message.podroot(), "/var/lib/kubelet") << "the running agent still uses it";
  EXPECT_EQ(Reload(next, loaded).Text(), "restart needed for podRoot \"/var/lib/kubelet\" -> \"/pods\"");
}

TEST(Reload, RemovedEntriesGo) {
  const Config running = Built("nodeLabels: {a: b, c: d}\nnodeTaints: [{key: k, effect: NoSchedule}]\n");
  const Config next = ApplyReload(running, Built("nodeLabels: {c: d}\nnodeTaints: []\n"));
  EXPECT_EQ(next.message.nodelabels_size(), 1);
  EXPECT_EQ(next.message.nodetaints_size(), 0);
}

TEST(Reload, AppliesTheReloadableDurationsAndNoOther) {
  const Config running = Built("");
  const Config loaded = Built(
      "nodeLeaseDuration: 70s\napiServerStartWait: 7s\nrolloutProgressDeadline: 70s\nfileCheckFrequency: "
      "7s\nruntimeRequestTimeout: "
      "7s\nimagePullTimeout: 70s\nimagePullProgressTimeout: 7s\nimageMinimumGCAge: 7s\nimageGCPeriod: 7s\n"
      "runtimePollInterval: 70ms\n"
      "runtimeIdlePollInterval: 7s\nevictionPressureTransitionPeriod: 7s\nshutdownTimeout: 7s\nshutdownGracePeriod: "
      "70s\n"
      "shutdownGracePeriodCriticalPods: 7s\ncrashLoopBackOff: {initial: 7s, max: 70s, reset: 7m}\n");
  const Config next = ApplyReload(running, loaded);
  EXPECT_EQ(next.durations.file_check_frequency, loaded.durations.file_check_frequency);
  EXPECT_EQ(next.durations.crash_loop_back_off.initial, loaded.durations.crash_loop_back_off.initial);
  EXPECT_EQ(next.durations.crash_loop_back_off.maximum, loaded.durations.crash_loop_back_off.maximum);
  EXPECT_EQ(next.durations.crash_loop_back_off.reset_after, loaded.durations.crash_loop_back_off.reset_after);
  EXPECT_EQ(next.durations.container_log_monitor_interval, loaded.durations.container_log_monitor_interval);
  EXPECT_EQ(next.durations.node_lease_duration, running.durations.node_lease_duration);
  EXPECT_EQ(next.durations.api_server_start_wait, running.durations.api_server_start_wait);
  EXPECT_EQ(next.durations.rollout_progress_deadline, running.durations.rollout_progress_deadline);
  EXPECT_EQ(next.durations.runtime_request_timeout, running.durations.runtime_request_timeout);
  EXPECT_EQ(next.durations.image_pull_timeout, running.durations.image_pull_timeout);
  EXPECT_EQ(next.durations.image_pull_progress_timeout, running.durations.image_pull_progress_timeout);
  EXPECT_EQ(next.durations.image_minimum_gc_age, running.durations.image_minimum_gc_age);
  EXPECT_EQ(next.durations.image_gc_period, running.durations.image_gc_period);
  EXPECT_EQ(next.durations.eviction_pressure_transition_period, running.durations.eviction_pressure_transition_period);
  EXPECT_EQ(next.durations.runtime_poll_interval, running.durations.runtime_poll_interval);
  EXPECT_EQ(next.durations.runtime_idle_poll_interval, running.durations.runtime_idle_poll_interval);
  EXPECT_EQ(next.durations.shutdown_timeout, running.durations.shutdown_timeout);
  EXPECT_EQ(next.durations.shutdown_grace_period, running.durations.shutdown_grace_period);
  EXPECT_EQ(next.durations.shutdown_grace_period_critical_pods, running.durations.shutdown_grace_period_critical_pods);
  std::set<std::string_view> reloadable;
  for (const Key& key : Reference()) {
    if (key.form == Form::kDuration && key.change == Change::kReloadable) reloadable.insert(key.path);
  }
  EXPECT_THAT(reloadable,
              ::testing::ElementsAre("containerLogMonitorInterval", "crashLoopBackOff.initial", "crashLoopBackOff.max",
                                     "crashLoopBackOff.reset", "fileCheckFrequency"));
}

}  // namespace
}  // namespace daemonsetd::config
