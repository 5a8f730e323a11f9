#include "agent/model/tree_writer.h"

#include <fmt/format.h>

#include <algorithm>

#include "agent/base/utf8.h"
#include "agent/model/yaml_scalar.h"

namespace daemonsetd::model {
namespace {

// JSON's double quotes are YAML's too.
void AppendQuoted(std::string& out, std::string_view text) {
  out += '"';
  for (std::size_t at = 0; at < text.size();) {
    const std::size_t length = Utf8Length(text, at);
    if (length == 0) {
      out += "\xEF\xBF\xBD";
      ++at;
      continue;
    }
    const char c = text[at];
    if (c == '"' || c == '\\') {
      out += '\\';
      out += c;
    } else if (c == '\n') {
      out += "\\n";
    } else if (c == '\t') {
      out += "\\t";
    } else if (c == '\r') {
      out += "\\r";
    } else if (length == 1 && (static_cast<unsigned char>(c) < 0x20 || c == 0x7F)) {
      out += fmt::format("\\u{:04x}", static_cast<unsigned>(c));
    } else {
      out += text.substr(at, length);
    }
    at += length;
  }
  out += '"';
}

class JsonWriter {
 public:
  explicit JsonWriter(int indent) : indent_(indent) {}

  void Write(const Node& node, int depth) {
    switch (node.kind) {
      case Node::Kind::kNull: out += "null"; break;
      case Node::Kind::kBool:
      case Node::Kind::kNumber: out += node.text; break;
      case Node::Kind::kString: AppendQuoted(out, node.text); break;
      case Node::Kind::kSequence: {
        out += '[';
        for (std::size_t i = 0; i < node.items.size(); ++i) {
          if (i > 0) out += ',';
          NewLine(depth + 1);
          Write(*node.items[i], depth + 1);
        }
        if (!node.items.empty()) NewLine(depth);
        out += ']';
        break;
      }
      case Node::Kind::kMapping: {
        out += '{';
        for (std::size_t i = 0; i < node.members.size(); ++i) {
          if (i > 0) out += ',';
          NewLine(depth + 1);
          AppendQuoted(out, node.members[i].key);
          out += indent_ > 0 ? ": " : ":";
          Write(*node.members[i].value, depth + 1);
        }
        if (!node.members.empty()) NewLine(depth);
        out += '}';
        break;
      }
    }
  }

  std::string out;

 private:
  void NewLine(int depth) {
    if (indent_ <= 0) return;
    out += '\n';
    out.append(static_cast<std::size_t>(depth) * static_cast<std::size_t>(indent_), ' ');
  }

  const int indent_;
};

// "1:30" is a number and "2026-11-25" a date for some YAML 1.1 readers.
bool SomeReadersSeeANumber(std::string_view text) {
  if (text.find_first_not_of("0123456789:-+._eETZt ") != std::string_view::npos) return false;
  return text.find_first_of("0123456789") != std::string_view::npos &&
         (text[0] == '-' || text[0] == '+' || text[0] == '.' || (text[0] >= '0' && text[0] <= '9')) &&
         (text.find(':') != std::string_view::npos || std::count(text.begin(), text.end(), '-') == 2);
}

bool HasSpecialCharacters(std::string_view text) {
  for (std::size_t at = 0; at < text.size();) {
    const std::size_t length = Utf8Length(text, at);
    if (length == 0) return true;
    const auto c = static_cast<unsigned char>(text[at]);
    if (length == 1 && ((c < 0x20 && c != '\n') || c == 0x7F)) return true;
    // C1 controls, no-break space, line and paragraph separators, byte order mark: never printed raw.
    const std::string_view sequence = text.substr(at, length);
    if (length == 2 && c == 0xC2 && static_cast<unsigned char>(text[at + 1]) <= 0xA0) return true;
    if (sequence == "\xE2\x80\xA8" || sequence == "\xE2\x80\xA9" || sequence == "\xEF\xBB\xBF") return true;
    at += length;
  }
  return false;
}

bool PlainAllowed(std::string_view text) {
  if (text.empty() || text.front() == ' ' || text.back() == ' ' || text.back() == ':') return false;
  if (std::string_view("#,[]{}&*!|>'\"%@`").find(text[0]) != std::string_view::npos) return false;
  if (std::string_view("-?:").find(text[0]) != std::string_view::npos && (text.size() == 1 || text[1] == ' '))
    return false;
  if (text.starts_with("---") || text.starts_with("...")) return false;
  return text.find(": ") == std::string_view::npos && text.find(" #") == std::string_view::npos;
}

class YamlWriter {
 public:
  // `depth` is the indentation in spaces; the caller has written everything on this line so far.
  void Write(const Node& node, std::size_t depth, bool in_mapping) {
    if (node.kind == Node::Kind::kMapping && !node.members.empty()) {
      if (in_mapping) out += '\n';
      bool first = !in_mapping;
      for (const Member& member : node.members) {
        if (!first) out.append(depth, ' ');
        first = false;
        WriteString(member.key, 0, false);
        out += ':';
        const Node& value = *member.value;
        const bool block = (value.kind == Node::Kind::kMapping && !value.members.empty()) ||
                           (value.kind == Node::Kind::kSequence && !value.items.empty());
        if (!block) out += ' ';
        // A list in a mapping stays at the mapping's own indentation.
        Write(value, value.kind == Node::Kind::kSequence ? depth : depth + 2, true);
      }
    } else if (node.kind == Node::Kind::kSequence && !node.items.empty()) {
      if (in_mapping) out += '\n';
      bool first = !in_mapping;
      for (const Node* item : node.items) {
        if (!first) out.append(depth, ' ');
        first = false;
        out += "- ";
        Write(*item, depth + 2, false);
      }
    } else {
      WriteScalar(node, depth);
      out += '\n';
    }
  }

  std::string out;

 private:
  void WriteScalar(const Node& node, std::size_t depth) {
    switch (node.kind) {
      case Node::Kind::kNull: out += "null"; break;
      case Node::Kind::kMapping: out += "{}"; break;
      case Node::Kind::kSequence: out += "[]"; break;
      case Node::Kind::kBool:
      case Node::Kind::kNumber: out += node.text; break;
      case Node::Kind::kString: WriteString(node.text, depth, true); break;
    }
  }

  void WriteString(std::string_view text, std::size_t depth, bool block_allowed) {
    const bool lines = text.find('\n') != std::string_view::npos;
    if (HasSpecialCharacters(text) || (lines && !block_allowed)) {
      AppendQuoted(out, text);
    } else if (lines) {
      // A leading space would be taken for indentation; a last line of spaces would be lost.
      const std::size_t last_line = text.rfind('\n') + 1;
      const bool blank_end =
          last_line < text.size() && text.find_first_not_of(' ', last_line) == std::string_view::npos;
      if (text[0] == ' ' || text[0] == '\n' || blank_end) {
        AppendQuoted(out, text);
      } else {
        WriteBlock(text, std::max<std::size_t>(depth, 2));
      }
    } else if (text == "<<" || text == "=" || ResolvePlain(text).kind != Node::Kind::kString ||
               SomeReadersSeeANumber(text)) {
      AppendQuoted(out, text);
    } else if (PlainAllowed(text)) {
      out += text;
    } else {
      out += '\'';
      for (const char c : text) {
        if (c == '\'') out += '\'';
        out += c;
      }
      out += '\'';
    }
  }

  void WriteBlock(std::string_view text, std::size_t depth) {
    const bool ends_with_break = text.back() == '\n';
    const bool keeps = ends_with_break && text.size() > 1 && text[text.size() - 2] == '\n';
    out += keeps ? "|+" : ends_with_break ? "|" : "|-";
    if (ends_with_break) text.remove_suffix(1);
    for (std::size_t at = 0; at <= text.size();) {
      const std::size_t end = std::min(text.find('\n', at), text.size());
      out += '\n';
      if (end > at) {
        out.append(depth, ' ');
        out += text.substr(at, end - at);
      }
      at = end + 1;
    }
  }
};

}  // namespace

std::string WriteJson(const Node& node, int indent) {
  JsonWriter writer(indent);
  writer.Write(node, 0);
  return std::move(writer.out);
}

std::string WriteYaml(const Node& node) {
  YamlWriter writer;
  writer.Write(node, 0, false);
  return std::move(writer.out);
}

}  // namespace daemonsetd::model
