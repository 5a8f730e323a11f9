#include "cri/error_mapping.h"

#include <gmock/gmock.h>
#include <grpcpp/support/status.h>
#include <gtest/gtest.h>

namespace daemonsetd::cri {
namespace {

using grpc::StatusCode;
using ::testing::HasSubstr;
using ::testing::Not;

ErrorKind KindOf(StatusCode code, const std::string& text = "text", bool we_cancelled = false) {
  return FromGrpc("Method", grpc::Status(code, text), we_cancelled).kind();
}

TEST(ErrorMapping, EachCodeTellsTheCallerWhatToDo) {
  EXPECT_EQ(KindOf(StatusCode::NOT_FOUND), ErrorKind::kAbsent);
  EXPECT_EQ(KindOf(StatusCode::ALREADY_EXISTS), ErrorKind::kExists);
  EXPECT_EQ(KindOf(StatusCode::DEADLINE_EXCEEDED), ErrorKind::kTimeout);
  EXPECT_EQ(KindOf(StatusCode::UNAVAILABLE), ErrorKind::kRetry);
  EXPECT_EQ(KindOf(StatusCode::UNIMPLEMENTED), ErrorKind::kUnsupported);
  EXPECT_EQ(KindOf(StatusCode::PERMISSION_DENIED), ErrorKind::kDenied);
  EXPECT_EQ(KindOf(StatusCode::UNAUTHENTICATED), ErrorKind::kDenied);
  EXPECT_EQ(KindOf(StatusCode::INVALID_ARGUMENT), ErrorKind::kInvalid);
  EXPECT_EQ(KindOf(StatusCode::INTERNAL), ErrorKind::kRetry);
  EXPECT_EQ(KindOf(StatusCode::RESOURCE_EXHAUSTED), ErrorKind::kRetry);
}

TEST(ErrorMapping, OnlyACancellationOfOursCountsAsCancelled) {
  EXPECT_EQ(KindOf(StatusCode::CANCELLED, "", true), ErrorKind::kCancelled);
  EXPECT_EQ(KindOf(StatusCode::CANCELLED, "", false), ErrorKind::kRetry);
}

// LC-09, LC-10
TEST(ErrorMapping, AReservedNameExistsWhateverTheCode) {
  const std::string text = R"(failed to reserve sandbox name "a_b_c_0": name "a_b_c_0" is reserved for "0123")";
  EXPECT_EQ(KindOf(StatusCode::UNKNOWN, text), ErrorKind::kExists);
  EXPECT_EQ(KindOf(StatusCode::INTERNAL, text), ErrorKind::kExists);
}

TEST(ErrorMapping, ATimeoutInsideTheRuntimeIsATimeout) {
  EXPECT_EQ(KindOf(StatusCode::UNKNOWN, "failed to stop container: context deadline exceeded"), ErrorKind::kTimeout);
}

TEST(ErrorMapping, TheMessageNamesTheMethodAndIsPrintableAndBounded) {
  EXPECT_EQ(FromGrpc("StopContainer", grpc::Status(StatusCode::UNKNOWN, "no\nway\x1b"), false).message(),
            "CRI StopContainer: no way ");
  const std::string umlauts(100000, '\xc3');
  EXPECT_LT(FromGrpc("M", grpc::Status(StatusCode::UNKNOWN, umlauts), false).message().size(), 2200u);
  std::string text;
  for (int i = 0; i < 5000; ++i) text += "ä";
  const std::string message = FromGrpc("MM", grpc::Status(StatusCode::UNKNOWN, text), false).message();
  EXPECT_THAT(message, ::testing::EndsWith("ä…"));
  EXPECT_THAT(FromGrpc("M", grpc::Status(StatusCode::UNKNOWN, ""), false).message(), HasSubstr("no reason"));
}

// LC-18
TEST(ErrorMapping, AbsentIsSuccessForStopAndRemove) {
  EXPECT_TRUE(AbsentIsSuccess(Error(ErrorKind::kAbsent, "gone")));
  EXPECT_TRUE(AbsentIsSuccess(Ok()));
  EXPECT_EQ(AbsentIsSuccess(Error(ErrorKind::kTimeout, "late")).error().kind(), ErrorKind::kTimeout);
}

TEST(ErrorMapping, EnvValuesNeverAppear) {
  ::runtime::v1::ContainerConfig config;
  auto* variable = config.add_envs();
  variable->set_key("PASSWORD");
  variable->set_value("hunter22");
  auto* flag = config.add_envs();
  flag->set_key("DEBUG");
  flag->set_value("1");
  const Error error = WithoutEnvValues(Error(ErrorKind::kRetry, "bad env PASSWORD=hunter22 hunter22 at 1"), config);
  EXPECT_THAT(error.message(), Not(HasSubstr("hunter22")));
  EXPECT_THAT(error.message(), HasSubstr("PASSWORD"));
  EXPECT_THAT(error.message(), HasSubstr("at 1"));
  EXPECT_EQ(error.kind(), ErrorKind::kRetry);
}

TEST(ErrorMapping, AnEmptyImageStatusMeansAbsent) {
  ::runtime::v1::ImageStatusResponse response;
  EXPECT_EQ(ImageOf(response, "a:1").error().kind(), ErrorKind::kAbsent);
  response.mutable_image();
  EXPECT_EQ(ImageOf(response, "a:1").error().kind(), ErrorKind::kAbsent);
  response.mutable_image()->set_id("sha256:1");
  EXPECT_EQ(ImageOf(response, "a:1")->id(), "sha256:1");
}

}  // namespace
}  // namespace daemonsetd::cri
