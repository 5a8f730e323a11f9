#include "agent/decide/canonical.h"

#include <algorithm>
#include <map>
#include <string_view>
#include <unordered_set>
#include <vector>

#include <fmt/format.h>

#include "agent/model/quantity.h"

namespace daemonsetd::decide {
namespace {

using google::protobuf::Descriptor;
using google::protobuf::FieldDescriptor;
using google::protobuf::Message;
using google::protobuf::Reflection;

// Fields whose explicit zero, or whose explicit empty message, is not the same as absence. In Kubernetes' Go types they
// are pointers; fields that are plain values there arrive as zero from the API server and as unset from a file.
const std::unordered_set<std::string_view>& MeaningfulZeroes() {
  static const std::unordered_set<std::string_view> fields = {
      "ClusterTrustBundleProjection.user",
      "ConfigMapVolumeSource.defaultMode",
      "ConfigMapVolumeSource.defaultUser",
      "DownwardAPIVolumeFile.mode",
      "DownwardAPIVolumeFile.user",
      "DownwardAPIVolumeSource.defaultMode",
      "DownwardAPIVolumeSource.defaultUser",
      "EmptyDirVolumeSource.mode",
      "FCVolumeSource.lun",
      "KeyToPath.mode",
      "KeyToPath.user",
      "NodeAffinity.requiredDuringSchedulingIgnoredDuringExecution",
      "PersistentVolumeClaimSpec.selector",
      "PersistentVolumeClaimSpec.storageClassName",
      "PodAffinityTerm.labelSelector",
      "PodAffinityTerm.namespaceSelector",
      "PodCertificateProjection.user",
      "PodSecurityContext.fsGroup",
      "PodSecurityContext.runAsGroup",
      "PodSecurityContext.runAsNonRoot",
      "PodSecurityContext.runAsUser",
      "PodSpec.automountServiceAccountToken",
      "PodSpec.enableServiceLinks",
      "PodSpec.hostUsers",
      "PodSpec.terminationGracePeriodSeconds",
      "ProjectedVolumeSource.defaultMode",
      "ProjectedVolumeSource.defaultUser",
      "SecretVolumeSource.defaultMode",
      "SecretVolumeSource.defaultUser",
      "SecurityContext.allowPrivilegeEscalation",
      "SecurityContext.runAsGroup",
      "SecurityContext.runAsNonRoot",
      "SecurityContext.runAsUser",
      "ServiceAccountTokenProjection.user",
      "Toleration.tolerationSeconds",
      "TopologySpreadConstraint.labelSelector",
      "VolumeSource.downwardAPI",
      "VolumeSource.projected",
  };
  return fields;
}

bool ZeroIsMeaningful(const FieldDescriptor& field) {
  return MeaningfulZeroes().contains(field.containing_type()->name() + "." + field.name());
}

void AppendText(std::string_view text, std::string& out) { out += fmt::format("{}:{}", text.size(), text); }

void AppendMessage(const Message& message, std::string& out);

// The value of a singular field (index -1) or of one element of a repeated one.
void AppendValue(const Message& message, const FieldDescriptor& field, int index, std::string& out) {
  const Reflection& reflection = *message.GetReflection();
  const bool repeated = index >= 0;
  switch (field.cpp_type()) {
    case FieldDescriptor::CPPTYPE_INT32:
      out += fmt::to_string(repeated ? reflection.GetRepeatedInt32(message, &field, index)
                                     : reflection.GetInt32(message, &field));
      break;
    case FieldDescriptor::CPPTYPE_INT64:
      out += fmt::to_string(repeated ? reflection.GetRepeatedInt64(message, &field, index)
                                     : reflection.GetInt64(message, &field));
      break;
    case FieldDescriptor::CPPTYPE_UINT32:
      out += fmt::to_string(repeated ? reflection.GetRepeatedUInt32(message, &field, index)
                                     : reflection.GetUInt32(message, &field));
      break;
    case FieldDescriptor::CPPTYPE_UINT64:
      out += fmt::to_string(repeated ? reflection.GetRepeatedUInt64(message, &field, index)
                                     : reflection.GetUInt64(message, &field));
      break;
    case FieldDescriptor::CPPTYPE_BOOL:
      out += (repeated ? reflection.GetRepeatedBool(message, &field, index) : reflection.GetBool(message, &field))
                 ? "1"
                 : "0";
      break;
    case FieldDescriptor::CPPTYPE_DOUBLE:
      out += fmt::to_string(repeated ? reflection.GetRepeatedDouble(message, &field, index)
                                     : reflection.GetDouble(message, &field));
      break;
    case FieldDescriptor::CPPTYPE_FLOAT:
      out += fmt::to_string(repeated ? reflection.GetRepeatedFloat(message, &field, index)
                                     : reflection.GetFloat(message, &field));
      break;
    case FieldDescriptor::CPPTYPE_ENUM:
      out += fmt::to_string(repeated ? reflection.GetRepeatedEnumValue(message, &field, index)
                                     : reflection.GetEnumValue(message, &field));
      break;
    case FieldDescriptor::CPPTYPE_STRING:
      AppendText(
          repeated ? reflection.GetRepeatedString(message, &field, index) : reflection.GetString(message, &field), out);
      break;
    case FieldDescriptor::CPPTYPE_MESSAGE:
      out += '{';
      AppendMessage(
          repeated ? reflection.GetRepeatedMessage(message, &field, index) : reflection.GetMessage(message, &field),
          out);
      out += '}';
      break;
  }
}

bool IsZeroText(std::string_view value) { return value == "0" || value == "0:" || value == "{}"; }

void AppendMap(const Message& message, const FieldDescriptor& field, std::string& out) {
  const FieldDescriptor& key_field = *field.message_type()->map_key();
  const FieldDescriptor& value_field = *field.message_type()->map_value();
  std::map<std::string, std::string> entries;
  for (int i = 0; i < message.GetReflection()->FieldSize(message, &field); ++i) {
    const Message& entry = message.GetReflection()->GetRepeatedMessage(message, &field, i);
    std::string key;
    AppendValue(entry, key_field, -1, key);
    AppendValue(entry, value_field, -1, entries[key]);
  }
  for (const auto& [key, value] : entries) out += key + "=" + value + ",";
}

void AppendMessage(const Message& message, std::string& out) {
  if (message.GetDescriptor() == resourcev1::Quantity::descriptor()) {
    const std::string& text = static_cast<const resourcev1::Quantity&>(message).string();
    const Result<model::Quantity> quantity = model::Quantity::Parse(text);
    AppendText(quantity ? quantity->Canonical() : text, out);
    return;
  }
  const Descriptor& descriptor = *message.GetDescriptor();
  std::vector<const FieldDescriptor*> fields;
  for (int i = 0; i < descriptor.field_count(); ++i) fields.push_back(descriptor.field(i));
  std::sort(fields.begin(), fields.end(),
            [](const FieldDescriptor* a, const FieldDescriptor* b) { return a->number() < b->number(); });

  const Reflection& reflection = *message.GetReflection();
  for (const FieldDescriptor* field : fields) {
    if (field->is_repeated()) {
      const int size = reflection.FieldSize(message, field);
      if (size == 0) continue;
      out += fmt::format("{}[", field->number());
      if (field->is_map()) {
        AppendMap(message, *field, out);
      } else {
        for (int i = 0; i < size; ++i) {
          AppendValue(message, *field, i, out);
          out += ',';
        }
      }
      out += ']';
      continue;
    }
    if (!reflection.HasField(message, field)) continue;
    std::string value;
    AppendValue(message, *field, -1, value);
    if (IsZeroText(value) && !ZeroIsMeaningful(*field)) continue;
    out += fmt::format("{}={};", field->number(), value);
  }
}

}  // namespace

std::string CanonicalText(const Message& message) {
  std::string text;
  AppendMessage(message, text);
  return text;
}

}  // namespace daemonsetd::decide
