#include "agent/store/record_format.h"

#include <algorithm>
#include <array>
#include <charconv>

#include <fmt/format.h>
#include <google/protobuf/io/coded_stream.h>
#include <google/protobuf/io/zero_copy_stream_impl_lite.h>

#include "agent/base/digest.h"

namespace daemonsetd::store {
namespace {

constexpr std::string_view kMagic = "daemonsetd-record ";
constexpr std::size_t kMaxSafeName = 128;
constexpr std::size_t kMaxObjectFileName = 200;  // NAME_MAX is 255, and endings are added
constexpr char kEscape = '%';

constexpr std::array<std::uint32_t, 256> MakeCrcTable() {
  std::array<std::uint32_t, 256> table{};
  for (std::uint32_t i = 0; i < table.size(); ++i) {
    std::uint32_t value = i;
    for (int bit = 0; bit < 8; ++bit) value = (value & 1U) != 0 ? (value >> 1) ^ 0x82f63b78U : value >> 1;
    table[i] = value;
  }
  return table;
}
constexpr std::array<std::uint32_t, 256> kCrcTable = MakeCrcTable();

Error Damaged(std::string_view why) { return Error(ErrorKind::kInvalid, fmt::format("damaged: {}", why)); }

// The word up to the next blank; takes it and the blank off `text`.
std::string_view TakeWord(std::string_view& text) {
  const std::size_t end = std::min(text.find(' '), text.size());
  const std::string_view word = text.substr(0, end);
  text.remove_prefix(std::min(end + 1, text.size()));
  return word;
}

bool IsPlain(char c) { return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '-'; }

// Never equal to a safe name: those of UIDs have no capital letter, those of objects have an underscore.
std::string DerivedFileName(std::string_view text) { return "X" + DerivedUid(text); }

void AppendEscaped(std::string_view part, std::string& text) {
  for (const char c : part) {
    if (IsPlain(c) || (c >= 'A' && c <= 'Z') || c == '.') {
      text += c;
    } else {
      text += fmt::format("{}{:02x}", kEscape, static_cast<unsigned char>(c));
    }
  }
}

template <class Number>
bool Parse(std::string_view text, int base, Number& number) {
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number, base);
  return error == std::errc() && end == text.data() + text.size();
}

}  // namespace

std::uint32_t Crc32c(std::string_view data) {
  std::uint32_t crc = 0xffffffffU;
  for (const char c : data) crc = kCrcTable[(crc ^ static_cast<unsigned char>(c)) & 0xffU] ^ (crc >> 8);
  return crc ^ 0xffffffffU;
}

std::string EncodeRecord(std::string_view kind, const google::protobuf::Message& message) {
  std::string payload;
  {
    google::protobuf::io::StringOutputStream stream(&payload);
    google::protobuf::io::CodedOutputStream coded(&stream);
    coded.SetSerializationDeterministic(true);
    message.SerializeToCodedStream(&coded);
  }
  return fmt::format("{}{} {} crc32c={:08x} bytes={}\n", kMagic, kFormatVersion, kind, Crc32c(payload),
                     payload.size()) +
         payload;
}

Status DecodeRecord(std::string_view bytes, std::string_view kind, google::protobuf::Message& message) {
  const std::size_t line_end = bytes.substr(0, kMaxHeaderBytes).find('\n');
  if (line_end == std::string_view::npos || !bytes.starts_with(kMagic)) return Damaged("it has no header");
  std::string_view header = bytes.substr(kMagic.size(), line_end - kMagic.size());
  const std::string_view payload = bytes.substr(line_end + 1);
  std::uint32_t version = 0;
  if (!Parse(TakeWord(header), 10, version) || version == 0) return Damaged("its header names no format version");
  if (version > kFormatVersion) {
    return Error(
        ErrorKind::kUnsupported,
        fmt::format("written by a newer daemonsetd (format {}, this one reads up to {})", version, kFormatVersion));
  }
  const std::string_view actual_kind = TakeWord(header);
  if (actual_kind != kind) return Damaged("it holds a record of another kind");
  std::string_view checksum = TakeWord(header);
  std::string_view length = TakeWord(header);
  std::uint32_t crc = 0;
  std::size_t size = 0;
  constexpr std::string_view kCrc = "crc32c=";
  constexpr std::string_view kBytes = "bytes=";
  if (!checksum.starts_with(kCrc) || !length.starts_with(kBytes) || !Parse(checksum.substr(kCrc.size()), 16, crc) ||
      !Parse(length.substr(kBytes.size()), 10, size)) {
    return Damaged("its header is incomplete");
  }
  if (payload.size() != size) {
    return Damaged(fmt::format("it has {} bytes where its header says {}", payload.size(), size));
  }
  if (Crc32c(payload) != crc) return Damaged("its checksum does not fit");
  if (!message.ParseFromArray(payload.data(), static_cast<int>(payload.size()))) {
    return Damaged("its content cannot be read");
  }
  return Ok();
}

std::string RecordFileName(std::string_view uid) {
  const bool safe = !uid.empty() && uid.size() <= kMaxSafeName && std::all_of(uid.begin(), uid.end(), IsPlain);
  return safe ? std::string(uid) : DerivedFileName(uid);
}

std::string ObjectId(std::string_view kind, std::string_view name_space, std::string_view name) {
  std::string id;
  AppendEscaped(kind, id);
  id += '/';
  AppendEscaped(name_space, id);
  id += '/';
  AppendEscaped(name, id);
  return id;
}

std::string ObjectFileName(std::string_view object_id) {
  // An object may well be called "app.tmp".
  const bool reserved = object_id.ends_with(kUnfinishedEnding) || object_id.ends_with(kDamagedEnding);
  const bool escaped = object_id.find(kEscape) != std::string_view::npos;
  if (reserved || escaped || object_id.starts_with('.') || object_id.size() > kMaxObjectFileName) {
    return DerivedFileName(object_id);
  }
  std::string name(object_id);
  std::replace(name.begin(), name.end(), '/', '_');
  return name;
}

}  // namespace daemonsetd::store
