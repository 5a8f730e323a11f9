#include "agent/ctl/join_plan.h"

#include <filesystem>
#include <iostream>
#include <iterator>
#include <system_error>

#include <fmt/format.h>

#include "agent/base/duration.h"
#include "agent/config/command_line.h"
#include "agent/config/config.h"
#include "agent/config/reference.h"
#include "agent/decide/node_identity.h"
#include "agent/identity/certificate.h"
#include "agent/identity/certificate_files.h"
#include "agent/identity/cluster_info.h"
#include "agent/identity/kubeconfig_file.h"
#include "agent/kube/transport/files.h"
#include "agent/model/names.h"

namespace daemonsetd::ctl {
namespace {

namespace fs = std::filesystem;

constexpr char kKubeconfig[] = "/etc/daemonsetd/kubeconfig";
constexpr char kDropIn[] = "10-join.conf";
constexpr std::size_t kMaximumToken = std::size_t{64} << 10;
constexpr std::size_t kMaximumAuthority = std::size_t{1} << 20;

Error Wrong(std::string message) { return Error(ErrorKind::kInvalid, std::move(message)); }

bool Exists(const std::string& path) {
  std::error_code ignored;
  return fs::exists(fs::symlink_status(path, ignored));
}

Result<std::string> Token(const JoinCommand& command) {
  std::string token = command.token;
  if (command.token_file == "-") {
    token.assign(std::istreambuf_iterator<char>(std::cin), {});
  } else if (!command.token_file.empty()) {
    Result<std::string> text = kube::ReadSmallFile(command.token_file, kMaximumToken);
    if (!text) return text.error().WithContext(command.token_file);
    token = std::move(*text);
  }
  const std::size_t first = token.find_first_not_of(" \t\r\n");
  if (first == std::string::npos) return Wrong("the token is empty; kubeadm token create prints one");
  return token.substr(first, token.find_last_not_of(" \t\r\n") + 1 - first);
}

// Server, token, and the authority or what it is known by.
Status PlanBootstrap(const JoinCommand& command, JoinPlan& plan) {
  Result<std::string> token = Token(command);
  if (!token) return token.error();
  if (!command.authority_file.empty()) {
    Result<std::string> authority = kube::ReadSmallFile(command.authority_file, kMaximumAuthority);
    if (!authority) return authority.error().WithContext(command.authority_file);
    if (authority->empty()) return Wrong(fmt::format("{} is empty", command.authority_file));
    plan.authority = std::move(*authority);
  }
  // The same rules as for a file, and errors that name the option.
  const kube::KubeconfigResult parsed = kube::ParseKubeconfig(
      identity::KubeconfigWithToken({.server = command.server, .authority = plan.authority}, *token),
      "--server, --token");
  if (!parsed.kubeconfig) return Wrong(model::ToString(parsed.errors.front()));
  plan.server = parsed.kubeconfig->server;
  plan.token = std::move(*token);
  if (command.authority_hash.empty()) return Ok();
  if (!plan.server.tls) return Wrong("--ca-cert-hash is for a --server of https://");
  Result<std::string> digest = identity::ParseKeyHash(command.authority_hash);
  if (!digest) return digest.error().WithContext("--ca-cert-hash");
  plan.authority_digest = std::move(*digest);
  return Ok();
}

Status CheckWords(const JoinCommand& command) {
  const bool by_token = !command.token.empty() || !command.token_file.empty();
  const bool has_authority = !command.authority_file.empty() || !command.authority_hash.empty();
  const bool by_server = by_token || !command.server.empty() || has_authority;
  if (command.admin_kubeconfig.empty() && !by_server) {
    return Wrong(
        "say as whom to join: --kubeconfig FILE of an administrator, or --server, --ca-file or --ca-cert-hash, and "
        "--token-file");
  }
  if (!command.admin_kubeconfig.empty() && by_server) {
    return Wrong(
        "an administrator's --kubeconfig needs no --server, --token, --ca-file or --ca-cert-hash; leave one of "
        "both out");
  }
  if (by_server && (command.server.empty() || !has_authority || !by_token)) {
    return Wrong("a bootstrap token needs all of --server, --ca-file or --ca-cert-hash, and --token-file or --token");
  }
  if (!command.authority_file.empty() && !command.authority_hash.empty()) {
    return Wrong("give --ca-file or --ca-cert-hash, not both");
  }
  if (!command.token.empty() && !command.token_file.empty()) return Wrong("give --token or --token-file, not both");
  return Ok();
}

// A second identity would end the first one's use without a word.
Status CheckUnjoined(const JoinPlan& plan) {
  const std::string current = identity::CurrentCertificatePath(plan.state_directory);
  std::string held;
  if (Exists(current)) {
    const Result<std::string> pem = kube::ReadSmallFile(current, identity::kMaximumPem);
    const auto facts = pem ? identity::ReadCertificate(*pem) : pem.error();
    held = facts ? fmt::format("the certificate of {}, until {} ({})", facts->user, FormatRfc3339(facts->not_after),
                               current)
                 : current;
  } else if (Exists(plan.kubeconfig)) {
    held = plan.kubeconfig;
  }
  if (held.empty()) return Ok();
  return Error(ErrorKind::kExists,
               fmt::format("this node has an identity already: {}; --force replaces it by a new one", held));
}

void PlanDropIn(const JoinCommand& command, const config::Config& config, const std::string& configured_name,
                JoinPlan& plan) {
  std::string keys;
  if (config.message.kubeconfig().empty()) keys += fmt::format("kubeconfig: {}\n", plan.kubeconfig);
  if (plan.wanted.node_name != configured_name) keys += fmt::format("nodeName: {}\n", plan.wanted.node_name);
  if (keys.empty()) return;
  const std::string directory =
      command.config_directory.empty() ? std::string(config::kDefaultDirectory) : command.config_directory;
  plan.drop_in = fmt::format("{}/{}", directory, kDropIn);
  plan.drop_in_text = fmt::format("# Written by daemonsetctl join.\napiVersion: {}\nkind: {}\n{}", config::kApiVersion,
                                  config::kKind, keys);
}

}  // namespace

Result<JoinPlan> PlanJoin(const JoinCommand& command) {
  DAEMONSETD_RETURN_IF_ERROR(CheckWords(command));
  config::Sources sources;
  if (!command.config_file.empty()) sources.file = command.config_file;
  if (!command.config_directory.empty()) sources.directory = command.config_directory;
  const config::LoadResult loaded = config::Load(sources, config::ReadSurroundings());
  if (!loaded.config) return Wrong("the configuration has errors:\n" + config::ErrorsText(loaded));
  const config::Message& message = loaded.config->message;

  JoinPlan plan;
  plan.wanted.node_name = command.node_name.empty() ? message.nodename() : command.node_name;
  if (const std::string reason = model::CheckDns1123Subdomain(plan.wanted.node_name); !reason.empty()) {
    return Wrong(fmt::format("\"{}\" is not the name of a node: {}", plan.wanted.node_name, reason));
  }
  plan.wanted.groups = decide::GroupsOfNode(!command.no_coordinator);
  if (!command.lifetime.empty()) {
    const Result<Nanoseconds> lifetime = ParseDuration(command.lifetime);
    if (!lifetime) return Wrong(fmt::format("--lifetime \"{}\" is not a duration", command.lifetime));
    plan.wanted.lifetime = std::chrono::floor<Seconds>(*lifetime);
    if (*plan.wanted.lifetime < std::chrono::minutes(10)) {
      return Wrong(fmt::format("--lifetime {} is too short: API servers take 10m or more", command.lifetime));
    }
  }
  plan.state_directory = message.statedirectory();
  plan.kubeconfig = message.kubeconfig().empty() ? kKubeconfig : message.kubeconfig();
  if (!command.force) DAEMONSETD_RETURN_IF_ERROR(CheckUnjoined(plan));
  if (command.admin_kubeconfig.empty()) {
    DAEMONSETD_RETURN_IF_ERROR(PlanBootstrap(command, plan));
    plan.bootstrap_kubeconfig = message.bootstrapkubeconfig();
  } else {
    plan.asks_as = fs::absolute(command.admin_kubeconfig).string();
  }
  PlanDropIn(command, *loaded.config, message.nodename(), plan);
  return plan;
}

}  // namespace daemonsetd::ctl
