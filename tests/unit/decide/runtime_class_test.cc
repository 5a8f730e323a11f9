#include "agent/decide/runtime_class.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace daemonsetd::decide {
namespace {

using ::testing::HasSubstr;

const RuntimeClasses kClasses = {
    {"kata", {.handler = "kata-qemu", .overhead = {{"memory", model::Quantity::Parse("120Mi").value()}}}},
    {"nvidia", {.handler = "nvidia", .overhead = {}}}};

TEST(RuntimeClass, GivesTheHandlerOfTheNamedClass) {
  corev1::PodSpec spec;
  EXPECT_EQ(FindRuntimeHandler(spec, kClasses).value(), "");
  spec.set_runtimeclassname("kata");
  EXPECT_EQ(FindRuntimeHandler(spec, kClasses).value(), "kata-qemu");
  spec.set_runtimeclassname("gvisor");
  const auto unknown = FindRuntimeHandler(spec, kClasses);
  ASSERT_FALSE(unknown);
  EXPECT_EQ(unknown.error().kind(), ErrorKind::kAbsent);
  EXPECT_THAT(unknown.error().message(), HasSubstr("needs RuntimeClass gvisor"));
  EXPECT_THAT(unknown.error().message(), HasSubstr("runtimeClasses"));
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
