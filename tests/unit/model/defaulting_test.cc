#include "agent/model/defaulting.h"

#include <gtest/gtest.h>

#include <string>

#include "agent/model/names.h"

namespace daemonsetd::model {
namespace {

corev1::Pod PodWithContainer() {
  corev1::Pod pod;
  pod.mutable_metadata()->set_name("agent");
  auto& container = *pod.mutable_spec()->add_containers();
  container.set_name("agent");
  container.set_image("registry.example.com/agent:1.0");
  return pod;
}

void SetQuantity(google::protobuf::Map<std::string, resourcev1::Quantity>& list, const std::string& name,
                 const std::string& value) {
  list[name].set_string(value);
}

TEST(DefaultingTest, APodGetsItsRequestsFromItsLimits) {
  corev1::Pod pod = PodWithContainer();
  auto& resources = *pod.mutable_spec()->mutable_containers(0)->mutable_resources();
  SetQuantity(*resources.mutable_limits(), "cpu", "2");
  SetQuantity(*resources.mutable_limits(), "memory", "1Gi");
  SetQuantity(*resources.mutable_requests(), "cpu", "500m");
  SetDefaults(pod);
  const auto& requests = pod.spec().containers(0).resources().requests();
  EXPECT_EQ(requests.at("cpu").string(), "500m");
  EXPECT_EQ(requests.at("memory").string(), "1Gi");
}

TEST(DefaultingTest, PodLevelRequestsAreThoseOfTheContainersOrElseTheLimits) {
  corev1::Pod pod = PodWithContainer();
  auto& spec = *pod.mutable_spec();
  SetQuantity(*spec.mutable_resources()->mutable_limits(), "cpu", "2");
  SetQuantity(*spec.mutable_resources()->mutable_limits(), "memory", "1Gi");
  SetQuantity(*spec.mutable_containers(0)->mutable_resources()->mutable_requests(), "cpu", "300m");
  auto& sidecar = *spec.add_initcontainers();
  sidecar.set_restartpolicy("Always");
  SetQuantity(*sidecar.mutable_resources()->mutable_requests(), "cpu", "100m");
  SetQuantity(*spec.add_initcontainers()->mutable_resources()->mutable_requests(), "cpu", "350m");
  SetQuantity(*spec.mutable_containers(0)->mutable_resources()->mutable_limits(), "hugepages-2Mi", "4Mi");
  SetDefaults(pod);
  EXPECT_EQ(spec.resources().requests().at("cpu").string(), "450m");  // the init container beside the sidecar
  EXPECT_EQ(spec.resources().requests().at("memory").string(), "1Gi");
  EXPECT_EQ(spec.resources().limits().at("hugepages-2Mi").string(), "4Mi");
  EXPECT_EQ(spec.resources().requests().at("hugepages-2Mi").string(), "4Mi");
}

TEST(DefaultingTest, PodLevelLimitsAreSetOnlyWhereEveryContainerHasOne) {
  corev1::Pod pod = PodWithContainer();
  auto& spec = *pod.mutable_spec();
  SetQuantity(*spec.mutable_resources()->mutable_requests(), "cpu", "1");
  SetQuantity(*spec.mutable_containers(0)->mutable_resources()->mutable_limits(), "cpu", "2");
  SetQuantity(*spec.mutable_containers(0)->mutable_resources()->mutable_limits(), "memory", "1Gi");
  auto& other = *spec.add_containers();
  SetQuantity(*other.mutable_resources()->mutable_limits(), "cpu", "500m");
  SetDefaults(pod);
  EXPECT_EQ(spec.resources().limits().at("cpu").string(), "2500m");
  EXPECT_FALSE(spec.resources().limits().contains("memory"));
}

TEST(DefaultingTest, APodWithoutPodLevelResourcesGetsNone) {
  corev1::Pod pod = PodWithContainer();
  SetQuantity(*pod.mutable_spec()->mutable_containers(0)->mutable_resources()->mutable_limits(), "cpu", "2");
  SetDefaults(pod);
  EXPECT_FALSE(pod.spec().has_resources());
}

TEST(DefaultingTest, ATemplateKeepsTheRequestsThatItsAuthorWrote) {
  appsv1::DaemonSet daemon_set;
  auto& spec = *daemon_set.mutable_spec()->mutable_template_()->mutable_spec();
  *spec.add_containers() = PodWithContainer().spec().containers(0);
  spec.set_hostnetwork(true);
  spec.mutable_containers(0)->add_ports()->set_containerport(9100);
  SetQuantity(*spec.mutable_containers(0)->mutable_resources()->mutable_limits(), "cpu", "2");
  SetDefaults(daemon_set);
  EXPECT_TRUE(spec.containers(0).resources().requests().empty());
  EXPECT_EQ(spec.containers(0).ports(0).hostport(), 0);
  EXPECT_FALSE(spec.has_enableservicelinks());
}

TEST(DefaultingTest, APodOnTheHostNetworkUsesItsContainerPortsOnTheHost) {
  corev1::Pod pod = PodWithContainer();
  pod.mutable_spec()->set_hostnetwork(true);
  pod.mutable_spec()->mutable_containers(0)->add_ports()->set_containerport(9100);
  SetDefaults(pod);
  EXPECT_EQ(pod.spec().containers(0).ports(0).hostport(), 9100);
  EXPECT_EQ(pod.spec().containers(0).ports(0).protocol(), "TCP");
  EXPECT_TRUE(pod.spec().enableservicelinks());
}

TEST(DefaultingTest, AnObjectWithoutNamespaceBelongsToDefault) {
  corev1::Pod pod = PodWithContainer();
  SetDefaults(pod);
  EXPECT_EQ(pod.metadata().namespace_(), "default");
  corev1::Pod elsewhere = PodWithContainer();
  elsewhere.mutable_metadata()->set_namespace_("kube-system");
  SetDefaults(elsewhere);
  EXPECT_EQ(elsewhere.metadata().namespace_(), "kube-system");
}

TEST(DefaultingTest, ResourcesAreRoundedUpToThousandthsAndCanonical) {
  corev1::Pod pod = PodWithContainer();
  auto& limits = *pod.mutable_spec()->mutable_containers(0)->mutable_resources()->mutable_limits();
  SetQuantity(limits, "cpu", "1500u");
  SetQuantity(limits, "memory", "1024Mi");
  SetQuantity(limits, "example.com/huge", "9E");
  SetQuantity(limits, "example.com/wrong", "many");
  SetDefaults(pod);
  EXPECT_EQ(limits.at("cpu").string(), "2m");
  EXPECT_EQ(limits.at("memory").string(), "1Gi");
  EXPECT_EQ(limits.at("example.com/huge").string(), "9E");
  EXPECT_EQ(limits.at("example.com/wrong").string(), "many");  // for validation to report
}

TEST(DefaultingTest, OnDeleteGetsNoRollingUpdate) {
  appsv1::DaemonSet daemon_set;
  daemon_set.mutable_spec()->mutable_updatestrategy()->set_type("OnDelete");
  SetDefaults(daemon_set);
  EXPECT_FALSE(daemon_set.spec().updatestrategy().has_rollingupdate());
  EXPECT_EQ(daemon_set.spec().revisionhistorylimit(), 10);
}

TEST(DefaultingTest, AHistoryOfNoneIsKept) {
  appsv1::DaemonSet daemon_set;
  daemon_set.mutable_spec()->set_revisionhistorylimit(0);
  SetDefaults(daemon_set);
  EXPECT_EQ(daemon_set.spec().revisionhistorylimit(), 0);
}

TEST(DefaultingTest, TheServiceAccountHasTwoNames) {
  corev1::Pod old_name = PodWithContainer();
  old_name.mutable_spec()->set_serviceaccount("old");
  SetDefaults(old_name);
  EXPECT_EQ(old_name.spec().serviceaccountname(), "old");
  corev1::Pod both = PodWithContainer();
  both.mutable_spec()->set_serviceaccount("old");
  both.mutable_spec()->set_serviceaccountname("new");
  SetDefaults(both);
  EXPECT_EQ(both.spec().serviceaccount(), "new");
}

TEST(DefaultingTest, VolumesGetTheDefaultsOfTheirSource) {
  corev1::PodSpec spec;
  spec.add_volumes()->set_name("nothing");
  spec.add_volumes()->mutable_volumesource()->mutable_hostpath()->set_path("/var/log");
  spec.add_volumes()->mutable_volumesource()->mutable_rbd();
  spec.add_volumes()->mutable_volumesource()->mutable_azuredisk();
  spec.add_volumes()->mutable_volumesource()->mutable_scaleio();
  spec.add_volumes()->mutable_volumesource()->mutable_iscsi();
  spec.add_volumes()->mutable_volumesource()->mutable_image()->set_reference("registry.example.com/data");
  spec.add_volumes()
      ->mutable_volumesource()
      ->mutable_projected()
      ->add_sources()
      ->mutable_serviceaccounttoken()
      ->set_path("token");
  SetPodSpecDefaults(spec);
  EXPECT_TRUE(spec.volumes(0).volumesource().has_emptydir());
  EXPECT_TRUE(spec.volumes(1).volumesource().hostpath().has_type());
  EXPECT_EQ(spec.volumes(2).volumesource().rbd().keyring(), "/etc/ceph/keyring");
  EXPECT_EQ(spec.volumes(3).volumesource().azuredisk().fstype(), "ext4");
  EXPECT_EQ(spec.volumes(4).volumesource().scaleio().storagemode(), "ThinProvisioned");
  EXPECT_EQ(spec.volumes(5).volumesource().iscsi().iscsiinterface(), "default");
  EXPECT_EQ(spec.volumes(6).volumesource().image().pullpolicy(), "Always");
  EXPECT_EQ(spec.volumes(7).volumesource().projected().defaultmode(), 0644);
  EXPECT_EQ(spec.volumes(7).volumesource().projected().sources(0).serviceaccounttoken().expirationseconds(), 3600);
}

// A source that is present but has no field of its own set is a source; only a volume without any is an emptyDir.
TEST(DefaultingTest, AnEmptySourceIsStillThatSource) {
  corev1::PodSpec spec;
  spec.add_volumes()->mutable_volumesource()->mutable_downwardapi();
  SetPodSpecDefaults(spec);
  EXPECT_FALSE(spec.volumes(0).volumesource().has_emptydir());
  EXPECT_EQ(spec.volumes(0).volumesource().downwardapi().defaultmode(), 0644);
}

TEST(DefaultingTest, EveryKindOfContainerIsFilledIn) {
  corev1::PodSpec spec;
  spec.add_initcontainers()->set_image("a:1");
  auto& debug = *spec.add_ephemeralcontainers()->mutable_ephemeralcontainercommon();
  debug.set_image("b");
  debug.mutable_livenessprobe()->mutable_handler()->mutable_httpget();
  debug.mutable_lifecycle()->mutable_prestop()->mutable_httpget();
  SetPodSpecDefaults(spec);
  EXPECT_EQ(spec.initcontainers(0).imagepullpolicy(), "IfNotPresent");
  EXPECT_EQ(debug.imagepullpolicy(), "Always");
  EXPECT_EQ(debug.livenessprobe().handler().httpget().path(), "/");
  EXPECT_EQ(debug.lifecycle().prestop().httpget().scheme(), "HTTP");
}

struct ImageCase {
  std::string image;
  bool is_latest;
};

class ImageTagTest : public ::testing::TestWithParam<ImageCase> {};

TEST_P(ImageTagTest, IsReadAsTheReferenceReadsIt) {
  EXPECT_EQ(ImageTagIsLatest(GetParam().image), GetParam().is_latest) << GetParam().image;
}

const std::string kHex(64, 'a');

INSTANTIATE_TEST_SUITE_P(
    All, ImageTagTest,
    ::testing::Values(ImageCase{"nginx", true}, ImageCase{"nginx:latest", true}, ImageCase{"nginx:1.25", false},
                      ImageCase{"localhost:5000/agent", true}, ImageCase{"localhost:5000/agent:v1", false},
                      ImageCase{"registry.example.com/a/b:latest", true},
                      ImageCase{"registry.example.com/a/b@sha256:" + kHex, false},
                      ImageCase{"registry.example.com/a/b:latest@sha256:" + kHex, true},
                      ImageCase{"registry.example.com/a/b:1@sha256:" + kHex, false},
                      ImageCase{"[::1]:5000/agent", true}, ImageCase{"a__b/c-d.e", true},
                      // Not image references: the reference's parser fails, and the policy becomes IfNotPresent.
                      ImageCase{"", false}, ImageCase{" nginx", false}, ImageCase{"Nginx", false},
                      ImageCase{"a..b", false}, ImageCase{"a___b", false}, ImageCase{"-a", false},
                      ImageCase{"a/", false}, ImageCase{"a:", false}, ImageCase{"a@sha256:12", false},
                      ImageCase{kHex, false}, ImageCase{"{{ .Values.image }}", false},
                      ImageCase{std::string(100'000, '/'), false}, ImageCase{std::string(256, 'a'), false}));

}  // namespace
}  // namespace daemonsetd::model
