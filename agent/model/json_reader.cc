#include "agent/model/json_reader.h"

#include <fmt/format.h>

#include <algorithm>
#include <cstdint>

namespace daemonsetd::model {
namespace {

bool IsDigit(char c) { return c >= '0' && c <= '9'; }

void AppendUtf8(std::string& text, std::uint32_t code) {
  if (code < 0x80) {
    text += static_cast<char>(code);
  } else if (code < 0x800) {
    text += static_cast<char>(0xC0 | code >> 6);
    text += static_cast<char>(0x80 | (code & 0x3F));
  } else if (code < 0x10000) {
    text += static_cast<char>(0xE0 | code >> 12);
    text += static_cast<char>(0x80 | (code >> 6 & 0x3F));
    text += static_cast<char>(0x80 | (code & 0x3F));
  } else {
    text += static_cast<char>(0xF0 | code >> 18);
    text += static_cast<char>(0x80 | (code >> 12 & 0x3F));
    text += static_cast<char>(0x80 | (code >> 6 & 0x3F));
    text += static_cast<char>(0x80 | (code & 0x3F));
  }
}

class JsonReader {
 public:
  JsonReader(std::string_view text, Tree& tree) : text_(text), tree_(tree) {}

  std::optional<SyntaxError> ReadAll(std::vector<const Node*>& roots) {
    for (SkipSpace(); at_ < text_.size(); SkipSpace()) {
      const Node* node = ReadValue(1);
      if (node == nullptr) return error_;
      roots.push_back(node);
    }
    return std::nullopt;
  }

 private:
  char Peek() const { return at_ < text_.size() ? text_[at_] : '\0'; }

  void SkipSpace() {
    for (; at_ < text_.size(); ++at_) {
      const char c = text_[at_];
      if (c == '\n') ++line_;
      if (c != ' ' && c != '\t' && c != '\n' && c != '\r') break;
    }
  }

  Node* Fail(std::string message) {
    error_ = SyntaxError{line_, std::move(message)};
    return nullptr;
  }
  Node* Unexpected(std::string_view wanted) {
    if (at_ >= text_.size()) return Fail(fmt::format("the JSON ends where {} should be", wanted));
    return Fail(fmt::format("JSON syntax: \"{}\" where {} should be", text_.substr(at_, 1), wanted));
  }

  Node* ReadValue(int depth) {
    if (depth > kMaxNesting) return Fail(fmt::format("nested more than {} levels deep", kMaxNesting));
    switch (Peek()) {
      case '{': return ReadObject(depth);
      case '[': return ReadArray(depth);
      case '"': {
        Node* node = tree_.New(Node::Kind::kString, line_);
        if (!ReadString(node->text)) return nullptr;
        node->weight += node->text.size();
        return node;
      }
      case 't': return ReadWord("true", Node::Kind::kBool);
      case 'f': return ReadWord("false", Node::Kind::kBool);
      case 'n': return ReadWord("null", Node::Kind::kNull);
      default: return ReadNumber();
    }
  }

  Node* ReadWord(std::string_view word, Node::Kind kind) {
    if (text_.substr(at_, word.size()) != word) return Unexpected("a value");
    at_ += word.size();
    return tree_.NewScalar(kind, std::string(word), line_);
  }

  Node* ReadNumber() {
    const std::size_t start = at_;
    if (Peek() == '-') ++at_;
    if (!IsDigit(Peek())) {
      at_ = start;
      return Unexpected("a value");
    }
    if (Peek() == '0' && at_ + 1 < text_.size() && IsDigit(text_[at_ + 1])) {
      return Fail("a JSON number can't start with 0");
    }
    const auto digits = [this] {
      const std::size_t first = at_;
      while (IsDigit(Peek())) ++at_;
      return at_ > first;
    };
    digits();
    if (Peek() == '.') {
      ++at_;
      if (!digits()) return Unexpected("a digit");
    }
    if (Peek() == 'e' || Peek() == 'E') {
      ++at_;
      if (Peek() == '+' || Peek() == '-') ++at_;
      if (!digits()) return Unexpected("a digit");
    }
    return tree_.NewScalar(Node::Kind::kNumber, std::string(text_.substr(start, at_ - start)), line_);
  }

  bool ReadHex(std::uint32_t& code) {
    code = 0;
    for (int i = 0; i < 4; ++i, ++at_) {
      const char c = Peek();
      std::uint32_t digit = 0;
      if (IsDigit(c)) {
        digit = static_cast<std::uint32_t>(c - '0');
      } else if ((c >= 'a' && c <= 'f') || (c >= 'A' && c <= 'F')) {
        digit = static_cast<std::uint32_t>((c | 0x20) - 'a' + 10);
      } else {
        Unexpected("a hexadecimal digit");
        return false;
      }
      code = code << 4 | digit;
    }
    return true;
  }

  bool ReadEscape(std::string& out) {
    const char c = Peek();
    ++at_;
    switch (c) {
      case '"':
      case '\\':
      case '/': out += c; return true;
      case 'b': out += '\b'; return true;
      case 'f': out += '\f'; return true;
      case 'n': out += '\n'; return true;
      case 'r': out += '\r'; return true;
      case 't': out += '\t'; return true;
      case 'u': break;
      default: Fail("unknown escape in a JSON string"); return false;
    }
    std::uint32_t code = 0;
    if (!ReadHex(code)) return false;
    if (code >= 0xD800 && code < 0xDC00 && text_.substr(at_, 2) == "\\u") {
      const std::size_t after_first = at_;
      at_ += 2;
      std::uint32_t low = 0;
      if (!ReadHex(low)) return false;
      if (low >= 0xDC00 && low < 0xE000) {
        code = 0x10000 + ((code - 0xD800) << 10) + (low - 0xDC00);
      } else {
        at_ = after_first;
      }
    }
    AppendUtf8(out, code >= 0xD800 && code < 0xE000 ? 0xFFFD : code);  // half a pair stands for nothing
    return true;
  }

  bool ReadString(std::string& out) {
    if (Peek() != '"') {
      Unexpected("a string");
      return false;
    }
    for (++at_; at_ < text_.size();) {
      const char c = text_[at_++];
      if (c == '"') return true;
      if (static_cast<unsigned char>(c) < 0x20) {
        Fail("a JSON string goes over the end of its line or holds a control character");
        return false;
      }
      if (c != '\\') {
        out += c;
      } else if (!ReadEscape(out)) {
        return false;
      }
    }
    Fail("the JSON ends inside a string");
    return false;
  }

  static void Account(Node& parent, const Node& child) {
    parent.weight += child.weight;
    parent.height = std::max(parent.height, child.height + 1);
  }

  Node* ReadArray(int depth) {
    Node* node = tree_.New(Node::Kind::kSequence, line_);
    ++at_;
    SkipSpace();
    if (Peek() == ']') {
      ++at_;
      return node;
    }
    for (;;) {
      SkipSpace();
      const Node* item = ReadValue(depth + 1);
      if (item == nullptr) return nullptr;
      node->items.push_back(item);
      Account(*node, *item);
      SkipSpace();
      if (Peek() == ']') break;
      if (Peek() != ',') return Unexpected("\",\" or \"]\"");
      ++at_;
    }
    ++at_;
    return node;
  }

  Node* ReadObject(int depth) {
    Node* node = tree_.New(Node::Kind::kMapping, line_);
    ++at_;
    SkipSpace();
    if (Peek() == '}') {
      ++at_;
      return node;
    }
    for (;;) {
      SkipSpace();
      Member member;
      member.line = line_;
      if (!ReadString(member.key)) return nullptr;
      SkipSpace();
      if (Peek() != ':') return Unexpected("\":\"");
      ++at_;
      SkipSpace();
      member.value = ReadValue(depth + 1);
      if (member.value == nullptr) return nullptr;
      node->weight += member.key.size();
      Account(*node, *member.value);
      node->members.push_back(std::move(member));
      SkipSpace();
      if (Peek() == '}') break;
      if (Peek() != ',') return Unexpected("\",\" or \"}\"");
      ++at_;
    }
    ++at_;
    return node;
  }

  std::string_view text_;
  Tree& tree_;
  std::size_t at_ = 0;
  int line_ = 1;
  std::optional<SyntaxError> error_;
};

}  // namespace

std::optional<SyntaxError> ReadJson(std::string_view text, Tree& tree, std::vector<const Node*>& roots) {
  return JsonReader(text, tree).ReadAll(roots);
}

}  // namespace daemonsetd::model
