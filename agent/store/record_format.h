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
// An object of the API server may have 1.5 MiB (etcd's limit), and the Services of a namespace lie in one record.
inline constexpr std::size_t kMaxRecordBytes = 4 << 20;  // with its header
inline constexpr std::size_t kMaxHeaderBytes = 128;

// Files of records never end so: what was not written to its end, and what was set aside.
inline constexpr std::string_view kUnfinishedEnding = ".tmp";
inline constexpr std::string_view kDamagedEnding = ".damaged";

// Castagnoli's, as in iSCSI (RFC 3720).
std::uint32_t Crc32c(std::string_view data);

// Equal messages give equal bytes.
std::string EncodeRecord(std::string_view kind, const google::protobuf::Message& message);

// kUnsupported: written by a newer agent. kInvalid: damaged, or of another kind; the message says in what way.
Status DecodeRecord(std::string_view bytes, std::string_view kind, google::protobuf::Message& message);

// The file that keeps the record of this UID. A UID that is no safe file name gets one derived from it.
std::string RecordFileName(std::string_view uid);

// "DaemonSet/kube-system/proxy": one text for one object, whatever its names hold.
std::string ObjectId(std::string_view kind, std::string_view name_space, std::string_view name);

// The file that keeps the record of the object with this ObjectId: "DaemonSet_kube-system_proxy". What is no safe file
// name, or too long for one, gets one derived from it.
std::string ObjectFileName(std::string_view object_id);

}  // namespace daemonsetd::store
