// YAML and JSON ↔ protobuf for Kubernetes objects and our own configuration, driven by message descriptors.
//
// Special forms: Quantity, IntOrString, Time/MicroTime, messages that are inline in JSON (VolumeSource in Volume,
// ProbeHandler in Probe, LocalObjectReference in selectors and sources, EphemeralContainerCommon), bytes as base64,
// octal modes in YAML, null as unset, RawExtension/FieldsV1 as raw JSON.
// Strict: unknown fields, duplicate keys and wrong types are errors with file, line and field path.
#pragma once

#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include <google/protobuf/message.h>

#include "agent/base/result.h"

namespace daemonsetd::model {

// Where a document came from and what is wrong with it.
struct DecodeError {
  std::string file;     // as given by the caller; empty for text without a file
  int line = 0;         // 1-based; 0 when unknown
  std::string object;   // "DaemonSet kube-system/agent"; empty when not known yet
  std::string field;    // "spec.template.spec.containers[0].image"; empty for the whole document
  std::string message;  // what is wrong and what to do
};

// "pods.yaml:12: DaemonSet default/log: spec.template.spec.container: unknown field; did you mean "containers"?"
std::string ToString(const DecodeError& error);

struct Document {
  int line = 0;  // of its first line in the file
  std::string api_version;
  std::string kind;
  std::unique_ptr<google::protobuf::Message> object;  // null when this document has errors
};

struct DecodedFile {
  std::vector<Document> documents;  // empty documents are left out; a v1 List and an XList of a known X are expanded
  std::vector<DecodeError> errors;  // all at once, in file order; a file without any object is an error too
};

// One kind that a caller accepts: "apps/v1", "DaemonSet", and the message to decode into.
struct KnownKind {
  std::string_view api_version;
  std::string_view kind;
  const google::protobuf::Message* prototype;
};

// Decodes every document of `text` (YAML, or JSON as a subset of it). Sizes are bounded: at most 3 MiB of text,
// 100 levels of nesting, no YAML alias expansion beyond the text's own size times 10.
DecodedFile DecodeFile(std::string_view text, std::string_view file, const std::vector<KnownKind>& kinds);

// Decodes one JSON or YAML object into `message`, without apiVersion and kind (both are accepted and ignored when the
// message has no such field). With `strict` false, unknown fields are ignored.
Status DecodeObject(std::string_view text, google::protobuf::Message& message, bool strict = true);

// JSON as Kubernetes writes it. `api_version` and `kind` come first when not empty. `indent` 0: one line.
std::string EncodeJson(const google::protobuf::Message& message, std::string_view api_version = {},
                       std::string_view kind = {}, int indent = 0);
std::string EncodeYaml(const google::protobuf::Message& message, std::string_view api_version = {},
                       std::string_view kind = {});

}  // namespace daemonsetd::model
