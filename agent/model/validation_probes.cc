#include <string>
#include <string_view>

#include "agent/model/names.h"
#include "agent/model/validation_rules.h"

namespace daemonsetd::model::validation {
namespace {

constexpr std::string_view kOneHandler = "may not specify more than 1 handler type";

// What a probe and a lifecycle hook have in common; null where not set.
struct Handlers {
  const corev1::ExecAction* exec = nullptr;
  const corev1::HTTPGetAction* http = nullptr;
  const corev1::TCPSocketAction* tcp = nullptr;
  const corev1::GRPCAction* grpc = nullptr;
  const corev1::SleepAction* sleep = nullptr;
};

void ValidatePort(const intstrv1::IntOrString& port, const Path& path, ErrorList& errors) {
  constexpr std::int64_t kText = 1;  // IntOrString.type: 0 is a number, 1 a string
  if (port.type() == kText) {
    errors.Check(path, port.strval(), CheckPortName(port.strval()));
  } else if (!IsPortNumber(port.intval())) {
    errors.InvalidNumber(path, port.intval(), RangeReason(1, 65535));
  }
}

void ValidateHttpGet(const corev1::HTTPGetAction& http, const Path& path, ErrorList& errors) {
  if (http.path().empty()) {
    errors.Required(path / "path");
  }
  ValidatePort(http.port(), path / "port", errors);
  errors.CheckOneOf(path / "scheme", http.scheme(), {"HTTP", "HTTPS"});
  for (const auto& header : http.httpheaders()) {
    errors.Check(path / "httpHeaders", header.name(), CheckHttpHeaderName(header.name()));
  }
}

void ValidateHandlers(const Handlers& handlers, const PodContext& context, const Path& path, ErrorList& errors) {
  int count = 0;
  // True for the first handler; a further one is refused.
  const auto is_first = [&](std::string_view field) {
    if (++count == 1) {
      return true;
    }
    errors.Forbidden(path / field, std::string(kOneHandler));
    return false;
  };
  if (handlers.exec != nullptr && is_first("exec") && handlers.exec->command().empty()) {
    errors.Required(path / "exec" / "command");
  }
  if (handlers.http != nullptr && is_first("httpGet")) {
    ValidateHttpGet(*handlers.http, path / "httpGet", errors);
  }
  if (handlers.tcp != nullptr && is_first("tcpSocket")) {
    ValidatePort(handlers.tcp->port(), path / "tcpSocket" / "port", errors);
  }
  if (handlers.grpc != nullptr && is_first("grpc") && !IsPortNumber(handlers.grpc->port())) {
    errors.InvalidNumber(path / "grpc" / "port", handlers.grpc->port(), RangeReason(1, 65535));
  }
  if (handlers.sleep != nullptr && is_first("sleep") && context.grace_period.has_value()) {
    const std::int64_t seconds = handlers.sleep->seconds();
    if (seconds < 0 || seconds > *context.grace_period) {
      errors.InvalidNumber(path / "sleep", seconds,
                           "must be non-negative and less than terminationGracePeriodSeconds (" +
                               std::to_string(*context.grace_period) + ")");
    }
  }
  if (count == 0) {
    errors.Required(path, "must specify a handler type");
  }
}

Handlers OfProbe(const corev1::ProbeHandler& handler) {
  return {.exec = handler.has_exec() ? &handler.exec() : nullptr,
          .http = handler.has_httpget() ? &handler.httpget() : nullptr,
          .tcp = handler.has_tcpsocket() ? &handler.tcpsocket() : nullptr,
          .grpc = handler.has_grpc() ? &handler.grpc() : nullptr};
}

Handlers OfHook(const corev1::LifecycleHandler& handler) {
  return {.exec = handler.has_exec() ? &handler.exec() : nullptr,
          .http = handler.has_httpget() ? &handler.httpget() : nullptr,
          .tcp = handler.has_tcpsocket() ? &handler.tcpsocket() : nullptr,
          .sleep = handler.has_sleep() ? &handler.sleep() : nullptr};
}

void ValidateProbe(const corev1::Probe& probe, const PodContext& context, const Path& path, ErrorList& errors) {
  ValidateHandlers(OfProbe(probe.handler()), context, path, errors);
  errors.CheckNotNegative(path / "initialDelaySeconds", probe.initialdelayseconds());
  errors.CheckNotNegative(path / "timeoutSeconds", probe.timeoutseconds());
  errors.CheckNotNegative(path / "periodSeconds", probe.periodseconds());
  errors.CheckNotNegative(path / "successThreshold", probe.successthreshold());
  errors.CheckNotNegative(path / "failureThreshold", probe.failurethreshold());
  if (probe.has_terminationgraceperiodseconds() && probe.terminationgraceperiodseconds() <= 0) {
    errors.InvalidNumber(path / "terminationGracePeriodSeconds", probe.terminationgraceperiodseconds(),
                         "must be greater than 0");
  }
}

void CheckSuccessThreshold(const corev1::Probe& probe, const Path& path, ErrorList& errors) {
  if (probe.successthreshold() != 1) {
    errors.InvalidNumber(path / "successThreshold", probe.successthreshold(), "must be 1");
  }
}

void ValidateStopSignal(const std::string& signal, const PodContext& context, const Path& path, ErrorList& errors) {
  if (!context.os.has_value()) {
    errors.Forbidden(path, "may not be set for containers with empty `spec.os.name`");
  } else if (*context.os == "windows") {
    errors.CheckOneOf(path, signal, {"SIGKILL", "SIGTERM"});
  } else if (*context.os == "linux" && !signal.starts_with("SIG")) {
    errors.Invalid(path, signal, "must be the name of a signal, such as SIGTERM");
  }
}

}  // namespace

void ValidateLifecycle(const corev1::Lifecycle& lifecycle, const PodContext& context, const Path& path,
                       ErrorList& errors) {
  if (lifecycle.has_poststart()) {
    ValidateHandlers(OfHook(lifecycle.poststart()), context, path / "postStart", errors);
  }
  if (lifecycle.has_prestop()) {
    ValidateHandlers(OfHook(lifecycle.prestop()), context, path / "preStop", errors);
  }
  if (lifecycle.has_stopsignal()) {
    ValidateStopSignal(lifecycle.stopsignal(), context, path / "stopSignal", errors);
  }
}

void ValidateProbes(const corev1::Container& container, const PodContext& context, const Path& path,
                    ErrorList& errors) {
  if (container.has_livenessprobe()) {
    ValidateProbe(container.livenessprobe(), context, path / "livenessProbe", errors);
    CheckSuccessThreshold(container.livenessprobe(), path / "livenessProbe", errors);
  }
  if (container.has_readinessprobe()) {
    const Path at = path / "readinessProbe";
    ValidateProbe(container.readinessprobe(), context, at, errors);
    if (container.readinessprobe().has_terminationgraceperiodseconds()) {
      errors.InvalidNumber(at / "terminationGracePeriodSeconds",
                           container.readinessprobe().terminationgraceperiodseconds(),
                           "must not be set for readinessProbes");
    }
  }
  if (container.has_startupprobe()) {
    ValidateProbe(container.startupprobe(), context, path / "startupProbe", errors);
    CheckSuccessThreshold(container.startupprobe(), path / "startupProbe", errors);
  }
}

}  // namespace daemonsetd::model::validation
