// How a record lies in its file: a line of text that says format, kind and checksum, then the message. Pure.
//
//   daemonsetd-record 1 pod crc32c=89abcdef bytes=123
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include <google/protobuf/message.h>

#include "agent/base/result.h"
#include "checkpoint.pb.h"

namespace daemonsetd {
namespace checkpointv1 = ::daemonsetd::checkpoint::v1;
}  // namespace daemonsetd

namespace daemonsetd::store {

inline constexpr std::uint32_t kFormatVersion = 1;
inline constexpr std::size_t kMaxRecordBytes = 1 << 20;

// Castagnoli's, as in iSCSI (RFC 3720).
std::uint32_t Crc32c(std::string_view data);

// Equal messages give equal bytes.
std::string EncodeRecord(std::string_view kind, const google::protobuf::Message& message);

// kUnsupported: written by a newer agent. kInvalid: damaged, or of another kind; the message says in what way.
Status DecodeRecord(std::string_view bytes, std::string_view kind, google::protobuf::Message& message);

// The file that keeps the record of this UID. A UID that is no safe file name gets one derived from it.
std::string RecordFileName(std::string_view uid);

}  // namespace daemonsetd::store
