#include "agent/model/message_decoder.h"

#include <fmt/format.h>

#include <algorithm>
#include <cctype>
#include <charconv>
#include <limits>
#include <numeric>
#include <optional>
#include <tuple>
#include <unordered_map>

#include "agent/model/quantity.h"
#include "agent/model/special_types.h"
#include "agent/model/tree_writer.h"

namespace daemonsetd::model {
namespace {

using google::protobuf::Descriptor;
using google::protobuf::EnumValueDescriptor;
using google::protobuf::FieldDescriptor;
using google::protobuf::Message;
using google::protobuf::Reflection;

constexpr std::size_t kMaxProblems = 50;  // of one object: more help nobody
constexpr std::size_t kMaxShown = 40;

std::string Describe(const Node& node) {
  switch (node.kind) {
    case Node::Kind::kNull: return "nothing";
    case Node::Kind::kBool: return fmt::format("the boolean {}", node.text);
    case Node::Kind::kNumber: return fmt::format("the number {}", node.text.substr(0, kMaxShown));
    case Node::Kind::kString: {
      std::size_t end = std::min(node.text.size(), kMaxShown);
      while (end < node.text.size() && end > 0 && (static_cast<unsigned char>(node.text[end]) & 0xC0) == 0x80) --end;
      return fmt::format("the text \"{}{}\"", node.text.substr(0, end), end < node.text.size() ? "…" : "");
    }
    case Node::Kind::kSequence: return "a list";
    case Node::Kind::kMapping: return "a mapping";
  }
  return "";
}

// The field with this JSON name, and the inline messages on the way to it.
struct FieldAddress {
  std::vector<const FieldDescriptor*> inline_path;
  const FieldDescriptor* field = nullptr;
};

const FieldDescriptor* FindOwnField(const Descriptor* type, std::string_view name) {
  const FieldDescriptor* field = type->FindFieldByCamelcaseName(std::string(name));
  if (field == nullptr && name == "uid") field = type->FindFieldByName("uID");
  return field != nullptr && JsonName(field) == name && !IsInline(field) ? field : nullptr;
}

bool FindField(const Descriptor* type, std::string_view name, FieldAddress& address) {
  address.field = FindOwnField(type, name);
  if (address.field != nullptr) return true;
  for (int i = 0; i < type->field_count(); ++i) {
    if (!IsInline(type->field(i))) continue;
    address.inline_path.push_back(type->field(i));
    if (FindField(type->field(i)->message_type(), name, address)) return true;
    address.inline_path.pop_back();
  }
  return false;
}

void CollectNames(const Descriptor* type, std::vector<std::string_view>& names) {
  for (int i = 0; i < type->field_count(); ++i) {
    if (IsInline(type->field(i))) {
      CollectNames(type->field(i)->message_type(), names);
    } else {
      names.push_back(JsonName(type->field(i)));
    }
  }
}

class Decoder {
 public:
  explicit Decoder(bool strict) : strict_(strict) {}

  // `has_type_meta`: an object of the API, whose apiVersion and kind the message itself does not hold.
  void DecodeObject(const Node& node, Message& message, bool has_type_meta) {
    if (node.kind == Node::Kind::kNull) return;
    if (node.kind != Node::Kind::kMapping) return Report(node, "must be a mapping of fields, but is " + Describe(node));
    CheckDuplicates(node);
    for (const Member& member : node.members) {
      FieldAddress address;
      if (FindField(message.GetDescriptor(), member.key, address)) {
        if (member.value->kind == Node::Kind::kNull) continue;
        Message* owner = &message;
        for (const FieldDescriptor* step : address.inline_path) {
          owner = owner->GetReflection()->MutableMessage(owner, step);
        }
        const std::size_t mark = Enter(member.key);
        DecodeField(*member.value, *owner, address.field);
        path_.resize(mark);
      } else if (strict_ && !(has_type_meta && (member.key == "apiVersion" || member.key == "kind"))) {
        ReportUnknown(member, message.GetDescriptor());
      }
    }
  }

  std::vector<FieldProblem> problems;

 private:
  std::size_t Enter(std::string_view name) {
    const std::size_t mark = path_.size();
    if (mark > 0) path_ += '.';
    path_ += name;
    return mark;
  }
  std::size_t EnterIndex(std::size_t index) {
    const std::size_t mark = path_.size();
    path_ += fmt::format("[{}]", index);
    return mark;
  }
  std::size_t EnterKey(std::string_view key) {
    const std::size_t mark = path_.size();
    path_ += fmt::format("[{}]", key);
    return mark;
  }

  void ReportAt(int line, std::string message) {
    if (problems.size() < kMaxProblems) problems.push_back({line, path_, std::move(message)});
  }
  void Report(const Node& node, std::string message) { ReportAt(node.line, std::move(message)); }

  void ReportUnknown(const Member& member, const Descriptor* type) {
    std::vector<std::string_view> names;
    CollectNames(type, names);
    const std::string_view nearest = Nearest(member.key, names);
    const std::size_t mark = Enter(member.key);
    if (!nearest.empty()) {
      ReportAt(member.line, fmt::format("unknown field; did you mean \"{}\"?", nearest));
    } else if (names.size() <= 10) {
      ReportAt(member.line, fmt::format("unknown field; the fields here are {}", fmt::join(names, ", ")));
    } else {
      ReportAt(member.line, "unknown field; remove it, or check its indentation");
    }
    path_.resize(mark);
  }

  // `keys_are_data`: a map, whose keys are written in brackets in a path.
  void CheckDuplicates(const Node& node, bool keys_are_data = false) {
    if (node.members.size() < 2) return;
    std::unordered_map<std::string_view, int> seen;
    for (const Member& member : node.members) {
      const auto [first, inserted] = seen.emplace(member.key, member.line);
      if (inserted) continue;
      const std::size_t mark = keys_are_data ? EnterKey(member.key) : Enter(member.key);
      ReportAt(member.line,
               fmt::format("this key is there twice, on lines {} and {}; remove one", first->second, member.line));
      path_.resize(mark);
    }
  }

  void DecodeField(const Node& node, Message& message, const FieldDescriptor* field) {
    if (field->is_map()) {
      DecodeMap(node, message, field);
    } else if (field->is_repeated()) {
      DecodeList(node, message, field);
    } else {
      DecodeValue(node, message, field);
    }
  }

  void DecodeList(const Node& node, Message& message, const FieldDescriptor* field) {
    if (node.kind == Node::Kind::kNull) return;
    if (node.kind != Node::Kind::kSequence) return Report(node, "must be a list, but is " + Describe(node));
    for (std::size_t i = 0; i < node.items.size(); ++i) {
      const std::size_t mark = EnterIndex(i);
      DecodeValue(*node.items[i], message, field);
      path_.resize(mark);
    }
  }

  void DecodeMap(const Node& node, Message& message, const FieldDescriptor* field) {
    if (node.kind != Node::Kind::kMapping) return Report(node, "must be a mapping, but is " + Describe(node));
    CheckDuplicates(node, true);
    const FieldDescriptor* key_field = field->message_type()->map_key();
    const FieldDescriptor* value_field = field->message_type()->map_value();
    for (const Member& member : node.members) {
      const std::size_t mark = EnterKey(member.key);
      Message* entry = message.GetReflection()->AddMessage(&message, field);
      if (key_field->cpp_type() == FieldDescriptor::CPPTYPE_STRING) {
        entry->GetReflection()->SetString(entry, key_field, member.key);
      } else {
        const Node key{Node::Kind::kNumber, member.line, member.key, {}, {}};
        DecodeValue(key, *entry, key_field);
      }
      DecodeValue(*member.value, *entry, value_field);
      path_.resize(mark);
    }
  }

  // Sets a singular field, or adds one element to a repeated one. Null is the zero value, as in Go.
  void DecodeValue(const Node& node, Message& message, const FieldDescriptor* field) {
    const Reflection& reflection = *message.GetReflection();
    const bool repeated = field->is_repeated();
    switch (field->cpp_type()) {
      case FieldDescriptor::CPPTYPE_INT32: {
        const auto value = ReadInteger<std::int32_t>(node);
        repeated ? reflection.AddInt32(&message, field, value) : reflection.SetInt32(&message, field, value);
        return;
      }
      case FieldDescriptor::CPPTYPE_INT64: {
        const auto value = ReadInteger<std::int64_t>(node);
        repeated ? reflection.AddInt64(&message, field, value) : reflection.SetInt64(&message, field, value);
        return;
      }
      case FieldDescriptor::CPPTYPE_UINT32: {
        const auto value = ReadInteger<std::uint32_t>(node);
        repeated ? reflection.AddUInt32(&message, field, value) : reflection.SetUInt32(&message, field, value);
        return;
      }
      case FieldDescriptor::CPPTYPE_UINT64: {
        const auto value = ReadInteger<std::uint64_t>(node);
        repeated ? reflection.AddUInt64(&message, field, value) : reflection.SetUInt64(&message, field, value);
        return;
      }
      case FieldDescriptor::CPPTYPE_DOUBLE: {
        const double value = ReadReal(node);
        repeated ? reflection.AddDouble(&message, field, value) : reflection.SetDouble(&message, field, value);
        return;
      }
      case FieldDescriptor::CPPTYPE_FLOAT: {
        const auto value = static_cast<float>(ReadReal(node));
        repeated ? reflection.AddFloat(&message, field, value) : reflection.SetFloat(&message, field, value);
        return;
      }
      case FieldDescriptor::CPPTYPE_BOOL: {
        const bool value = ReadBool(node);
        repeated ? reflection.AddBool(&message, field, value) : reflection.SetBool(&message, field, value);
        return;
      }
      case FieldDescriptor::CPPTYPE_ENUM: return DecodeEnum(node, message, field);
      case FieldDescriptor::CPPTYPE_STRING: {
        std::string value = field->type() == FieldDescriptor::TYPE_BYTES ? ReadBytes(node) : ReadString(node);
        repeated ? reflection.AddString(&message, field, std::move(value))
                 : reflection.SetString(&message, field, std::move(value));
        return;
      }
      case FieldDescriptor::CPPTYPE_MESSAGE: {
        Message* child = repeated ? reflection.AddMessage(&message, field) : reflection.MutableMessage(&message, field);
        DecodeMessage(node, *child, field);
        return;
      }
    }
  }

  void DecodeMessage(const Node& node, Message& message, const FieldDescriptor* field) {
    const Descriptor* type = message.GetDescriptor();
    const Reflection& reflection = *message.GetReflection();
    const JsonForm form = FormOf(type);
    if (node.kind == Node::Kind::kNull && form != JsonForm::kQuantity && form != JsonForm::kRawJson) return;
    switch (form) {
      case JsonForm::kObject:
        // kubectl prints apiVersion and kind in each item of a list.
        return DecodeObject(node, message, field->name() == "items" && type->FindFieldByName("metadata") != nullptr);
      case JsonForm::kQuantity: return DecodeQuantity(node, message);
      case JsonForm::kIntOrString:
        if (node.kind == Node::Kind::kString) {
          reflection.SetInt64(&message, type->field(0), 1);
          reflection.SetString(&message, type->field(2), node.text);
        } else if (node.kind == Node::Kind::kNumber) {
          reflection.SetInt64(&message, type->field(0), 0);
          reflection.SetInt32(&message, type->field(1), ReadInteger<std::int32_t>(node));
        } else {
          Report(node, "must be a whole number or a text such as \"10%\", but is " + Describe(node));
        }
        return;
      case JsonForm::kTime:
      case JsonForm::kMicroTime: {
        const std::optional<Moment> moment = node.kind == Node::Kind::kString ? ParseRfc3339(node.text) : std::nullopt;
        if (!moment) {
          return Report(node, "must be an RFC 3339 time such as \"2026-11-25T00:18:32Z\", but is " + Describe(node));
        }
        reflection.SetInt64(&message, type->field(0), moment->seconds);
        if (form == JsonForm::kMicroTime) reflection.SetInt32(&message, type->field(1), moment->nanos / 1'000 * 1'000);
        return;
      }
      case JsonForm::kRawJson:
        CheckRaw(node);
        reflection.SetString(&message, type->field(0), WriteJson(node, 0));
        return;
      case JsonForm::kStringList: return DecodeList(node, message, type->field(0));
    }
  }

  void CheckRaw(const Node& node) {
    CheckDuplicates(node);
    for (const Member& member : node.members) {
      const std::size_t mark = Enter(member.key);
      CheckRaw(*member.value);
      path_.resize(mark);
    }
    for (std::size_t i = 0; i < node.items.size(); ++i) {
      const std::size_t mark = EnterIndex(i);
      CheckRaw(*node.items[i]);
      path_.resize(mark);
    }
  }

  void DecodeQuantity(const Node& node, Message& message) {
    const Reflection& reflection = *message.GetReflection();
    const FieldDescriptor* text_field = message.GetDescriptor()->field(0);
    if (node.kind == Node::Kind::kNull) return reflection.SetString(&message, text_field, "0");
    if (node.kind != Node::Kind::kString && node.kind != Node::Kind::kNumber) {
      return Report(node, "must be a quantity such as 500m or \"1.5Gi\", but is " + Describe(node));
    }
    std::string_view text = node.text;
    if (const std::size_t first = text.find_first_not_of(" \t\r\n"); first != std::string_view::npos) {
      text = text.substr(first, text.find_last_not_of(" \t\r\n") - first + 1);
    }
    const Result<Quantity> quantity = Quantity::Parse(text);
    if (!quantity) return Report(node, quantity.error().message());
    reflection.SetString(&message, text_field, quantity->Canonical());
  }

  void DecodeEnum(const Node& node, Message& message, const FieldDescriptor* field) {
    if (node.kind == Node::Kind::kNull && !field->is_repeated()) return;
    const EnumValueDescriptor* value =
        node.kind == Node::Kind::kString ? field->enum_type()->FindValueByName(node.text) : nullptr;
    if (value == nullptr) {
      std::vector<std::string_view> names;
      for (int i = 0; i < field->enum_type()->value_count(); ++i) names.push_back(field->enum_type()->value(i)->name());
      return Report(node, fmt::format("must be one of {}, but is {}", fmt::join(names, ", "), Describe(node)));
    }
    const Reflection& reflection = *message.GetReflection();
    field->is_repeated() ? reflection.AddEnum(&message, field, value) : reflection.SetEnum(&message, field, value);
  }

  template <class Integer>
  Integer ReadInteger(const Node& node) {
    if (node.kind == Node::Kind::kNull) return 0;
    if (node.kind != Node::Kind::kNumber) {
      const bool quoted = node.kind == Node::Kind::kString && !node.text.empty() &&
                          node.text.find_first_not_of("0123456789") == std::string::npos;
      Report(node, "must be a whole number, but is " + Describe(node) + (quoted ? "; remove the quotes" : ""));
      return 0;
    }
    Integer value = 0;
    const char* end = node.text.data() + node.text.size();
    const auto [stop, error] = std::from_chars(node.text.data(), end, value);
    if (error == std::errc::result_out_of_range ||
        (std::is_unsigned_v<Integer> && !node.text.empty() && node.text[0] == '-')) {
      Report(node, fmt::format("must be between {} and {}, but is {}", std::numeric_limits<Integer>::min(),
                               std::numeric_limits<Integer>::max(), node.text.substr(0, kMaxShown)));
      return 0;
    }
    if (error != std::errc() || stop != end) {
      Report(node, "must be a whole number, but is " + Describe(node));
      return 0;
    }
    return value;
  }

  double ReadReal(const Node& node) {
    double value = 0;
    if (node.kind == Node::Kind::kNull) return value;
    const char* end = node.text.data() + node.text.size();
    if (node.kind == Node::Kind::kNumber) {
      const auto [stop, error] = std::from_chars(node.text.data(), end, value);
      if (error == std::errc() && stop == end) return value;
    }
    Report(node, "must be a number, but is " + Describe(node));
    return 0;
  }

  bool ReadBool(const Node& node) {
    if (node.kind == Node::Kind::kNull) return false;
    if (node.kind != Node::Kind::kBool) {
      const bool quoted = node.kind == Node::Kind::kString && (node.text == "true" || node.text == "false");
      Report(node, "must be true or false, but is " + Describe(node) + (quoted ? "; remove the quotes" : ""));
    }
    return node.kind == Node::Kind::kBool && node.text == "true";
  }

  // The value itself is not repeated in the message: it may be a password that only lacks its quotes.
  std::string ReadString(const Node& node) {
    switch (node.kind) {
      case Node::Kind::kString: return node.text;
      case Node::Kind::kNull: return "";
      case Node::Kind::kBool: Report(node, "must be text, but is read as a boolean; put it in quotes"); return "";
      case Node::Kind::kNumber: Report(node, "must be text, but is read as a number; put it in quotes"); return "";
      case Node::Kind::kSequence:
      case Node::Kind::kMapping: Report(node, "must be text, but is " + Describe(node)); return "";
    }
    return "";
  }

  std::string ReadBytes(const Node& node) {
    if (node.kind == Node::Kind::kNull) return "";
    if (node.kind != Node::Kind::kString) {
      Report(node, node.kind == Node::Kind::kSequence || node.kind == Node::Kind::kMapping
                       ? "must be base64 text, but is " + Describe(node)
                       : "must be base64 text; put it in quotes");
      return "";
    }
    std::optional<std::string> data = DecodeBase64(node.text);
    if (!data) Report(node, "is not valid base64; encode the bytes with base64 (RFC 4648, with padding)");
    return std::move(data).value_or("");
  }

  const bool strict_;
  std::string path_;
};

std::size_t EditDistance(std::string_view left, std::string_view right) {
  std::vector<std::size_t> row(right.size() + 1);
  std::iota(row.begin(), row.end(), std::size_t{0});
  for (std::size_t i = 0; i < left.size(); ++i) {
    std::size_t diagonal = row[0]++;
    for (std::size_t j = 0; j < right.size(); ++j) {
      const bool same =
          std::tolower(static_cast<unsigned char>(left[i])) == std::tolower(static_cast<unsigned char>(right[j]));
      const std::size_t replaced = diagonal + (same ? 0 : 1);
      diagonal = row[j + 1];
      row[j + 1] = std::min({replaced, row[j] + 1, diagonal + 1});
    }
  }
  return row.back();
}

}  // namespace

std::string_view Nearest(std::string_view word, const std::vector<std::string_view>& candidates) {
  if (word.size() > 64) return {};
  std::string_view nearest;
  std::size_t best = std::min<std::size_t>(3, word.size() / 3 + 1);
  for (const std::string_view candidate : candidates) {
    const std::size_t distance = EditDistance(word, candidate);
    if (distance < best || (distance == best && nearest.empty() && distance < 3)) {
      best = distance;
      nearest = candidate;
    }
  }
  return nearest;
}

std::vector<FieldProblem> DecodeMessage(const Node& node, Message& message, bool strict) {
  Decoder decoder(strict);
  decoder.DecodeObject(node, message, true);
  std::sort(decoder.problems.begin(), decoder.problems.end(), [](const FieldProblem& left, const FieldProblem& right) {
    return std::tie(left.line, left.field) < std::tie(right.line, right.field);
  });
  return std::move(decoder.problems);
}

}  // namespace daemonsetd::model
