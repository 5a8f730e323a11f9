// Protobuf bodies of the Kubernetes API: "k8s\0" and a runtime.Unknown around an object or a list, and the frames of a
// watch. Pure. Everything that comes in is bounded and checked; unknown fields survive a round trip.
#pragma once

#include <cstddef>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include <google/protobuf/message_lite.h>

#include "agent/base/result.h"
#include "agent/kube/api_error.h"
#include "agent/kube/resource.h"

namespace daemonsetd::kube {

inline constexpr std::string_view kProtobufType = "application/vnd.kubernetes.protobuf";
inline constexpr std::string_view kJsonType = "application/json";
inline constexpr std::string_view kProtobufWatchType = "application/vnd.kubernetes.protobuf;stream=watch";
constexpr std::size_t kMaximumMessage = 64 * 1024 * 1024;

std::string EncodeObject(std::string_view api_version, std::string_view kind,
                         const google::protobuf::MessageLite& object);

// kInvalid when the body is broken, longer than kMaximumMessage, or holds another apiVersion or kind.
Status DecodeObject(std::string_view body, std::string_view api_version, std::string_view kind,
                    google::protobuf::MessageLite& object);

struct ListPage {
  std::string resource_version;
  std::string continue_token;      // not empty: there are more pages
  std::vector<std::string> items;  // each a message of the resource's kind, not decoded yet
};
Result<ListPage> DecodeList(std::string_view body, const Resource& resource);

// Cuts the stream of a watch into frames, however the pieces arrive. Take all frames before the next Append, and no
// more than one frame is held.
class FrameParser {
 public:
  explicit FrameParser(std::size_t maximum = kMaximumMessage) : maximum_(maximum) {}

  void Append(std::string_view piece);
  // The next whole frame, without its length; nothing while it is incomplete. kInvalid when it is announced longer than
  // allowed: the stream is of no further use.
  Result<std::optional<std::string>> Next();
  // True inside a frame: a stream that ends here was cut.
  bool HasPart() const { return at_ < buffer_.size(); }

 private:
  std::size_t maximum_;
  std::string buffer_;
  std::size_t at_ = 0;  // what comes before was taken
};

enum class FrameType { kAdded, kModified, kDeleted, kBookmark, kError };
std::string_view ToString(FrameType type);

struct WatchFrame {
  FrameType type;
  std::string object;  // a message of the resource's kind, not decoded yet; empty for kError
  ApiError error;      // of kError
};
// kInvalid for an unknown type and for an object of another kind. `call` goes into `error`.
Result<WatchFrame> DecodeWatchFrame(std::string_view frame, const Resource& resource, std::string_view call);

}  // namespace daemonsetd::kube
