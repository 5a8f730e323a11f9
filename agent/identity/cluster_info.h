// The authority of a cluster that is known by the hash of its key alone, which kubeadm prints for joining.
#pragma once

#include <string>
#include <string_view>

#include "agent/async/blocking_pool.h"
#include "agent/async/timeline.h"
#include "agent/base/result.h"
#include "agent/kube/transport/kubeconfig.h"

namespace daemonsetd::identity {

// The digest, raw, out of "sha256:" and 64 hexadecimal digits.
Result<std::string> ParseKeyHash(std::string_view text);

// In PEM form: the authorities with such a key that `server` names in its ConfigMap kube-public/cluster-info, once it
// has shown a certificate of theirs. It is asked without credentials, and whoever answers the first question may be
// anybody; so nothing of the answer counts but what has the hash. kDenied when nothing has, or the server is another.
Task<Result<std::string>> FetchAuthority(kube::ServerAddress server, std::string key_digest, async::Timeline* timeline,
                                         async::BlockingPool* pool);

}  // namespace daemonsetd::identity
