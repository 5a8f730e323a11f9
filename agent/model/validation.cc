#include "agent/model/validation.h"

#include <charconv>
#include <string>
#include <string_view>

#include "agent/model/names.h"
#include "agent/model/selectors.h"
#include "agent/model/validation_rules.h"

namespace daemonsetd::model {
namespace {

using validation::ErrorList;
using validation::Path;

constexpr std::int64_t kText = 1;  // IntOrString.type: 0 is a number, 1 a string

// The number, or the percentage; 0 for text that is neither, as upstream reads it.
std::int64_t NumberOrPercent(const intstrv1::IntOrString& value) {
  if (value.type() != kText) {
    return value.intval();
  }
  std::int64_t percent = 0;
  if (IsPercent(value.strval())) {
    const auto [end, status] =
        std::from_chars(value.strval().data(), value.strval().data() + value.strval().size(), percent);
    if (status != std::errc()) {
      return 101;  // too many digits for a number: above 100% in any case
    }
  }
  return percent;
}

void ValidateNumberOrPercent(const intstrv1::IntOrString& value, const Path& path, ErrorList& errors) {
  if (value.type() != kText) {
    errors.CheckNotNegative(path, value.intval());
    return;
  }
  if (!IsPercent(value.strval())) {
    errors.Invalid(path, value.strval(),
                   "a valid percent string must be a numeric string followed by an ending '%' (e.g. '1%',  or '93%', "
                   "regex used for validation is '[0-9]+%')");
  } else if (NumberOrPercent(value) > 100) {
    errors.Invalid(path, value.strval(), "must not be greater than 100%");
  }
}

std::string TextOf(const intstrv1::IntOrString& value) {
  return value.type() == kText ? value.strval() : std::to_string(value.intval());
}

void ValidateUpdateStrategy(const appsv1::DaemonSetUpdateStrategy& strategy, const Path& path, ErrorList& errors) {
  if (strategy.type() == "OnDelete") {
    return;
  }
  if (strategy.type() != "RollingUpdate") {
    errors.NotSupported(path, strategy.type(), {"OnDelete", "RollingUpdate"});
    return;
  }
  const Path at = path / "rollingUpdate";
  if (!strategy.has_rollingupdate()) {
    errors.Required(at);
    return;
  }
  const auto& rolling = strategy.rollingupdate();
  ValidateNumberOrPercent(rolling.maxunavailable(), at / "maxUnavailable", errors);
  ValidateNumberOrPercent(rolling.maxsurge(), at / "maxSurge", errors);
  const bool has_unavailable = NumberOrPercent(rolling.maxunavailable()) != 0;
  const bool has_surge = NumberOrPercent(rolling.maxsurge()) != 0;
  if (has_unavailable && has_surge) {
    errors.Invalid(at / "maxSurge", TextOf(rolling.maxsurge()), "may not be set when maxUnavailable is non-zero");
  } else if (!has_unavailable && !has_surge) {
    errors.Required(at / "maxUnavailable", "cannot be 0 when maxSurge is 0");
  }
}

// A missing selector matches nothing, so that the mismatch is what upstream reports for it.
void ValidateSelector(const appsv1::DaemonSetSpec& spec, const Path& path, ErrorList& errors) {
  ErrorList selector_errors;
  validation::ValidateLabelSelector(spec.selector(), path / "selector", selector_errors);
  const bool is_usable = selector_errors.size() == 0;
  errors.Append(std::move(selector_errors));
  if (is_usable) {
    const auto matches =
        spec.has_selector() ? Matches(spec.selector(), spec.template_().metadata().labels()) : Result<bool>(false);
    if (matches && !*matches) {
      errors.Invalid(path / "template" / "metadata" / "labels",
                     validation::TextOf(spec.template_().metadata().labels()),
                     "`selector` does not match template `labels`");
    }
  }
  if (spec.has_selector() && spec.selector().matchlabels().empty() && spec.selector().matchexpressions().empty()) {
    errors.Invalid(path / "selector", "{}", "empty selector is invalid for daemonset");
  }
}

}  // namespace

FieldErrors Validate(const appsv1::DaemonSet& daemon_set) {
  ErrorList errors;
  validation::ValidateObjectMeta(daemon_set.metadata(), Path("metadata"), errors);
  const auto& spec = daemon_set.spec();
  const Path path("spec");
  ValidateSelector(spec, path, errors);
  validation::ValidatePodTemplate(spec.template_(), path / "template", errors);
  const auto& pod = spec.template_().spec();
  const Path pod_path = path / "template" / "spec";
  if (pod.restartpolicy() != "Always") {
    errors.NotSupported(pod_path / "restartPolicy", pod.restartpolicy(), {"Always"});
  }
  if (pod.has_activedeadlineseconds()) {
    errors.Forbidden(pod_path / "activeDeadlineSeconds", "activeDeadlineSeconds in DaemonSet is not Supported");
  }
  errors.CheckNotNegative(path / "minReadySeconds", spec.minreadyseconds());
  ValidateUpdateStrategy(spec.updatestrategy(), path / "updateStrategy", errors);
  errors.CheckNotNegative(path / "revisionHistoryLimit", spec.revisionhistorylimit());
  return errors.Take();
}

FieldErrors Validate(const corev1::Pod& pod) {
  ErrorList errors;
  const Path metadata("metadata");
  const Path path("spec");
  const auto& spec = pod.spec();
  validation::ValidateObjectMeta(pod.metadata(), metadata, errors);
  validation::ValidatePodAnnotations(pod.metadata().annotations(), spec, metadata / "annotations", errors);
  validation::ValidatePodSpec(spec, pod.metadata().name(), true, path, errors);
  if (spec.serviceaccountname().empty()) {
    for (int i = 0; i < spec.volumes_size(); ++i) {
      const auto& projected = spec.volumes(i).volumesource().projected();
      for (int j = 0; j < projected.sources_size(); ++j) {
        if (projected.sources(j).has_serviceaccounttoken()) {
          errors.Forbidden(((path / "volumes")[i] / "projected" / "sources")[j] / "serviceAccountToken",
                           "must not be specified when serviceAccountName is not set");
        }
      }
    }
  }
  if (!spec.ephemeralcontainers().empty()) {
    errors.Forbidden(path / "ephemeralContainers", "cannot be set on create");
  }
  if (!spec.nodename().empty() && !spec.schedulinggates().empty()) {
    errors.Forbidden(path / "nodeName", "cannot be set until all schedulingGates have been cleared");
  }
  validation::ValidateProfilesMatchAnnotations(pod.metadata().annotations(), spec, path, errors);
  return errors.Take();
}

}  // namespace daemonsetd::model
