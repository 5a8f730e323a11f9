#include "agent/model/special_types.h"

#include <fmt/format.h>

#include <array>
#include <chrono>

namespace daemonsetd::model {

using google::protobuf::Descriptor;
using google::protobuf::FieldDescriptor;

JsonForm FormOf(const Descriptor* type) {
  if (type->field_count() > 3) return JsonForm::kObject;
  const std::string& name = type->full_name();
  if (!name.starts_with("k8s.io.")) return JsonForm::kObject;
  if (name == "k8s.io.apimachinery.pkg.api.resource.Quantity") return JsonForm::kQuantity;
  if (name == "k8s.io.apimachinery.pkg.util.intstr.IntOrString") return JsonForm::kIntOrString;
  if (name == "k8s.io.apimachinery.pkg.apis.meta.v1.Time") return JsonForm::kTime;
  if (name == "k8s.io.apimachinery.pkg.apis.meta.v1.MicroTime") return JsonForm::kMicroTime;
  if (name == "k8s.io.apimachinery.pkg.runtime.RawExtension") return JsonForm::kRawJson;
  if (name == "k8s.io.apimachinery.pkg.apis.meta.v1.FieldsV1") return JsonForm::kRawJson;
  if (type->name() == "ExtraValue" || type->name() == "AttestationValue") return JsonForm::kStringList;
  return JsonForm::kObject;
}

bool IsInline(const FieldDescriptor* field) {
  if (field->cpp_type() != FieldDescriptor::CPPTYPE_MESSAGE || field->is_repeated()) return false;
  if (!field->containing_type()->full_name().starts_with("k8s.io.")) return false;
  static constexpr std::array<std::string_view, 5> kNames = {"volumeSource", "handler", "localObjectReference",
                                                             "ephemeralContainerCommon", "persistentVolumeSource"};
  for (const std::string_view name : kNames) {
    if (field->name() == name) return true;
  }
  return false;
}

std::string_view JsonName(const FieldDescriptor* field) {
  if (field->name() == "uID") return "uid";
  return field->json_name();
}

std::optional<Moment> ParseRfc3339(std::string_view text) {
  bool valid = true;
  const auto number = [&](std::size_t at, std::size_t length) {
    int value = 0;
    for (std::size_t i = at; i < at + length; ++i) {
      if (i >= text.size() || text[i] < '0' || text[i] > '9') {
        valid = false;
        return 0;
      }
      value = value * 10 + (text[i] - '0');
    }
    return value;
  };
  const auto expect = [&](std::size_t at, char c) { valid = valid && at < text.size() && text[at] == c; };

  const int year = number(0, 4), month = number(5, 2), day = number(8, 2);
  const int hour = number(11, 2), minute = number(14, 2), second = number(17, 2);
  expect(4, '-');
  expect(7, '-');
  expect(10, 'T');
  expect(13, ':');
  expect(16, ':');
  if (!valid || hour > 23 || minute > 59 || second > 59) return std::nullopt;
  const std::chrono::year_month_day date(std::chrono::year(year), std::chrono::month(static_cast<unsigned>(month)),
                                         std::chrono::day(static_cast<unsigned>(day)));
  if (!date.ok()) return std::nullopt;

  Moment moment;
  std::size_t at = 19;
  if (at < text.size() && text[at] == '.') {
    int weight = 100'000'000;
    const std::size_t first = ++at;
    for (; at < text.size() && text[at] >= '0' && text[at] <= '9'; ++at, weight /= 10) {
      moment.nanos += (text[at] - '0') * weight;
    }
    if (at == first) return std::nullopt;
  }
  int offset_minutes = 0;
  if (at + 1 == text.size() && text[at] == 'Z') {
    ++at;
  } else if (at + 6 == text.size() && (text[at] == '+' || text[at] == '-')) {
    expect(at + 3, ':');
    const int hours = number(at + 1, 2), minutes = number(at + 4, 2);
    if (!valid || hours > 23 || minutes > 59) return std::nullopt;
    offset_minutes = (hours * 60 + minutes) * (text[at] == '-' ? -1 : 1);
  } else {
    return std::nullopt;
  }
  const std::int64_t days = std::chrono::sys_days(date).time_since_epoch().count();
  moment.seconds = days * 86'400 + hour * 3'600 + (minute - offset_minutes) * 60 + second;
  return moment;
}

std::optional<std::string> FormatMoment(Moment moment, bool with_micros) {
  constexpr std::int64_t kYear1 = -62'135'596'800;
  constexpr std::int64_t kYear10000 = 253'402'300'800;
  if (moment.seconds < kYear1 || moment.seconds >= kYear10000 || moment.nanos < 0 || moment.nanos > 999'999'999) {
    return std::nullopt;
  }
  const std::chrono::sys_seconds time{std::chrono::seconds(moment.seconds)};
  const auto day = std::chrono::floor<std::chrono::days>(time);
  const std::chrono::year_month_day date(day);
  const std::chrono::hh_mm_ss clock(time - day);
  std::string text = fmt::format("{:04}-{:02}-{:02}T{:02}:{:02}:{:02}", static_cast<int>(date.year()),
                                 static_cast<unsigned>(date.month()), static_cast<unsigned>(date.day()),
                                 clock.hours().count(), clock.minutes().count(), clock.seconds().count());
  if (with_micros) text += fmt::format(".{:06}", moment.nanos / 1'000);
  return text + "Z";
}

namespace {
constexpr std::string_view kBase64 = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
}

std::optional<std::string> DecodeBase64(std::string_view text) {
  std::string data;
  data.reserve(text.size() / 4 * 3);
  std::uint32_t bits = 0;
  int characters = 0;
  int padding = 0;
  for (const char c : text) {
    if (c == '\n' || c == '\r') continue;  // as Go's decoder: long values are often wrapped
    if (c == '=') {
      ++padding;
      bits <<= 6;
    } else {
      const std::size_t value = kBase64.find(c);
      if (value == std::string_view::npos || padding > 0) return std::nullopt;
      bits = bits << 6 | static_cast<std::uint32_t>(value);
    }
    if (++characters % 4 != 0) continue;
    if (padding > 2) return std::nullopt;
    for (int i = 0; i < 3 - padding; ++i) data += static_cast<char>(bits >> (16 - 8 * i) & 0xFF);
    bits = 0;
  }
  if (characters % 4 != 0 || padding > 2) return std::nullopt;
  return data;
}

std::string EncodeBase64(std::string_view data) {
  std::string text;
  text.reserve((data.size() + 2) / 3 * 4);
  for (std::size_t at = 0; at < data.size(); at += 3) {
    std::uint32_t bits = 0;
    const std::size_t count = std::min<std::size_t>(3, data.size() - at);
    for (std::size_t i = 0; i < 3; ++i) bits = bits << 8 | (i < count ? static_cast<unsigned char>(data[at + i]) : 0U);
    for (std::size_t i = 0; i < 4; ++i) text += i <= count ? kBase64[bits >> (18 - 6 * i) & 0x3F] : '=';
  }
  return text;
}

}  // namespace daemonsetd::model
