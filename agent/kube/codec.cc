#include "agent/kube/codec.h"

#include <fmt/format.h>
#include <google/protobuf/io/coded_stream.h>
#include <google/protobuf/wire_format_lite.h>

#include "agent/base/utf8.h"
#include "kubernetes/meta_v1.pb.h"
#include "kubernetes/runtime.pb.h"

namespace daemonsetd::kube {
namespace {

namespace runtimepb = ::k8s::io::apimachinery::pkg::runtime;
using google::protobuf::internal::WireFormatLite;
using google::protobuf::io::CodedInputStream;

constexpr std::string_view kMagic("k8s\0", 4);
constexpr std::size_t kLengthSize = 4;
// A buffer that once held something large is given back.
constexpr std::size_t kKeptBuffer = 64 * 1024;

// Every list of the API has this form (wire: XList: 1 ListMeta metadata, 2 repeated X items).
constexpr int kListMetadataField = 1;
constexpr int kListItemsField = 2;

Error Broken(std::string_view what) {
  return Error(ErrorKind::kInvalid, fmt::format("the answer is broken: {}", what));
}

// One field after another of a message that is not decoded as a whole, without copying. Only length-delimited fields
// are shown; false when the bytes are no message.
template <class Visitor>
bool VisitFields(std::string_view message, Visitor visit) {
  CodedInputStream input(reinterpret_cast<const std::uint8_t*>(message.data()), static_cast<int>(message.size()));
  while (const std::uint32_t tag = input.ReadTag()) {
    if (WireFormatLite::GetTagWireType(tag) != WireFormatLite::WIRETYPE_LENGTH_DELIMITED) {
      if (!WireFormatLite::SkipField(&input, tag)) return false;
      continue;
    }
    std::uint32_t length = 0;
    if (!input.ReadVarint32(&length)) return false;
    const auto at = static_cast<std::size_t>(input.CurrentPosition());
    if (length > message.size() - at || !input.Skip(static_cast<int>(length))) return false;
    if (!visit(WireFormatLite::GetTagFieldNumber(tag), message.substr(at, length))) return false;
  }
  return input.ConsumedEntireMessage();
}

bool Parse(std::string_view bytes, google::protobuf::MessageLite& message) {
  return message.ParseFromArray(bytes.data(), static_cast<int>(bytes.size()));
}

struct Envelope {
  runtimepb::TypeMeta type;
  std::string_view raw;  // inside the body
};

Result<Envelope> OpenEnvelope(std::string_view body) {
  if (body.size() > kMaximumMessage) return Broken("it is longer than 64 MiB");
  if (!body.starts_with(kMagic)) return Broken("it is not protobuf of the Kubernetes API");
  Envelope envelope;
  std::string_view encoding;
  const bool whole = VisitFields(body.substr(kMagic.size()), [&](int field, std::string_view bytes) {
    if (field == runtimepb::Unknown::kTypeMetaFieldNumber) return Parse(bytes, envelope.type);
    if (field == runtimepb::Unknown::kRawFieldNumber) envelope.raw = bytes;
    if (field == runtimepb::Unknown::kContentEncodingFieldNumber) encoding = bytes;
    return true;
  });
  if (!whole || envelope.raw.data() == nullptr) return Broken("its envelope cannot be read");
  if (!encoding.empty()) return Broken("its content is encoded in a way that nobody asked for");
  return envelope;
}

std::string Shown(const runtimepb::TypeMeta& type) {
  return fmt::format("{} {}", ValidUtf8(std::string_view(type.apiversion()).substr(0, 100)),
                     ValidUtf8(std::string_view(type.kind()).substr(0, 100)));
}

// The object's bytes, inside `body`.
Result<std::string_view> OpenEnvelope(std::string_view body, std::string_view api_version, std::string_view kind) {
  const Result<Envelope> envelope = OpenEnvelope(body);
  if (!envelope) return envelope.error();
  if (envelope->type.apiversion() != api_version || envelope->type.kind() != kind) {
    return Broken(fmt::format("it holds {} instead of {} {}", Shown(envelope->type), api_version, kind));
  }
  return envelope->raw;
}

std::optional<FrameType> FrameTypeFrom(std::string_view name) {
  for (const FrameType type :
       {FrameType::kAdded, FrameType::kModified, FrameType::kDeleted, FrameType::kBookmark, FrameType::kError}) {
    if (name == ToString(type)) return type;
  }
  return std::nullopt;
}

}  // namespace

std::string EncodeObject(std::string_view api_version, std::string_view kind,
                         const google::protobuf::MessageLite& object) {
  runtimepb::Unknown unknown;
  unknown.mutable_typemeta()->set_apiversion(std::string(api_version));
  unknown.mutable_typemeta()->set_kind(std::string(kind));
  object.SerializePartialToString(unknown.mutable_raw());
  std::string body(kMagic);
  unknown.AppendPartialToString(&body);
  return body;
}

Status DecodeObject(std::string_view body, std::string_view api_version, std::string_view kind,
                    google::protobuf::MessageLite& object) {
  const Result<std::string_view> raw = OpenEnvelope(body, api_version, kind);
  if (!raw) return raw.error();
  if (!Parse(*raw, object)) return Broken(fmt::format("the {} in it cannot be read", kind));
  return Ok();
}

Result<ListPage> DecodeList(std::string_view body, const Resource& resource) {
  const Result<std::string_view> raw = OpenEnvelope(body, ApiVersion(resource), ListKind(resource));
  if (!raw) return raw.error();
  ListPage page;
  metav1::ListMeta metadata;
  const bool whole = VisitFields(*raw, [&](int field, std::string_view bytes) {
    if (field == kListMetadataField) return Parse(bytes, metadata);
    if (field == kListItemsField) page.items.emplace_back(bytes);
    return true;
  });
  if (!whole) return Broken(fmt::format("the {} in it cannot be read", ListKind(resource)));
  page.resource_version = metadata.resourceversion();
  page.continue_token = metadata.continue_();
  return page;
}

void FrameParser::Append(std::string_view piece) {
  if (at_ == buffer_.size()) {
    if (buffer_.capacity() > kKeptBuffer) {
      std::string().swap(buffer_);
    } else {
      buffer_.clear();
    }
  } else if (at_ > 0) {
    buffer_.erase(0, at_);
  }
  at_ = 0;
  buffer_.append(piece);
}

Result<std::optional<std::string>> FrameParser::Next() {
  const std::string_view rest = std::string_view(buffer_).substr(at_);
  if (rest.size() < kLengthSize) return std::optional<std::string>();
  std::size_t length = 0;
  for (const char byte : rest.substr(0, kLengthSize)) length = length << 8 | static_cast<unsigned char>(byte);
  if (length > maximum_) {
    return Error(ErrorKind::kInvalid,
                 fmt::format("a frame of the watch is {} bytes long, more than the {} allowed", length, maximum_));
  }
  if (rest.size() - kLengthSize < length) return std::optional<std::string>();
  at_ += kLengthSize + length;
  return std::optional<std::string>(rest.substr(kLengthSize, length));
}

std::string_view ToString(FrameType type) {
  switch (type) {
    case FrameType::kAdded: return "ADDED";
    case FrameType::kModified: return "MODIFIED";
    case FrameType::kDeleted: return "DELETED";
    case FrameType::kBookmark: return "BOOKMARK";
    case FrameType::kError: return "ERROR";
  }
  return "unknown";
}

Result<WatchFrame> DecodeWatchFrame(std::string_view frame, const Resource& resource, std::string_view call) {
  metav1::WatchEvent event;
  if (!Parse(frame, event)) return Broken("a frame of the watch cannot be read");
  const std::optional<FrameType> type = FrameTypeFrom(event.type());
  if (!type) {
    return Broken(fmt::format("a frame of the watch has the unknown type \"{}\"",
                              ValidUtf8(std::string_view(event.type()).substr(0, 100))));
  }
  WatchFrame decoded{.type = *type};
  if (*type == FrameType::kError) {
    metav1::Status status;
    DAEMONSETD_RETURN_IF_ERROR(DecodeObject(event.object().raw(), "v1", "Status", status));
    decoded.error = ErrorOf(status, 500, call);
    return decoded;
  }
  const Result<std::string_view> object = OpenEnvelope(event.object().raw(), ApiVersion(resource), resource.kind);
  if (!object) return object.error();
  decoded.object = std::string(*object);
  return decoded;
}

}  // namespace daemonsetd::kube
