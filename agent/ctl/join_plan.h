// What joining would do, found out from the command line and the configuration before anything is done.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "agent/base/result.h"
#include "agent/ctl/join.h"
#include "agent/identity/signing_request.h"
#include "agent/kube/transport/kubeconfig.h"

namespace daemonsetd::ctl {

struct JoinPlan {
  identity::WantedIdentity wanted;
  std::string state_directory;
  std::string kubeconfig;            // to be written
  std::string bootstrap_kubeconfig;  // likewise, with a token
  std::string drop_in;               // empty: the configuration says all that it has to
  std::string drop_in_text;
  std::string asks_as;  // the kubeconfig to ask with; empty: with `token` at `server`
  kube::ServerAddress server;
  std::string authority;         // in PEM form: who vouches for the server;
  std::string authority_digest;  // or, when that is empty, what the key of those who do is known by
  std::string token;
};

// kInvalid: the command line or the configuration is wrong; kExists: this node has an identity already.
Result<JoinPlan> PlanJoin(const JoinCommand& command);

}  // namespace daemonsetd::ctl
