// What a runtime's gRPC answer means for the caller, the quirks of old runtimes included.
#pragma once

#include <string>
#include <string_view>

#include "agent/base/result.h"
#include "cri.pb.h"

namespace grpc {
class Status;
}

namespace daemonsetd::cri {

// `status` must not be OK. The message is "CRI <method>: <the runtime's text>", printable and bounded.
// `we_cancelled`: a CANCELLED that we did not ask for is the runtime shutting down, so kRetry.
Error FromGrpc(std::string_view method, const grpc::Status& status, bool we_cancelled);

// Stop and Remove calls reach their aim on an object that does not exist.
Status AbsentIsSuccess(Status status);

// The error of a runtime that answers success and leaves out what was asked for (`what`).
Error IncompleteAnswer(std::string_view method, std::string_view what);

// Runtimes may quote the request in an error. Replaces each env value that appears in `error`.
Error WithoutEnvValues(const Error& error, const ::runtime::v1::ContainerConfig& config);

// Containerd answers success and no image for an absent one: kAbsent.
Result<::runtime::v1::Image> ImageOf(::runtime::v1::ImageStatusResponse response, std::string_view image);

}  // namespace daemonsetd::cri
