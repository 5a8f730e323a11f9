#include "agent/manifests/reader.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace daemonsetd::manifests {
namespace {

using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::SizeIs;

std::string PodText(const std::string& name, const std::string& image = "busybox:1.36") {
  return "apiVersion: v1\nkind: Pod\nmetadata: {name: " + name + "}\nspec: {containers: [{name: c, image: \"" + image +
         "\"}]}\n";
}
std::string SetText(const std::string& name) {
  return "apiVersion: apps/v1\nkind: DaemonSet\nmetadata: {name: " + name +
         "}\nspec: {selector: {matchLabels: {a: b}}, template: {metadata: {labels: {a: b}}, "
         "spec: {containers: [{name: c, image: \"busybox:1.36\"}]}}}\n";
}

TEST(ManifestName, IsYamlOrJsonAndNothingThatEditorsLeave) {
  for (const char* name : {"a.yaml", "a.yml", "a.json", "a.b.yaml", "4913.yaml"})
    EXPECT_TRUE(IsManifestName(name)) << name;
  // LC-08
  for (const char* name : {"", ".", ".a.yaml", ".a.yaml.swp", ".a.yaml.swx", "a.yaml~", "a.yaml.tmp", ".#a.yaml",
                           "#a.yaml#", "4913", "a.txt", "yaml", "a.yaml.bak", "a.swp", "sedXY12ab", "..data"}) {
    EXPECT_FALSE(IsManifestName(name)) << name;
  }
}

TEST(Manifest, BecomesDefaultedObjectsWithStableUids) {
  const FileObjects file = ReadManifest("/m/a.yaml", SetText("agent") + "---\n" + PodText("shell"), "node-1");
  EXPECT_THAT(file.errors, IsEmpty());
  ASSERT_THAT(file.daemon_sets, SizeIs(1));
  ASSERT_THAT(file.pods, SizeIs(1));
  const appsv1::DaemonSet& set = file.daemon_sets[0].object;
  EXPECT_EQ(file.daemon_sets[0].file, "/m/a.yaml");
  EXPECT_EQ(set.metadata().namespace_(), "default");
  EXPECT_EQ(set.spec().updatestrategy().type(), "RollingUpdate") << "defaulted";
  EXPECT_THAT(set.metadata().uid(), SizeIs(36));
  const FileObjects again = ReadManifest("/m/b.yaml", SetText("agent"), "node-1");
  EXPECT_EQ(again.daemon_sets.at(0).object.metadata().uid(), set.metadata().uid()) << "whatever the file";
  EXPECT_NE(ReadManifest("/m/b.yaml", SetText("other"), "node-1").daemon_sets.at(0).object.metadata().uid(),
            set.metadata().uid());
}

TEST(Manifest, PodBecomesAStaticPodOfTheNode) {
  const FileObjects file = ReadManifest("/m/a.yaml", PodText("shell"), "node-1");
  const corev1::Pod& pod = file.pods.at(0).object;
  EXPECT_EQ(pod.metadata().name(), "shell-node-1");
  EXPECT_EQ(pod.spec().nodename(), "node-1");
  EXPECT_EQ(pod.metadata().annotations().at("kubernetes.io/config.source"), "file");
  const std::string hash = pod.metadata().annotations().at("kubernetes.io/config.hash");
  EXPECT_THAT(hash, SizeIs(16));
  ASSERT_EQ(pod.spec().tolerations_size(), 1);
  EXPECT_EQ(pod.spec().tolerations(0).effect(), "NoExecute");

  const corev1::Pod changed = ReadManifest("/m/a.yaml", PodText("shell", "busybox:1.37"), "node-1").pods.at(0).object;
  EXPECT_NE(changed.metadata().annotations().at("kubernetes.io/config.hash"), hash);
  EXPECT_EQ(changed.metadata().uid(), pod.metadata().uid()) << "the same pod, changed";
  EXPECT_EQ(ReadManifest("/m/a.yaml", "# more\n" + PodText("shell"), "node-1")
                .pods.at(0)
                .object.metadata()
                .annotations()
                .at("kubernetes.io/config.hash"),
            hash);
}

TEST(Manifest, ExportedObjectsLoseWhatOnlyTheAgentMaySay) {
  const FileObjects file =
      ReadManifest("a.yaml",
                   "apiVersion: v1\nkind: Pod\nmetadata: {name: p, uid: x, resourceVersion: \"5\", deletionTimestamp: "
                   "2026-01-01T00:00:00Z}\nspec: {nodeName: elsewhere, containers: [{name: c, image: i}]}\nstatus: "
                   "{phase: Running}\n",
                   "node-1");
  EXPECT_THAT(file.errors, IsEmpty());
  const corev1::Pod& pod = file.pods.at(0).object;
  EXPECT_NE(pod.metadata().uid(), "x");
  EXPECT_FALSE(pod.metadata().has_deletiontimestamp());
  EXPECT_FALSE(pod.metadata().has_resourceversion());
  EXPECT_EQ(pod.spec().nodename(), "node-1");
  EXPECT_FALSE(pod.status().has_phase() && pod.status().phase() == "Running");
}

TEST(Manifest, WithOneBadDocumentIsRefusedWholeAndAllErrorsShow) {
  const FileObjects file = ReadManifest(
      "/m/a.yaml",
      SetText("good") + "---\napiVersion: v1\nkind: Pod\nmetadata: {name: bad}\nspec: {containers: []}\n---\n" +
          "apiVersion: v1\nkind: Pod\nmetadata: {name: worse}\nspec: {container: []}\n",
      "node-1");
  EXPECT_TRUE(file.empty());
  std::string text;
  for (const model::DecodeError& error : file.errors) text += model::ToString(error) + "\n";
  EXPECT_THAT(text, HasSubstr("/m/a.yaml:6: Pod default/bad-node-1: spec.containers: Required value"));
  EXPECT_THAT(text, HasSubstr("spec.container"));
}

TEST(Manifest, ObjectWithoutANameIsAnError) {
  EXPECT_THAT(ReadManifest("a", "apiVersion: v1\nkind: Pod\nspec: {containers: [{name: c, image: i}]}\n", "n").errors,
              Not(IsEmpty()));
}

TEST(Manifest, ObjectTwiceInAFileIsAnError) {
  const FileObjects file = ReadManifest("a.yaml", SetText("x") + "---\n" + SetText("x"), "n");
  ASSERT_THAT(file.errors, SizeIs(1));
  EXPECT_THAT(file.errors[0].message, HasSubstr("defined twice"));
}

TEST(Manifest, ObjectsOfOtherKindsAreToldAndHoldNothingBack) {
  const std::string account =
      "apiVersion: v1\nkind: ServiceAccount\nmetadata: {name: sa, namespace: kube-system}\n---\n";
  const FileObjects file = ReadManifest("a.yaml", account + SetText("x"), "n");
  EXPECT_THAT(file.errors, IsEmpty());
  EXPECT_THAT(file.daemon_sets, SizeIs(1));
  ASSERT_THAT(file.ignored, SizeIs(1));
  EXPECT_THAT(model::ToString(file.ignored[0]), HasSubstr("ServiceAccount kube-system/sa: ignored"));
}

TEST(Manifest, MisspeltKindIsAnError) {
  EXPECT_THAT(ReadManifest("a.yaml", "apiVersion: apps/v1\nkind: DaemonSett\nmetadata: {name: x}\n", "n").errors,
              SizeIs(1));
  EXPECT_THAT(
      ReadManifest("a.yaml", "apiVersion: extensions/v1beta1\nkind: DaemonSet\nmetadata: {name: x}\n", "n").errors,
      SizeIs(1));
}

TEST(PictureTest, KeepsTheLastGoodObjectsOfAFileThatWentBad) {
  Picture picture;
  picture.Update("a.yaml", ReadManifest("a.yaml", SetText("x"), "n"));
  picture.Update("a.yaml", ReadManifest("a.yaml", "kind: [", "n"));
  Snapshot snapshot = picture.Assemble();
  EXPECT_THAT(snapshot.daemon_sets, SizeIs(1));
  EXPECT_THAT(snapshot.errors, Not(IsEmpty()));
  picture.Update("a.yaml", ReadManifest("a.yaml", SetText("x"), "n"));
  EXPECT_THAT(picture.Assemble().errors, IsEmpty());
  picture.Remove("a.yaml");
  EXPECT_THAT(picture.Assemble().daemon_sets, IsEmpty());
}

TEST(PictureTest, KeepsTheLastGoodObjectsOfAFileThatWasEmptied) {
  Picture picture;
  picture.Update("a.yaml", ReadManifest("a.yaml", PodText("x"), "n"));
  for (const char* text : {"", "\n# nothing\n", "---\n"}) {
    picture.Update("a.yaml", ReadManifest("a.yaml", text, "n"));
    EXPECT_THAT(picture.Assemble().pods, SizeIs(1));
    ASSERT_THAT(picture.Assemble().errors, SizeIs(1));
    EXPECT_THAT(picture.Assemble().errors[0].message, HasSubstr("delete the file"));
  }
}

TEST(PictureTest, ObjectOfTwoFilesComesFromTheFirstAndTheErrorNamesBoth) {
  Picture picture;
  picture.Update("/m/b.yaml", ReadManifest("/m/b.yaml", SetText("x"), "n"));
  picture.Update("/m/a.yaml", ReadManifest("/m/a.yaml", SetText("x"), "n"));
  const Snapshot snapshot = picture.Assemble();
  ASSERT_THAT(snapshot.daemon_sets, SizeIs(1));
  EXPECT_EQ(snapshot.daemon_sets[0].file, "/m/a.yaml");
  ASSERT_THAT(snapshot.errors, SizeIs(1));
  EXPECT_EQ(model::ToString(snapshot.errors[0]),
            "/m/b.yaml: DaemonSet default/x: also defined in /m/a.yaml, which is used; remove one of the two");
  picture.Remove("/m/a.yaml");
  EXPECT_EQ(picture.Assemble().daemon_sets.at(0).file, "/m/b.yaml");
}

TEST(PictureTest, SameNameInAnotherNamespaceOrKindIsAnotherObject) {
  Picture picture;
  picture.Update("a", ReadManifest("a", SetText("x"), "n"));
  picture.Update("b", ReadManifest("b", SetText("x, namespace: other"), "n"));
  picture.Update("c", ReadManifest("c", PodText("x"), "n"));
  EXPECT_THAT(picture.Assemble().daemon_sets, SizeIs(2));
  EXPECT_THAT(picture.Assemble().errors, IsEmpty());
}

}  // namespace
}  // namespace daemonsetd::manifests
