// The verb that makes this machine a node of a cluster: the identity of its agent, asked for at the API server.
#pragma once

#include <string>

#include "agent/base/time_point.h"
#include "agent/ctl/cli.h"

namespace CLI {
class App;
}  // namespace CLI

namespace daemonsetd::ctl {

struct JoinCommand {
  // As whom: an administrator's kubeconfig, or a bootstrap token at a server.
  std::string admin_kubeconfig;
  std::string server;
  std::string token;
  std::string token_file;  // "-": standard input
  std::string authority_file;
  std::string authority_hash;  // in place of the file: "sha256:" and hexadecimal digits
  // As what.
  std::string node_name;  // empty: that of the configuration
  bool no_coordinator = false;
  std::string lifetime;  // empty: the signer's choice
  // Where.
  std::string config_file;
  std::string config_directory;
  bool force = false;
  bool dry_run = false;
  Nanoseconds timeout = std::chrono::minutes(5);
};

// The verb and its options, into `command`.
CLI::App* AddJoin(CLI::App& app, JoinCommand& command);
int Join(const Surroundings& surroundings, const JoinCommand& command);

}  // namespace daemonsetd::ctl
