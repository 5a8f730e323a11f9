#include "agent/decide/runtime_class.h"

#include <gtest/gtest.h>

namespace daemonsetd::decide {
namespace {

const RuntimeClasses kClasses = {
    {"kata", {.handler = "kata-qemu", .overhead = {{"memory", model::Quantity::Parse("120Mi").value()}}}},
    {"nvidia", {.handler = "nvidia", .overhead = {}}}};

TEST(RuntimeClass, TheConfiguredOneIsFoundByItsName) {
  corev1::PodSpec spec;
  EXPECT_EQ(FindConfigured(spec, kClasses), nullptr);
  spec.set_runtimeclassname("kata");
  ASSERT_NE(FindConfigured(spec, kClasses), nullptr);
  EXPECT_EQ(FindConfigured(spec, kClasses)->handler, "kata-qemu");
  spec.set_runtimeclassname("gvisor");
  EXPECT_EQ(FindConfigured(spec, kClasses), nullptr);
}

TEST(RuntimeClass, OfTheApiServerItHasHandlerAndOverhead) {
  nodev1::RuntimeClass object;
  object.set_handler("runsc");
  (*object.mutable_overhead()->mutable_podfixed())["cpu"].set_string("250m");
  const RuntimeClass found = RuntimeClassOf(object);
  EXPECT_EQ(found.handler, "runsc");
  ASSERT_EQ(found.overhead.size(), 1U);
  corev1::PodSpec spec;
  SetOverhead(spec, found);
  EXPECT_EQ(spec.overhead().at("cpu").string(), "250m");
}

TEST(RuntimeClass, OneThatIsNowhereIsNamedWithBothWaysToHaveIt) {
  const Error error = MissingRuntimeClass(Error(ErrorKind::kAbsent, "runtimeclass \"gvisor\" not found"));
  EXPECT_EQ(error.kind(), ErrorKind::kAbsent);
  EXPECT_EQ(error.message(),
            "runtimeclass \"gvisor\" not found; create it at the API server, or add it to runtimeClasses in the node's "
            "configuration");
}

TEST(RuntimeClass, SetsTheOverheadOfAPodThatHasNone) {
  corev1::PodSpec spec;
  SetOverhead(spec, kClasses);
  EXPECT_EQ(spec.overhead_size(), 0);
  spec.set_runtimeclassname("kata");
  SetOverhead(spec, kClasses);
  EXPECT_EQ(spec.overhead().at("memory").string(), "120Mi");
  (*spec.mutable_overhead())["memory"].set_string("1Mi");
  SetOverhead(spec, kClasses);
  EXPECT_EQ(spec.overhead().at("memory").string(), "1Mi");
}

}  // namespace
}  // namespace daemonsetd::decide
