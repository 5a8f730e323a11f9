// The API client on a real API server: what the fake transport of the unit tests takes for granted.
//   DAEMONSETD_TEST_KUBECONFIG   an administrator's
//   DAEMONSETD_TEST_NAMESPACE    an empty namespace with its default service account
#include <cstdlib>
#include <functional>
#include <stdexcept>
#include <string>
#include <vector>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "agent/kube/reflector.h"
#include "tests/cluster/api_client.h"
#include "tests/support/loop.h"

namespace daemonsetd::kube {
namespace {

using std::chrono::seconds;
using ::testing::Contains;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::Not;
using ::testing::SizeIs;
using testing::TestLoop;

std::string Environment(const char* name) {
  const char* value = std::getenv(name);
  if (value == nullptr) throw std::runtime_error(std::string(name) + " is not set; run tests/cluster");
  return value;
}

class ApiServerTest : public ::testing::Test {
 protected:
  ~ApiServerTest() override { Do(api_.transport.Close()); }

  template <class T>
  T Do(Task<T> task) {
    return loop_.Run(std::move(task), TestLoop::Clock::kStands);
  }
  NamespacedName Name(const std::string& name) const { return {ns_, name}; }
  corev1::ConfigMap MakeConfigMap(const std::string& name, const std::string& value = "1") const {
    corev1::ConfigMap object;
    object.mutable_metadata()->set_namespace_(ns_);
    object.mutable_metadata()->set_name(name);
    (*object.mutable_data())["key"] = value;
    return object;
  }
  // Bound to a node that does not exist: nobody runs it.
  corev1::Pod MakePod(const std::string& name) const {
    corev1::Pod pod;
    pod.mutable_metadata()->set_namespace_(ns_);
    pod.mutable_metadata()->set_name(name);
    pod.mutable_spec()->set_nodename("nowhere");
    corev1::Container* container = pod.mutable_spec()->add_containers();
    container->set_name("main");
    container->set_image("image");
    return pod;
  }

  const std::string ns_ = Environment("DAEMONSETD_TEST_NAMESPACE");
  TestLoop loop_{seconds(60)};
  testing::ApiClient api_{loop_.executor(), Environment("DAEMONSETD_TEST_KUBECONFIG")};
  Client& client_ = api_.client;
};

TEST_F(ApiServerTest, CreatesReadsUpdatesAndDeletes) {
  const auto created = Do(client_.Create(MakeConfigMap("one")));
  ASSERT_TRUE(created) << created.error().message();
  EXPECT_THAT(created->metadata().uid(), Not(IsEmpty()));

  const auto taken = Do(client_.Create(MakeConfigMap("one")));
  ASSERT_FALSE(taken);
  EXPECT_EQ(taken.error().kind(), ErrorKind::kExists);

  corev1::ConfigMap changed = *created;
  (*changed.mutable_data())["key"] = "2";
  const auto updated = Do(client_.Update(changed));
  ASSERT_TRUE(updated) << updated.error().message();
  const auto outdated = Do(client_.Update(changed));
  ASSERT_FALSE(outdated);
  EXPECT_EQ(outdated.error().kind(), ErrorKind::kConflict);

  const auto found = Do(client_.Get<corev1::ConfigMap>(Name("one")));
  ASSERT_TRUE(found) << found.error().message();
  EXPECT_EQ(found->data().at("key"), "2");

  const Status other = Do(client_.Delete<corev1::ConfigMap>(Name("one"), DeleteWith({}, "another uid")));
  ASSERT_FALSE(other);
  EXPECT_EQ(other.error().kind(), ErrorKind::kConflict);
  const Status gone =
      Do(client_.Delete<corev1::ConfigMap>(Name("one"), DeleteWith(seconds(0), created->metadata().uid())));
  EXPECT_TRUE(gone) << gone.error().message();
  const auto absent = Do(client_.Get<corev1::ConfigMap>(Name("one")));
  ASSERT_FALSE(absent);
  EXPECT_EQ(absent.error().kind(), ErrorKind::kAbsent);
}

TEST_F(ApiServerTest, APodsStatusIsPatchedAndItGoesWithItsGracePeriod) {
  const auto pod = Do(client_.Create(MakePod("pod")));
  ASSERT_TRUE(pod) << pod.error().message();
  const auto patched = Do(client_.PatchStatus<corev1::Pod>(
      Name("pod"), PatchType::kStrategicMerge,
      R"({"metadata":{"uid":")" + pod->metadata().uid() + R"("},"status":{"phase":"Running","podIP":"192.0.2.1"}})"));
  ASSERT_TRUE(patched) << patched.error().message();
  EXPECT_EQ(patched->status().phase(), "Running");
  const auto another = Do(client_.PatchStatus<corev1::Pod>(Name("pod"), PatchType::kStrategicMerge,
                                                           R"({"metadata":{"uid":"x"},"status":{"phase":"Failed"}})"));
  ASSERT_FALSE(another);
  EXPECT_EQ(another.error().kind(), ErrorKind::kConflict);

  ASSERT_TRUE(Do(client_.Delete<corev1::Pod>(Name("pod"), DeleteWith({}, ""))));
  const auto going = Do(client_.Get<corev1::Pod>(Name("pod")));
  ASSERT_TRUE(going) << "its node has not stopped it";
  EXPECT_TRUE(going->metadata().has_deletiontimestamp());
  EXPECT_EQ(going->metadata().deletiongraceperiodseconds(), 30);
  ASSERT_TRUE(Do(client_.Delete<corev1::Pod>(Name("pod"), DeleteWith(seconds(0), pod->metadata().uid()))));
  EXPECT_FALSE(Do(client_.Get<corev1::Pod>(Name("pod"))));
}

TEST_F(ApiServerTest, ListsPageByPage) {
  for (const char* name : {"a", "b", "c"}) ASSERT_TRUE(Do(client_.Create(MakeConfigMap(name))));
  std::vector<std::string> names;
  ListOptions list{.limit = 2};
  do {
    const auto page = Do(client_.List<corev1::ConfigMap>(ns_, list));
    ASSERT_TRUE(page) << page.error().message();
    EXPECT_LE(page->items.size(), 2u);
    for (const auto& item : page->items) names.push_back(item.metadata().name());
    list.continue_token = page->continue_token;
  } while (!list.continue_token.empty());
  for (const char* name : {"a", "b", "c"}) EXPECT_THAT(names, Contains(name));
  for (const char* name : {"a", "b", "c"}) {
    ASSERT_TRUE(Do(client_.Delete<corev1::ConfigMap>(Name(name), DeleteWith({}, ""))));
  }
}

TEST_F(ApiServerTest, SaysWhatWasWrongWithAnObject) {
  const auto refused = Do(client_.Create(MakeConfigMap("Not A Name")));
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().kind(), ErrorKind::kInvalid);
  EXPECT_THAT(refused.error().message(), HasSubstr("metadata.name"));
  corev1::ConfigMap homeless = MakeConfigMap("x");
  homeless.mutable_metadata()->set_namespace_("no-such-namespace");
  const auto nowhere = Do(client_.Create(homeless));
  ASSERT_FALSE(nowhere);
  EXPECT_THAT(nowhere.error().message(), HasSubstr("no-such-namespace"));
}

TEST_F(ApiServerTest, GivesTokens) {
  authenticationv1::TokenRequest request;
  request.mutable_spec()->set_expirationseconds(600);
  request.mutable_spec()->add_audiences("vault");
  const auto token = Do(client_.CreateToken(Name("default"), request));
  ASSERT_TRUE(token) << token.error().message();
  EXPECT_THAT(token->status().token(), Not(IsEmpty()));
}

TEST_F(ApiServerTest, ACollectionIsKeptUpToDate) {
  std::function<bool()> awaited = [] { return false; };
  bool reached = false;
  const std::function<void()> look = [&] { reached = reached || awaited(); };
  const ReflectorHandlers handlers{
      .on_change = [&](const NamespacedName&) { look(); }, .on_complete = look, .on_state = look};
  const ReflectorSettings settings{.ns = ns_};
  Reflector<corev1::ConfigMap> maps(client_, api_.timeline, [] { return 0.5; }, settings, handlers);
  const auto wait_until = [&](const std::function<bool()>& condition) {
    awaited = condition;
    reached = condition();
    loop_.RunUntil(reached);
  };
  ASSERT_TRUE(Do(client_.Create(MakeConfigMap("before"))));
  const auto run = loop_.Start(maps.Run());
  wait_until([&] { return maps.synced() && maps.live(); });
  EXPECT_NE(maps.Find(Name("before")), nullptr);

  ASSERT_TRUE(Do(client_.Create(MakeConfigMap("later"))));
  wait_until([&] { return maps.Find(Name("later")) != nullptr; });
  ASSERT_TRUE(Do(client_.Delete<corev1::ConfigMap>(Name("before"), DeleteWith({}, ""))));
  wait_until([&] { return maps.Find(Name("before")) == nullptr; });
  EXPECT_EQ(maps.last_error(), "");
  loop_.Cancel(run);
  ASSERT_TRUE(Do(client_.Delete<corev1::ConfigMap>(Name("later"), DeleteWith({}, ""))));
}

}  // namespace
}  // namespace daemonsetd::kube
