#include <iterator>
#include <string>
#include <string_view>

#include "agent/model/validation_rules.h"

namespace daemonsetd::model {
namespace {

// A value as Go's %q would show it, near enough: quotes and control characters escaped, bounded in length.
std::string Quoted(std::string_view value) {
  constexpr std::size_t kShown = 256;
  std::string out = "\"";
  for (const char c : value.substr(0, kShown)) {
    if (c == '"' || c == '\\') {
      out += '\\';
      out += c;
    } else if (c == '\n') {
      out += "\\n";
    } else if (c == '\t') {
      out += "\\t";
    } else if (static_cast<unsigned char>(c) < 0x20 || c == 0x7f) {
      constexpr std::string_view kHex = "0123456789abcdef";
      out += "\\x";
      out += kHex[static_cast<unsigned char>(c) >> 4];
      out += kHex[static_cast<unsigned char>(c) & 0xf];
    } else {
      out += c;
    }
  }
  return out + (value.size() > kShown ? "...\"" : "\"");
}

struct TypeText {
  std::string_view upstream_name;
  std::string_view words;
  bool shows_value;
};

TypeText TextOf(FieldError::Type type) {
  using Type = FieldError::Type;
  switch (type) {
    case Type::kRequired: return {"FieldValueRequired", "Required value", false};
    case Type::kInvalid: return {"FieldValueInvalid", "Invalid value", true};
    case Type::kNotSupported: return {"FieldValueNotSupported", "Unsupported value", true};
    case Type::kDuplicate: return {"FieldValueDuplicate", "Duplicate value", true};
    case Type::kForbidden: return {"FieldValueForbidden", "Forbidden", false};
    case Type::kTooLong: return {"FieldValueTooLong", "Too long", false};
    case Type::kTooMany: return {"FieldValueTooMany", "Too many", true};
    case Type::kNotFound: return {"FieldValueNotFound", "Not found", true};
    case Type::kTypeInvalid: return {"FieldValueTypeInvalid", "Invalid value", true};
    case Type::kInternal: return {"InternalError", "Internal error", false};
  }
  return {"InternalError", "Internal error", false};
}

}  // namespace

std::string_view UpstreamName(FieldError::Type type) { return TextOf(type).upstream_name; }

std::string ToString(const FieldError& error) {
  const TypeText text = TextOf(error.type);
  std::string out = error.field + ": " + std::string(text.words);
  if (text.shows_value) {
    out += ": " + (error.is_text ? Quoted(error.value) : error.value);
  }
  return error.detail.empty() ? out : out + ": " + error.detail;
}

}  // namespace daemonsetd::model

namespace daemonsetd::model::validation {

Path Path::operator/(std::string_view child) const {
  return Path(text_.empty() ? std::string(child) : text_ + "." + std::string(child));
}

Path Path::operator[](int index) const { return Path(text_ + "[" + std::to_string(index) + "]"); }

Path Path::Key(std::string_view key) const { return Path(text_ + "[" + std::string(key) + "]"); }

void ErrorList::Add(FieldError::Type type, const Path& path, std::string_view value, std::string detail, bool is_text) {
  errors_.push_back(FieldError{type, path.text(), std::string(value), std::move(detail), is_text});
}

void ErrorList::Required(const Path& path, std::string detail) {
  Add(FieldError::Type::kRequired, path, {}, std::move(detail));
}

void ErrorList::Invalid(const Path& path, std::string_view value, std::string detail) {
  Add(FieldError::Type::kInvalid, path, value, std::move(detail));
}

void ErrorList::InvalidNumber(const Path& path, std::int64_t value, std::string detail) {
  Add(FieldError::Type::kInvalid, path, std::to_string(value), std::move(detail), false);
}

void ErrorList::InvalidBool(const Path& path, bool value, std::string detail) {
  Add(FieldError::Type::kInvalid, path, value ? "true" : "false", std::move(detail), false);
}

void ErrorList::NotSupported(const Path& path, std::string_view value,
                             std::initializer_list<std::string_view> supported) {
  std::string detail = "supported values: ";
  std::string_view separator;
  for (const std::string_view each : supported) {
    detail.append(separator).append("\"").append(each).append("\"");
    separator = ", ";
  }
  Add(FieldError::Type::kNotSupported, path, value, std::move(detail));
}

void ErrorList::Duplicate(const Path& path, std::string_view value) {
  Add(FieldError::Type::kDuplicate, path, value, {});
}

void ErrorList::NotFound(const Path& path, std::string_view value, std::string detail) {
  Add(FieldError::Type::kNotFound, path, value, std::move(detail));
}

void ErrorList::Forbidden(const Path& path, std::string detail) {
  Add(FieldError::Type::kForbidden, path, {}, std::move(detail));
}

void ErrorList::TooLong(const Path& path, std::size_t limit) {
  Add(FieldError::Type::kTooLong, path, {}, "may not be more than " + std::to_string(limit) + " bytes");
}

void ErrorList::TooMany(const Path& path, std::size_t count, std::size_t limit) {
  Add(FieldError::Type::kTooMany, path, std::to_string(count), "must have at most " + std::to_string(limit) + " items",
      false);
}

void ErrorList::Check(const Path& path, std::string_view value, std::string reason) {
  if (!reason.empty()) {
    Invalid(path, value, std::move(reason));
  }
}

void ErrorList::CheckOneOf(const Path& path, std::string_view value,
                           std::initializer_list<std::string_view> supported) {
  if (std::ranges::find(supported, value) == supported.end()) {
    NotSupported(path, value, supported);
  }
}

void ErrorList::CheckNotNegative(const Path& path, std::int64_t value) {
  if (value < 0) {
    InvalidNumber(path, value, "must be greater than or equal to 0");
  }
}

void ErrorList::CheckId(const Path& path, std::int64_t value) {
  constexpr std::int64_t kLargest = 4294967295;
  if (value < 0 || value > kLargest) {
    InvalidNumber(path, value, RangeReason(0, kLargest));
  }
}

void ErrorList::Append(ErrorList other) { std::ranges::move(other.errors_, std::back_inserter(errors_)); }

std::string TextOf(const StringMap& labels) {
  std::string out;
  for (const std::string& key : SortedKeys(labels)) {
    out += (out.empty() ? "" : ", ") + key + "=" + labels.at(key);
  }
  return "{" + out + "}";
}

std::string RangeReason(std::int64_t low, std::int64_t high) {
  return "must be between " + std::to_string(low) + " and " + std::to_string(high) + ", inclusive";
}

}  // namespace daemonsetd::model::validation
