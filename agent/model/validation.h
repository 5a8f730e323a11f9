// API validation with upstream's field paths and error types, all errors at once
// (pkg/apis/core/validation, pkg/apis/apps/validation). Expects a defaulted object.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "agent/model/kubernetes.h"

namespace daemonsetd::model {

struct FieldError {
  // Upstream's names, so that the reference's answers compare: "FieldValueRequired", "FieldValueInvalid",
  // "FieldValueNotSupported", "FieldValueDuplicate", "FieldValueForbidden", "FieldValueTooLong", ...
  enum class Type {
    kRequired,
    kInvalid,
    kNotSupported,
    kDuplicate,
    kForbidden,
    kTooLong,
    kTooMany,
    kNotFound,
    kTypeInvalid,
    kInternal
  };
  Type type;
  std::string field;
  std::string value;    // the offending value, empty when there is none to show; never a Secret's
  std::string detail;   // what is allowed
  bool is_text = true;  // false: `value` is a number or a boolean, shown without quotes
};
std::string_view UpstreamName(FieldError::Type type);
// `spec.template.spec.dnsPolicy: Unsupported value: "Random": supported values: "ClusterFirst", "Default"`
std::string ToString(const FieldError& error);

using FieldErrors = std::vector<FieldError>;

// Errors in the order in which the fields are declared; every error of the object, not only the first.
FieldErrors Validate(const appsv1::DaemonSet& daemon_set);
FieldErrors Validate(const corev1::Pod& pod);

}  // namespace daemonsetd::model
