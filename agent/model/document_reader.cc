#include "agent/model/document_reader.h"

#include <fmt/format.h>
#include <yaml-cpp/eventhandler.h>
#include <yaml-cpp/exceptions.h>
#include <yaml-cpp/parser.h>

#include <algorithm>
#include <array>
#include <sstream>
#include <unordered_map>
#include <unordered_set>
#include <utility>

#include "agent/model/json_reader.h"
#include "agent/model/yaml_scalar.h"

namespace daemonsetd::model {
namespace {

constexpr std::string_view kTemplateHint =
    "; this looks like a template: render it first (helm template, kustomize build)";

// Thrown through yaml-cpp, which offers no other way to stop; never leaves this file.
struct Stop {
  SyntaxError error;
};

// Builds the tree from yaml-cpp's events. Its own Node would lose lines, quotes and duplicates.
class TreeBuilder : public YAML::EventHandler {
 public:
  TreeBuilder(Tree& tree, int line_offset, std::size_t expansion_limit, std::vector<const Node*>& roots)
      : tree_(tree), line_offset_(line_offset), expansion_limit_(expansion_limit), roots_(roots) {}

  void OnDocumentStart(const YAML::Mark& mark) override {
    // At a stray "]" or "}" yaml-cpp reports an empty document again and again without moving on.
    if (mark.pos == last_document_) throw Stop{{Line(mark), "YAML syntax: unexpected text here"}};
    last_document_ = mark.pos;
    anchors_.clear();
    open_.clear();
  }
  void OnDocumentEnd() override {}

  void OnNull(const YAML::Mark& mark, YAML::anchor_t anchor) override {
    Node* node = tree_.New(Node::Kind::kNull, Line(mark));
    Remember(anchor, node);
    Add(node, Line(mark), false);
  }

  void OnAlias(const YAML::Mark& mark, YAML::anchor_t anchor) override {
    const auto found = anchors_.find(anchor);
    if (found == anchors_.end()) throw Stop{{Line(mark), "this alias has no anchor"}};
    const Node* target = found->second;
    const bool unfinished =
        std::any_of(open_.begin(), open_.end(), [&](const Frame& frame) { return frame.node == target; });
    if (unfinished) throw Stop{{Line(mark), "this alias stands inside of what it refers to"}};
    Expand(target->weight, Line(mark));
    Add(target, Line(mark), false);
  }

  void OnScalar(const YAML::Mark& mark, const std::string& tag, YAML::anchor_t anchor,
                const std::string& value) override {
    constexpr std::string_view kStandard = "tag:yaml.org,2002:";
    PlainScalar scalar{Node::Kind::kString, ""};
    const bool plain = tag == "?" || (tag.starts_with(kStandard) && tag != "tag:yaml.org,2002:str" &&
                                      tag != "tag:yaml.org,2002:binary");
    if (plain) {
      scalar = ResolvePlain(value);
    } else {
      scalar.text = value;
    }
    const bool merge = plain && value == "<<";
    Node* node = tree_.NewScalar(scalar.kind, std::move(scalar.text), Line(mark));
    Remember(anchor, node);
    Add(node, Line(mark), merge);
  }

  void OnSequenceStart(const YAML::Mark& mark, const std::string&, YAML::anchor_t anchor,
                       YAML::EmitterStyle::value) override {
    Open(Node::Kind::kSequence, mark, anchor);
  }
  void OnSequenceEnd() override { Close(); }

  void OnMapStart(const YAML::Mark& mark, const std::string&, YAML::anchor_t anchor,
                  YAML::EmitterStyle::value) override {
    Open(Node::Kind::kMapping, mark, anchor);
  }
  void OnMapEnd() override {
    if (!open_.back().merges.empty()) Merge(open_.back());
    Close();
  }

 private:
  struct Frame {
    Node* node;
    bool has_key = false;
    bool merge = false;
    Member member;
    std::vector<const Node*> merges;
  };

  int Line(const YAML::Mark& mark) const { return mark.line + 1 + line_offset_; }

  void Remember(YAML::anchor_t anchor, const Node* node) {
    if (anchor != YAML::NullAnchor) anchors_[anchor] = node;
  }

  void Expand(std::size_t weight, int line) {
    expansion_ += weight;
    if (expansion_ > expansion_limit_) {
      throw Stop{{line, "the aliases of this file stand for too much text; write it out or use fewer aliases"}};
    }
  }

  void Open(Node::Kind kind, const YAML::Mark& mark, YAML::anchor_t anchor) {
    if (!open_.empty() && open_.back().node->kind == Node::Kind::kMapping && !open_.back().has_key)
      RefuseKey(Line(mark));
    if (open_.size() >= static_cast<std::size_t>(kMaxNesting)) RefuseDepth(Line(mark));
    Node* node = tree_.New(kind, Line(mark));
    Remember(anchor, node);
    open_.push_back(Frame{node, false, false, {}, {}});
  }

  void Close() {
    Node* node = open_.back().node;
    open_.pop_back();
    Add(node, node->line, false);
  }

  [[noreturn]] static void RefuseDepth(int line) {
    throw Stop{{line, fmt::format("nested more than {} levels deep", kMaxNesting)}};
  }
  [[noreturn]] static void RefuseKey(int line) { throw Stop{{line, "a list or a mapping can't be a key"}}; }

  void Add(const Node* node, int line, bool merge) {
    if (open_.empty()) {
      roots_.push_back(node);
      return;
    }
    Frame& frame = open_.back();
    Node& parent = *frame.node;
    if (parent.kind == Node::Kind::kMapping && !frame.has_key) {
      if (node->kind == Node::Kind::kSequence || node->kind == Node::Kind::kMapping) RefuseKey(line);
      frame.has_key = true;
      frame.merge = merge;
      // A key that reads as a number or a boolean becomes its JSON text, as sigs.k8s.io/yaml does it.
      frame.member = Member{node->kind == Node::Kind::kNull ? "null" : node->text, line, nullptr};
      return;
    }
    parent.weight += node->weight + frame.member.key.size();
    parent.height = std::max(parent.height, node->height + 1);
    if (parent.height + static_cast<int>(open_.size()) - 1 > kMaxNesting + 1) RefuseDepth(line);
    if (parent.kind == Node::Kind::kSequence) {
      parent.items.push_back(node);
      return;
    }
    frame.has_key = false;
    if (frame.merge) {
      frame.merges.push_back(node);
      return;
    }
    frame.member.value = node;
    parent.members.push_back(std::move(frame.member));
    frame.member = {};
  }

  // "<<": keys of the mapping itself win, then those of earlier sources.
  void Merge(Frame& frame) {
    std::unordered_set<std::string> taken;
    for (const Member& member : frame.node->members) taken.insert(member.key);
    const auto merge_one = [&](const Node* source, int line) {
      if (source->kind != Node::Kind::kMapping) throw Stop{{line, "\"<<\" takes a mapping or a list of mappings"}};
      Expand(source->members.size(), line);
      for (const Member& member : source->members) {
        if (taken.insert(member.key).second) frame.node->members.push_back(member);
      }
    };
    for (const Node* source : frame.merges) {
      if (source->kind == Node::Kind::kSequence) {
        for (const Node* item : source->items) merge_one(item, frame.node->line);
      } else {
        merge_one(source, frame.node->line);
      }
    }
  }

  Tree& tree_;
  const int line_offset_;
  const std::size_t expansion_limit_;
  std::vector<const Node*>& roots_;
  std::size_t expansion_ = 0;
  int last_document_ = -1;
  std::vector<Frame> open_;
  std::unordered_map<YAML::anchor_t, const Node*> anchors_;
};

std::string_view LineOf(std::string_view text, int line) {
  std::size_t start = 0;
  for (int i = 1; i < line && start != std::string_view::npos; ++i) {
    const std::size_t end = text.find('\n', start);
    start = end == std::string_view::npos ? end : end + 1;
  }
  if (start == std::string_view::npos) return {};
  return text.substr(start, text.find('\n', start) - start);
}

// yaml-cpp's words name its own parts; these say what to look at.
std::string_view PlainWords(std::string_view message) {
  static constexpr std::array<std::pair<std::string_view, std::string_view>, 9> kWords = {{
      {"end of map not found", "this line does not fit the indentation of the lines above it"},
      {"end of sequence not found", "this line does not fit the indentation of the list above it"},
      {"illegal map value", "\": \" can't stand here; put the text in quotes or check the indentation"},
      {"illegal block entry", "\"- \" can't stand here; check the indentation"},
      {"illegal flow end", "a \"]\" or \"}\" without its beginning"},
      {"end of sequence flow not found", "a \"[\" is not closed before this line"},
      {"end of map flow not found", "a \"{\" is not closed before this line"},
      {"illegal document indicator in scalar", "a quoted text is not closed before this line"},
      {"illegal EOF in scalar", "a quoted text is not closed before this line"},
  }};
  for (const auto& [theirs, ours] : kWords) {
    if (message == theirs) return ours;
  }
  return message;
}

SyntaxError Explain(std::string_view text, SyntaxError error, int line_offset) {
  const std::string_view line = LineOf(text, error.line - line_offset);
  const std::size_t indent = line.find_first_not_of(" \t");
  if (line.find("{{") != std::string_view::npos || line.find("{%") != std::string_view::npos) {
    error.message += kTemplateHint;
  } else if (indent != std::string_view::npos && line.substr(0, indent).find('\t') != std::string_view::npos) {
    error.message = "YAML syntax: this line is indented with a tab; use spaces";
  }
  return error;
}

// yaml-cpp closes an open quote by itself at the end of a text whose last line is blank, so that half a file would pass
// for a whole one. Before an end-of-document mark it does not.
std::string WithEndMark(std::string_view text) {
  std::string marked(text);
  const std::size_t last_break = text.rfind('\n');
  if (last_break == std::string_view::npos) return marked;
  const std::string_view last_line = text.substr(last_break + 1);
  if (last_line.find_first_not_of(" \t\r") != std::string_view::npos) return marked;
  return marked += last_line.empty() ? "...\n" : "\n...\n";
}

std::optional<SyntaxError> ReadYaml(std::string_view text, int line_offset, Tree& tree,
                                    std::vector<const Node*>& roots) {
  try {
    std::istringstream stream{WithEndMark(text)};
    YAML::Parser parser(stream);
    TreeBuilder builder(tree, line_offset, text.size() * kMaxAliasExpansion, roots);
    while (parser.HandleNextDocument(builder)) {
    }
    return std::nullopt;
  } catch (const Stop& stop) {
    return Explain(text, stop.error, line_offset);
  } catch (const YAML::Exception& exception) {
    const int line = exception.mark.is_null() ? 0 : exception.mark.line + 1 + line_offset;
    return Explain(text, {line, fmt::format("YAML syntax: {}", PlainWords(exception.msg))}, line_offset);
  } catch (const std::exception& exception) {
    return SyntaxError{line_offset + 1, std::string("YAML syntax: ") + exception.what()};
  }
}

struct Chunk {
  std::string_view text;
  int line_offset = 0;
};

bool OnlyCommentsAndDirectives(std::string_view text) {
  while (!text.empty()) {
    const std::size_t end = std::min(text.find('\n'), text.size());
    const std::string_view line = text.substr(0, end);
    const std::size_t first = line.find_first_not_of(" \t\r");
    if (first != std::string_view::npos && line[first] != '#' && line[0] != '%') return false;
    text.remove_prefix(std::min(end + 1, text.size()));
  }
  return true;
}

// Each document is read by itself, so that a mistake in one does not hide the others. A line that starts with "---"
// ends a document even inside a block scalar (YAML 1.2, section 9.1.2).
std::vector<Chunk> SplitDocuments(std::string_view text) {
  std::vector<Chunk> chunks;
  std::size_t start = 0;
  int start_line = 0;
  int line_number = 0;
  for (std::size_t at = 0; at < text.size(); ++line_number) {
    const std::size_t end = std::min(text.find('\n', at), text.size());
    const std::string_view line = text.substr(at, end - at);
    const bool separator = line.starts_with("---") && (line.size() == 3 || line.find_first_of(" \t\r") == 3);
    // Directives and comments belong to the document that follows them.
    if (separator && !OnlyCommentsAndDirectives(text.substr(start, at - start))) {
      chunks.push_back({text.substr(start, at - start), start_line});
      start = at;
      start_line = line_number;
    }
    at = end + 1;
  }
  chunks.push_back({text.substr(std::min(start, text.size())), start_line});
  return chunks;
}

std::optional<SyntaxError> CheckCharacters(std::string_view text) {
  int line = 1;
  for (std::size_t at = 0; at < text.size();) {
    const auto byte = static_cast<unsigned char>(text[at]);
    if (byte == '\n') ++line;
    if (byte == 0) return SyntaxError{line, "holds a NUL byte; this is not a text file"};
    if (byte < 0x20 && byte != '\t' && byte != '\n' && byte != '\r') {
      return SyntaxError{line, fmt::format("holds the control character 0x{:02x}; remove it", byte)};
    }
    if (byte < 0x80) {
      ++at;
      continue;
    }
    const int length = byte >= 0xF0 && byte <= 0xF4  ? 4
                       : byte >= 0xE0 && byte < 0xF0 ? 3
                       : byte >= 0xC2 && byte < 0xE0 ? 2
                                                     : 0;
    bool valid = length > 0 && at + static_cast<std::size_t>(length) <= text.size();
    for (int i = 1; valid && i < length; ++i) valid = (static_cast<unsigned char>(text[at + i]) & 0xC0) == 0x80;
    if (valid && length >= 3) {
      const auto second = static_cast<unsigned char>(text[at + 1]);
      if ((byte == 0xE0 && second < 0xA0) || (byte == 0xED && second > 0x9F) || (byte == 0xF0 && second < 0x90) ||
          (byte == 0xF4 && second > 0x8F)) {
        valid = false;
      }
    }
    if (!valid) return SyntaxError{line, "is not valid UTF-8 here; save the file as UTF-8"};
    at += static_cast<std::size_t>(length);
  }
  return std::nullopt;
}

}  // namespace

std::vector<ReadDocument> ReadDocuments(std::string_view text, Tree& tree) {
  std::vector<ReadDocument> documents;
  const auto refuse = [&](SyntaxError error) { documents.push_back({nullptr, std::move(error)}); };
  if (text.size() > kMaxTextSize) {
    refuse({0, fmt::format("is {} bytes long; at most {} are read", text.size(), kMaxTextSize)});
    return documents;
  }
  if (text.starts_with("\xEF\xBB\xBF")) text.remove_prefix(3);
  if (std::optional<SyntaxError> error = CheckCharacters(text)) {
    refuse(std::move(*error));
    return documents;
  }
  const auto accept = [&](const std::vector<const Node*>& roots) {
    for (const Node* root : roots) {
      if (root->kind != Node::Kind::kNull) documents.push_back({root, std::nullopt});
    }
  };

  // yaml-cpp refuses JSON's surrogate pairs, so JSON has its own reader; "{a: b}" is YAML all the same.
  std::optional<SyntaxError> json_error;
  const std::size_t first = text.find_first_not_of(" \t\r\n");
  if (first != std::string_view::npos && text[first] == '{') {
    std::vector<const Node*> roots;
    json_error = ReadJson(text, tree, roots);
    if (!json_error) {
      accept(roots);
      return documents;
    }
    const std::size_t second = text.find_first_not_of(" \t\r\n", first + 1);
    if (second == std::string_view::npos || text[second] != '"') json_error.reset();
  }

  for (const Chunk& chunk : SplitDocuments(text)) {
    std::vector<const Node*> roots;
    std::optional<SyntaxError> error = ReadYaml(chunk.text, chunk.line_offset, tree, roots);
    accept(roots);
    if (!error) continue;
    if (json_error) {
      // It looked like JSON from the start: that reader's words are the right ones.
      documents.clear();
      refuse(std::move(*json_error));
      return documents;
    }
    refuse(std::move(*error));
  }
  return documents;
}

}  // namespace daemonsetd::model
