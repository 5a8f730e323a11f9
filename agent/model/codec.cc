#include "agent/model/codec.h"

#include <fmt/format.h>

#include <algorithm>
#include <utility>

#include "agent/model/document_reader.h"
#include "agent/model/message_decoder.h"
#include "agent/model/message_encoder.h"
#include "agent/model/tree_writer.h"

namespace daemonsetd::model {
namespace {

std::string_view StringMember(const Node& node, std::string_view key) {
  const Node* value = node.kind == Node::Kind::kMapping ? node.Find(key) : nullptr;
  return value != nullptr && value->kind == Node::Kind::kString ? std::string_view(value->text) : std::string_view();
}

// "DaemonSet kube-system/agent", or as much of it as the document tells.
std::string ObjectName(const Node& node, std::string_view kind) {
  if (kind.empty()) kind = "object";
  const Node* metadata = node.Find("metadata");
  if (metadata == nullptr || metadata->kind != Node::Kind::kMapping) return std::string(kind);
  const std::string_view name = StringMember(*metadata, "name");
  const std::string_view space = StringMember(*metadata, "namespace");
  if (name.empty()) return std::string(kind);
  return space.empty() ? fmt::format("{} {}", kind, name) : fmt::format("{} {}/{}", kind, space, name);
}

class FileDecoder {
 public:
  FileDecoder(std::string_view file, const std::vector<KnownKind>& kinds) : file_(file), kinds_(kinds) {}

  DecodedFile Decode(std::string_view text) {
    Tree tree;
    const std::vector<ReadDocument> documents = ReadDocuments(text, tree);
    for (const ReadDocument& document : documents) {
      if (document.error) {
        Report(document.error->line, "", "", document.error->message);
      } else {
        DecodeDocument(*document.root, {}, {});
      }
    }
    if (documents.empty()) {
      Report(0, "", "", "holds no object; delete the file if nothing should run from it");
    }
    return std::move(result_);
  }

 private:
  void Report(int line, std::string object, std::string field, std::string message) {
    result_.errors.push_back({std::string(file_), line, std::move(object), std::move(field), std::move(message)});
  }

  const KnownKind* Find(std::string_view api_version, std::string_view kind) const {
    for (const KnownKind& known : kinds_) {
      if (known.api_version == api_version && known.kind == kind) return &known;
    }
    return nullptr;
  }
  const KnownKind* FindKind(std::string_view kind) const {
    const auto known = std::find_if(kinds_.begin(), kinds_.end(), [&](const KnownKind& k) { return k.kind == kind; });
    return known == kinds_.end() ? nullptr : &*known;
  }

  std::string KnownKinds() const {
    std::string text;
    for (const KnownKind& known : kinds_) {
      text += fmt::format("{}{} ({})", text.empty() ? "" : ", ", known.kind, known.api_version);
    }
    return text;
  }

  // Text of apiVersion or kind; reports what is wrong with it.
  std::string_view TypeMember(const Node& root, std::string_view key, std::string_view inherited) {
    const Node* value = root.Find(key);
    if (value == nullptr || value->kind == Node::Kind::kNull) {
      if (inherited.empty()) {
        Report(root.line, ObjectName(root, StringMember(root, "kind")), std::string(key),
               fmt::format("is missing; known kinds: {}", KnownKinds()));
      }
      return inherited;
    }
    if (value->kind != Node::Kind::kString || value->text.empty()) {
      Report(value->line, "", std::string(key), fmt::format("must be text; known kinds: {}", KnownKinds()));
      return {};
    }
    return value->text;
  }

  // Items of an XList may leave out what the list's own kind tells.
  void DecodeDocument(const Node& root, std::string_view list_api_version, std::string_view item_kind) {
    if (root.kind != Node::Kind::kMapping) {
      return Report(root.line, "", "", "must be an object with apiVersion and kind, but is not a mapping");
    }
    const std::string_view api_version = TypeMember(root, "apiVersion", list_api_version);
    const std::string_view kind = TypeMember(root, "kind", item_kind);
    if (api_version.empty() || kind.empty()) return;

    const KnownKind* known = Find(api_version, kind);
    if (known == nullptr && ExpandList(root, api_version, kind)) return;
    const std::string object = ObjectName(root, kind);
    if (known == nullptr) return ReportUnknownKind(root, object, api_version, kind);

    Document document{root.line, std::string(api_version), std::string(kind), nullptr};
    std::unique_ptr<google::protobuf::Message> message(known->prototype->New());
    std::vector<FieldProblem> problems = DecodeMessage(root, *message, true);
    for (FieldProblem& problem : problems) {
      Report(problem.line, object, std::move(problem.field), std::move(problem.message));
    }
    if (problems.empty()) document.object = std::move(message);
    result_.documents.push_back(std::move(document));
  }

  bool ExpandList(const Node& root, std::string_view api_version, std::string_view kind) {
    std::string_view item_api_version, item_kind;
    if (kind != "List" || api_version != "v1") {
      if (!kind.ends_with("List")) return false;
      item_kind = kind.substr(0, kind.size() - 4);
      item_api_version = api_version;
      if (Find(item_api_version, item_kind) == nullptr) return false;
    }
    for (const Member& member : root.members) {
      if (member.key == "apiVersion" || member.key == "kind" || member.key == "metadata" || member.key == "items")
        continue;
      Report(member.line, std::string(kind), member.key, "unknown field; a list has metadata and items");
    }
    const Node* items = root.Find("items");
    if (items == nullptr || items->kind == Node::Kind::kNull) return true;
    if (items->kind != Node::Kind::kSequence) {
      Report(items->line, std::string(kind), "items", "must be a list of objects");
      return true;
    }
    for (const Node* item : items->items) {
      // A list in a list would let a small file recurse deep; the API has no such thing.
      if (StringMember(*item, "kind").ends_with("List") &&
          Find(StringMember(*item, "apiVersion"), StringMember(*item, "kind")) == nullptr) {
        Report(item->line, std::string(kind), "items", "a list can't hold another list");
        continue;
      }
      DecodeDocument(*item, item_api_version, item_kind);
    }
    return true;
  }

  void ReportUnknownKind(const Node& root, const std::string& object, std::string_view api_version,
                         std::string_view kind) {
    const Node* version_node = root.Find("apiVersion");
    const Node* kind_node = root.Find("kind");
    if (const KnownKind* same_kind = FindKind(kind)) {
      return Report(
          version_node != nullptr ? version_node->line : root.line, object, "apiVersion",
          fmt::format("{} is not known in \"{}\"; write apiVersion: {}", kind, api_version, same_kind->api_version));
    }
    std::vector<std::string_view> names;
    for (const KnownKind& known : kinds_) names.push_back(known.kind);
    const std::string_view nearest = Nearest(kind, names);
    Report(kind_node != nullptr ? kind_node->line : root.line, object, "kind",
           fmt::format("\"{}\" of \"{}\" is not known here{}; known kinds: {}", kind, api_version,
                       nearest.empty() ? "" : fmt::format("; did you mean \"{}\"?", nearest), KnownKinds()));
  }

  const std::string_view file_;
  const std::vector<KnownKind>& kinds_;
  DecodedFile result_;
};

}  // namespace

std::string ToString(const DecodeError& error) {
  std::string text = error.file;
  if (error.line > 0) text += fmt::format("{}{}", text.empty() ? "line " : ":", error.line);
  for (const std::string* part : {&error.object, &error.field, &error.message}) {
    if (part->empty()) continue;
    if (!text.empty()) text += ": ";
    text += *part;
  }
  return text;
}

DecodedFile DecodeFile(std::string_view text, std::string_view file, const std::vector<KnownKind>& kinds) {
  return FileDecoder(file, kinds).Decode(text);
}

Status DecodeObject(std::string_view text, google::protobuf::Message& message, bool strict) {
  Tree tree;
  const std::vector<ReadDocument> documents = ReadDocuments(text, tree);
  if (documents.size() > 1 || (documents.size() == 1 && documents[0].error)) {
    const auto bad =
        std::find_if(documents.begin(), documents.end(), [](const auto& d) { return d.error.has_value(); });
    if (bad == documents.end()) return Error(ErrorKind::kInvalid, "one object is wanted, but there are several");
    return Error(ErrorKind::kInvalid, ToString(DecodeError{"", bad->error->line, "", "", bad->error->message}));
  }
  if (documents.empty()) return Ok();
  std::string text_of_all;
  for (const FieldProblem& problem : DecodeMessage(*documents[0].root, message, strict)) {
    text_of_all += text_of_all.empty() ? "" : "; ";
    text_of_all += ToString(DecodeError{"", problem.line, "", problem.field, problem.message});
  }
  if (!text_of_all.empty()) return Error(ErrorKind::kInvalid, std::move(text_of_all));
  return Ok();
}

std::string EncodeJson(const google::protobuf::Message& message, std::string_view api_version, std::string_view kind,
                       int indent) {
  Tree tree;
  return WriteJson(*EncodeMessage(message, api_version, kind, tree), indent);
}

std::string EncodeYaml(const google::protobuf::Message& message, std::string_view api_version, std::string_view kind) {
  Tree tree;
  return WriteYaml(*EncodeMessage(message, api_version, kind, tree));
}

}  // namespace daemonsetd::model
