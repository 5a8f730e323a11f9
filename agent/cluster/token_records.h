// ServiceAccount tokens in the checkpoint, as the API's own TokenRequest: what a pod starts with after a reboot without
// the API server. They are kept where Secrets are (checkpointSecrets). Pure.
#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "agent/base/time_point.h"
#include "agent/kube/client.h"
#include "agent/pods/object_source.h"

namespace daemonsetd::cluster {

// What is asked of the server.
kube::authenticationv1::TokenRequest MessageOf(const pods::TokenRequest& request);

// Under which the answer is kept, in the namespace of its pod: one for each pod, account, audience and lifetime.
std::string RecordNameOf(const pods::TokenRequest& request);
// The answer as it is kept; when it was issued is kept beside it.
kube::authenticationv1::TokenRequest RecordOf(const pods::TokenRequest& request, const pods::Token& token);
pods::Token TokenOf(const kube::authenticationv1::TokenRequest& record, WallTime issued);

// "exp" of a JSON Web Token; unset for what is no such token.
std::optional<WallTime> ExpiryIn(std::string_view token);
// A server may honour a token for longer than it says when it grants it (--service-account-extend-token-expiration).
bool IsValidByItsOwnWord(const pods::Token& token, WallTime now);
// Or by its lifetime since this node received it.
bool IsStillValid(const pods::Token& token, WallTime now);

}  // namespace daemonsetd::cluster
