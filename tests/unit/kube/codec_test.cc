#include "agent/kube/codec.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/support/fake_http_transport.h"

namespace daemonsetd::kube {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::Not;

corev1::Pod MakePod(const std::string& name) {
  corev1::Pod pod;
  pod.mutable_metadata()->set_name(name);
  pod.mutable_metadata()->set_namespace_("default");
  pod.mutable_metadata()->set_resourceversion("7");
  return pod;
}

TEST(CodecTest, TheEnvelopeIsThatOfTheApiServer) {
  const std::string body = EncodeObject("v1", "Pod", corev1::Pod());
  // "k8s\0"; field 1: TypeMeta {1: "v1", 2: "Pod"}; field 2: the object, empty.
  EXPECT_EQ(body, std::string("k8s\0\x0a\x09\x0a\x02v1\x12\x03Pod\x12\x00", 17));
}

TEST(CodecTest, AnObjectComesBack) {
  corev1::Pod decoded;
  ASSERT_TRUE(DecodeObject(EncodeObject("v1", "Pod", MakePod("a")), "v1", "Pod", decoded));
  EXPECT_EQ(decoded.SerializeAsString(), MakePod("a").SerializeAsString());
}

TEST(CodecTest, FieldsOfALaterServerSurviveARoundTrip) {
  corev1::Pod pod = MakePod("a");
  pod.GetReflection()->MutableUnknownFields(&pod)->AddLengthDelimited(4711, "of a later release");
  auto* spec = pod.mutable_spec();
  spec->GetReflection()->MutableUnknownFields(spec)->AddVarint(4712, 3);
  const std::string body = EncodeObject("v1", "Pod", pod);
  corev1::Pod decoded;
  ASSERT_TRUE(DecodeObject(body, "v1", "Pod", decoded));
  EXPECT_EQ(EncodeObject("v1", "Pod", decoded), body);
  EXPECT_EQ(decoded.spec().GetReflection()->GetUnknownFields(decoded.spec()).field(0).varint(), 3u);
}

TEST(CodecTest, AnotherKindIsNotTaken) {
  const std::string body = EncodeObject("v1", "Node", corev1::Node());
  corev1::Pod pod;
  const Status decoded = DecodeObject(body, "v1", "Pod", pod);
  ASSERT_FALSE(decoded);
  EXPECT_EQ(decoded.error().kind(), ErrorKind::kInvalid);
  EXPECT_THAT(decoded.error().message(), HasSubstr("v1 Node instead of v1 Pod"));
  EXPECT_FALSE(DecodeObject(EncodeObject("v2", "Pod", pod), "v1", "Pod", pod));
}

TEST(CodecTest, BrokenBodiesAreRefused) {
  const std::string whole = EncodeObject("v1", "Pod", MakePod("a"));
  corev1::Pod pod;
  for (std::size_t size = 0; size < whole.size(); ++size) {
    EXPECT_FALSE(DecodeObject(whole.substr(0, size), "v1", "Pod", pod)) << size;
  }
  EXPECT_FALSE(DecodeObject("{\"kind\":\"Pod\"}", "v1", "Pod", pod));
  EXPECT_FALSE(DecodeObject(whole + "\xff", "v1", "Pod", pod));
  EXPECT_FALSE(DecodeObject(whole + std::string("\x1a\x04gzip", 6), "v1", "Pod", pod));
  EXPECT_FALSE(DecodeObject(std::string(kMaximumMessage + 1, 'x'), "v1", "Pod", pod));
}

TEST(CodecTest, AListIsCutIntoItsItems) {
  corev1::PodList list;
  list.mutable_metadata()->set_resourceversion("12");
  list.mutable_metadata()->set_continue_("next");
  *list.add_items() = MakePod("a");
  *list.add_items() = MakePod("b");
  const Result<ListPage> page = DecodeList(EncodeObject("v1", "PodList", list), kPods);
  ASSERT_TRUE(page);
  EXPECT_EQ(page->resource_version, "12");
  EXPECT_EQ(page->continue_token, "next");
  EXPECT_THAT(page->items, ElementsAre(MakePod("a").SerializeAsString(), MakePod("b").SerializeAsString()));
  EXPECT_FALSE(DecodeList(EncodeObject("v1", "Pod", list), kPods));
  EXPECT_FALSE(DecodeList(EncodeObject("v1", "PodList", list), kNodes));
}

std::string PodFrame(std::string_view type) { return testing::FrameOf(type, "v1", "Pod", MakePod("a")); }

TEST(FrameParserTest, FramesArriveInArbitraryPieces) {
  const std::string stream = PodFrame("ADDED") + PodFrame("MODIFIED") + PodFrame("DELETED");
  for (const std::size_t size : {1, 2, 3, 5, 7, 64, 10000}) {
    FrameParser parser;
    std::vector<std::string> types;
    for (std::size_t at = 0; at < stream.size(); at += size) {
      parser.Append(std::string_view(stream).substr(at, size));
      for (;;) {
        const Result<std::optional<std::string>> frame = parser.Next();
        ASSERT_TRUE(frame);
        if (!*frame) break;
        const Result<WatchFrame> decoded = DecodeWatchFrame(**frame, kPods, "watch pods");
        ASSERT_TRUE(decoded) << decoded.error().message();
        types.emplace_back(ToString(decoded->type));
        EXPECT_EQ(decoded->object, MakePod("a").SerializeAsString());
      }
    }
    EXPECT_THAT(types, ElementsAre("ADDED", "MODIFIED", "DELETED")) << size;
    EXPECT_FALSE(parser.HasPart());
  }
}

TEST(FrameParserTest, AFrameThatIsCutIsSeen) {
  FrameParser parser;
  const std::string frame = PodFrame("ADDED");
  parser.Append(frame.substr(0, frame.size() - 1));
  EXPECT_EQ(*parser.Next(), std::nullopt);
  EXPECT_TRUE(parser.HasPart());
}

TEST(FrameParserTest, AFrameThatIsTooLongIsRefusedBeforeItComes) {
  FrameParser parser(1000);
  parser.Append(std::string("\x00\x00\x03\xe9", 4));
  EXPECT_EQ(parser.Next().error().kind(), ErrorKind::kInvalid);
  FrameParser exact(1000);
  exact.Append(std::string("\x00\x00\x03\xe8", 4) + std::string(1000, 'x'));
  EXPECT_EQ((*exact.Next())->size(), 1000u);
}

Result<WatchFrame> Decode(std::string_view frame) { return DecodeWatchFrame(frame.substr(4), kPods, "watch pods"); }

TEST(WatchFrameTest, UnknownTypesAndOtherKindsAreRefused) {  // AW-03
  EXPECT_THAT(Decode(PodFrame("RENAMED")).error().message(), HasSubstr("unknown type \"RENAMED\""));
  EXPECT_FALSE(Decode(testing::FrameOf("ADDED", "v1", "Node", corev1::Node())));
  EXPECT_FALSE(DecodeWatchFrame("", kPods, "watch pods"));
  EXPECT_FALSE(DecodeWatchFrame("garbage", kPods, "watch pods"));
}

TEST(WatchFrameTest, AnErrorEventIsNoObject) {  // AW-03
  metav1::Status status;
  status.set_code(410);
  status.set_reason("Expired");
  status.set_message("too old resource version: 5 (10)");
  const Result<WatchFrame> frame = Decode(testing::FrameOf("ERROR", "v1", "Status", status));
  ASSERT_TRUE(frame);
  EXPECT_EQ(frame->type, FrameType::kError);
  EXPECT_EQ(frame->error.error.kind(), ErrorKind::kGone);
  EXPECT_EQ(frame->error.code, 410);
  EXPECT_FALSE(Decode(testing::FrameOf("ERROR", "v1", "Pod", MakePod("a"))));
}

ErrorKind KindOf(int code, std::string_view reason) {
  return ErrorOf(testing::StatusResponse(code, reason, "because"), "get pods a/b").error.kind();
}

TEST(ApiErrorTest, TheKindSaysWhatToDo) {
  EXPECT_EQ(KindOf(401, "Unauthorized"), ErrorKind::kDenied);
  EXPECT_EQ(KindOf(403, "Forbidden"), ErrorKind::kDenied);
  EXPECT_EQ(KindOf(404, "NotFound"), ErrorKind::kUnsupported) << "no object is named: the path is unknown";
  metav1::Status absent;
  absent.set_code(404);
  absent.set_reason("NotFound");
  absent.mutable_details()->set_name("b");
  EXPECT_EQ(ErrorOf(absent, 404, "get pods a/b").error.kind(), ErrorKind::kAbsent);
  EXPECT_EQ(KindOf(409, "AlreadyExists"), ErrorKind::kExists);
  EXPECT_EQ(KindOf(409, "Conflict"), ErrorKind::kConflict);
  EXPECT_EQ(KindOf(410, "Gone"), ErrorKind::kGone);
  EXPECT_EQ(KindOf(410, "Expired"), ErrorKind::kGone);
  EXPECT_EQ(KindOf(500, "Expired"), ErrorKind::kGone);
  EXPECT_EQ(KindOf(400, "BadRequest"), ErrorKind::kInvalid);
  EXPECT_EQ(KindOf(422, "Invalid"), ErrorKind::kInvalid);
  EXPECT_EQ(KindOf(405, "MethodNotAllowed"), ErrorKind::kUnsupported);
  EXPECT_EQ(KindOf(408, "Timeout"), ErrorKind::kRetry);
  EXPECT_EQ(KindOf(429, "TooManyRequests"), ErrorKind::kRetry);
  EXPECT_EQ(KindOf(500, "InternalError"), ErrorKind::kRetry);
  EXPECT_EQ(KindOf(503, "ServiceUnavailable"), ErrorKind::kRetry);
  EXPECT_EQ(KindOf(504, "Timeout"), ErrorKind::kTimeout);
}

TEST(ApiErrorTest, APathThatIsNotServedIsNotAnAbsentObject) {
  const HttpResponse proxy{.status = 404, .content_type = "text/html", .body = "<h1>no such page</h1>"};
  const ApiError error = ErrorOf(proxy, "get pods a/b");
  EXPECT_EQ(error.error.kind(), ErrorKind::kUnsupported);
  EXPECT_THAT(error.error.message(), HasSubstr("no API server"));
  EXPECT_THAT(error.error.message(), Not(HasSubstr("<h1>")));
}

TEST(ApiErrorTest, TheMessageNamesTheCallAndTheServersReason) {
  EXPECT_EQ(ErrorOf(testing::StatusResponse(409, "AlreadyExists", "pods \"b\" already exists"), "create pods a/b")
                .error.message(),
            "create pods a/b: pods \"b\" already exists (HTTP 409 AlreadyExists)");
}

TEST(ApiErrorTest, AStatusMayComeAsJsonOrAsPlainText) {
  const HttpResponse json{.status = 403,
                          .content_type = "application/json",
                          .body = R"({"kind":"Status","apiVersion":"v1","status":"Failure","message":"user may not",)"
                                  R"("reason":"Forbidden","details":{"retryAfterSeconds":7},"code":403,"later":1})"};
  EXPECT_THAT(ErrorOf(json, "x").error.message(), HasSubstr("user may not (HTTP 403 Forbidden)"));
  EXPECT_EQ(ErrorOf(json, "x").retry_after, Seconds(7));
  const HttpResponse plain{.status = 429,
                           .content_type = "text/plain; charset=utf-8",
                           .retry_after = Seconds(1),
                           .body = "Too many requests, please try again later.\nsecond line\x01\n"};
  EXPECT_EQ(ErrorOf(plain, "x").error.message(), "x: Too many requests, please try again later. (HTTP 429)");
  EXPECT_EQ(ErrorOf(plain, "x").retry_after, Seconds(1));
}

TEST(ApiErrorTest, WhatTheServerWritesIsMadePrintable) {
  const std::string text = "a\nb\x1b[31m\xff" + std::string(5000, 'x');
  const std::string message = ErrorOf(testing::StatusResponse(500, "Internal\nError", text), "x").error.message();
  EXPECT_THAT(message, Not(HasSubstr("\n")));
  EXPECT_THAT(message, Not(HasSubstr("\x1b")));
  EXPECT_LT(message.size(), 1500u);
}

TEST(ApiErrorTest, ARedirectIsNotFollowed) {
  EXPECT_THAT(ErrorOf(HttpResponse{.status = 302}, "x").error.message(), HasSubstr("check the server's address"));
}

TEST(ApiErrorTest, AVersionInTheServersFutureIsTold) {
  metav1::Status status;
  status.set_code(504);
  EXPECT_FALSE(ErrorOf(status, 504, "x").version_too_large);
  status.mutable_details()->add_causes()->set_reason("ResourceVersionTooLarge");
  EXPECT_TRUE(ErrorOf(status, 504, "x").version_too_large);
}

}  // namespace
}  // namespace daemonsetd::kube
