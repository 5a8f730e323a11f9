// Answers of an API server, as bytes: objects, lists, refusals and the frames of a watch.
// Input: one byte what it is, one byte a number that it needs, and the answer.
#include "agent/kube/codec.h"
#include "agent/kube/watch_machine.h"
#include "tests/fuzz/fuzz.h"

namespace daemonsetd::kube {
namespace {

void TakeObject(const std::string& body) {
  corev1::Pod pod;
  if (!DecodeObject(body, "v1", "Pod", pod)) return;
  corev1::Pod again;
  testing::Require(DecodeObject(EncodeObject("v1", "Pod", pod), "v1", "Pod", again).has_value(),
                   "what was decoded is encoded and decoded again");
  testing::Require(again.SerializeAsString() == pod.SerializeAsString(), "a round trip changes nothing");
}

void TakeList(const std::string& body) {
  const Result<ListPage> page = DecodeList(body, kPods);
  if (!page) return;
  std::size_t size = 0;
  for (const std::string& item : page->items) size += item.size();
  testing::Require(size <= body.size(), "the items are parts of the answer");
}

// Through the machine too, as after a complete list.
void TakeStream(std::string_view stream, std::size_t piece) {
  const MonoTime now{std::chrono::hours(1)};
  FrameParser parser(1 << 16);
  WatchStep step = BeginWatch("watch pods", "", now);
  step = StepWatch(step.state, TimeCame{}, WatchRules{}, now, 0.5);
  step = StepWatch(step.state, WatchOpened{}, WatchRules{}, now, 0.5);
  for (std::size_t at = 0; at < stream.size(); at += piece) {
    parser.Append(stream.substr(at, piece));
    for (;;) {
      const Result<std::optional<std::string>> bytes = parser.Next();
      if (!bytes) return;
      if (!*bytes) break;
      const Result<WatchFrame> frame = DecodeWatchFrame(**bytes, kPods, "watch pods");
      if (!frame) return;
      metav1::PartialObjectMetadata object;
      if (!object.ParseFromString(frame->object)) return;
      const FrameCame came{
          .type = frame->type,
          .resource_version = object.metadata().resourceversion(),
          .initial_events_end = object.metadata().annotations().contains(std::string(kInitialEventsEnd)),
          .error = frame->error};
      step = StepWatch(step.state, came, WatchRules{}, now, 0.5);
      if (!std::holds_alternative<ReadFrame>(step.then)) return;
    }
  }
}

void TakeRefusal(const std::string& body, int status) {
  for (const std::string_view type :
       {std::string_view("application/json"), kProtobufType, std::string_view("text/plain")}) {
    const HttpResponse response{.status = status, .content_type = std::string(type), .body = body};
    const ApiError error = ErrorOf(response, "get pods a/b");
    testing::Require(error.error.message().size() < 4096, "an error is no longer than a few lines");
    testing::Require(error.error.message().find('\n') == std::string::npos, "an error is one line");
  }
}

}  // namespace
}  // namespace daemonsetd::kube

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace daemonsetd;
  if (size < 2) return 0;
  const std::string body = testing::Text(data + 2, size - 2);
  switch (data[0] % 4) {
    case 0: kube::TakeObject(body); break;
    case 1: kube::TakeList(body); break;
    case 2: kube::TakeStream(body, data[1] + std::size_t{1}); break;
    default: kube::TakeRefusal(body, 300 + data[1]); break;
  }
  return 0;
}
