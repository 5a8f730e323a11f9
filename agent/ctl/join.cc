#include "agent/ctl/join.h"

#include <exception>
#include <filesystem>
#include <fstream>
#include <optional>
#include <utility>

#include <fmt/format.h>
#include <fmt/ranges.h>
#include <CLI/CLI.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/io_context.hpp>

#include "agent/async/blocking_pool.h"
#include "agent/async/system_timeline.h"
#include "agent/base/log.h"
#include "agent/base/trouble.h"
#include "agent/ctl/join_plan.h"
#include "agent/decide/node_claim.h"
#include "agent/decide/node_identity.h"
#include "agent/identity/api_session.h"
#include "agent/identity/certificate_files.h"
#include "agent/identity/cluster_info.h"
#include "agent/identity/kubeconfig_file.h"
#include "agent/kube/typed_resources.h"

namespace daemonsetd::ctl {
namespace {

using identity::SigningRequest;

constexpr char kManifests[] = "/usr/share/daemonsetd/kubernetes/";
constexpr Nanoseconds kBetweenLooks = std::chrono::seconds(1);
constexpr int kTries = 5;

constexpr char kFooter[] = R"(
Makes a key, which never leaves this node, asks the API server for a certificate, checks it, and writes the kubeconfig that
the configuration names, or /etc/daemonsetd/kubeconfig. In the cluster it applies nothing and approves, with the
administrator's kubeconfig, its own request. The agent renews the certificate by itself.

With a token, somebody has to approve the request, and the token is kept in the bootstrap kubeconfig, for a certificate that
ran out. An administrator's credentials are not kept. --timeout counts here for the whole wait, 5m when it is not given.

Examples:
  daemonsetctl join --kubeconfig admin.conf
  daemonsetctl join --server https://api.example.com:6443 --ca-file ca.crt --token-file - < token
  daemonsetctl join --server https://api.example.com:6443 --ca-cert-hash sha256:9f86... --token-file - < token
  daemonsetctl join --kubeconfig admin.conf --no-coordinator --dry-run)";

std::string MachineId() {
  std::string id;
  std::ifstream("/etc/machine-id") >> id;
  return id;
}

// Objects of packaging/kubernetes/, one of each file that every cluster needs.
struct Shipped {
  kube::Resource resource;
  std::string name;
};
std::vector<Shipped> ShippedObjects(bool coordinates) {
  constexpr kube::Resource kRoles{"rbac.authorization.k8s.io", "v1", "clusterroles", "ClusterRole", false};
  constexpr kube::Resource kPolicies{"admissionregistration.k8s.io", "v1", "validatingadmissionpolicies",
                                     "ValidatingAdmissionPolicy", false};
  std::vector<Shipped> shipped = {
      {kRoles, "daemonsetd-node"}, {kRoles, "daemonsetd-certificates"}, {kPolicies, "daemonsetd-node-pods"}};
  if (coordinates) shipped.push_back({kRoles, "daemonsetd-coordinator"});
  return shipped;
}

class Joiner {
 public:
  Joiner(const Surroundings& surroundings, const JoinCommand& command, JoinPlan plan, async::Executor executor)
      : out_(surroundings.out), command_(command), plan_(std::move(plan)), executor_(std::move(executor)) {}

  Task<void> Run(Status* result) {
    *result = co_await Steps();
    for (const auto& session : sessions_) co_await session->Close();
  }

 private:
  bool ByAdministrator() const { return !plan_.asks_as.empty(); }

  void Say(const std::string& line) { out_ << line << std::endl; }

  kube::Client& Open(const std::string& kubeconfig) {
    return sessions_.emplace_back(std::make_unique<identity::ApiSession>(executor_, timeline_, pool_, kubeconfig))
        ->client();
  }

  Task<Status> Steps() {
    std::optional<identity::MemoryFile> token;
    if (!ByAdministrator()) {
      const Status made = co_await MakeBootstrapText();
      if (!made) co_return made;
      Result<identity::MemoryFile> file = identity::MemoryFile::Make(bootstrap_text_);
      if (!file) co_return file.error();
      token.emplace(std::move(*file));
    }
    const std::string path = token ? token->path() : plan_.asks_as;
    const Result<kube::Kubeconfig> kubeconfig = identity::ReadKubeconfig(path);
    if (!kubeconfig) co_return kubeconfig.error();
    Result<identity::ClusterAccess> cluster = identity::ReadClusterAccess(*kubeconfig);
    if (!cluster) co_return cluster.error();
    cluster_ = std::move(*cluster);
    Say(fmt::format("node {}: user {}, groups {}, at {}", plan_.wanted.node_name,
                    decide::UserOfNode(plan_.wanted.node_name), fmt::join(plan_.wanted.groups, " and "),
                    cluster_.server));
    kube::Client& client = Open(path);
    if (ByAdministrator()) {
      const Status checked = co_await CheckShipped(&client);
      if (!checked) co_return checked;
    }
    if (command_.dry_run) {
      SayWhatWouldBeDone();
      co_return Ok();
    }
    // Before anybody is asked for anything: a certificate that cannot be kept is of no use.
    const std::string current = identity::CurrentCertificatePath(plan_.state_directory);
    const Status kept = identity::MakePrivateDirectory(std::filesystem::path(current).parent_path().string());
    if (!kept) co_return kept;
    const Result<identity::IssuedCertificate> issued = co_await AskFor(&client);
    if (!issued) co_return issued.error();
    const Status tried = co_await Try(*issued);
    if (!tried) co_return tried;
    const Status written = Write(*issued);
    if (!written) co_return written;
    SayWhatIsNext();
    co_return Ok();
  }

  // The token is in it, so it comes after the authority: no server sees the one that is not known by the other.
  Task<Status> MakeBootstrapText() {
    identity::ClusterAccess cluster{
        .server = kube::ToString(plan_.server), .tls_server_name = "", .authority = plan_.authority};
    if (!plan_.authority_digest.empty()) {
      Result<std::string> authority =
          co_await identity::FetchAuthority(plan_.server, plan_.authority_digest, &timeline_, &pool_);
      if (!authority) co_return authority.error();
      cluster.authority = std::move(*authority);
      Say("the server's authority has the key of the given hash");
    }
    bootstrap_text_ = identity::KubeconfigWithToken(cluster, plan_.token);
    co_return Ok();
  }

  // Said, never applied.
  Task<Status> CheckShipped(kube::Client* client) {
    std::vector<std::string> missing;
    for (const Shipped& shipped : ShippedObjects(!command_.no_coordinator)) {
      const kube::NamespacedName name{"", shipped.name};
      const Result<std::string> object = co_await client->GetJson(shipped.resource, name);
      if (object) continue;
      if (object.error().kind() != ErrorKind::kAbsent) co_return object.error();
      missing.push_back(fmt::format("{} {}", shipped.resource.kind, shipped.name));
    }
    if (missing.empty()) {
      Say("the cluster has the rights and policies of agents");
    } else {
      Say(fmt::format("warning: the cluster lacks {}: as an administrator run: kubectl apply -f {}",
                      fmt::join(missing, ", "), kManifests));
    }
    co_return Ok();
  }

  void SayWhatWouldBeDone() {
    Say("would make a key (EC P-256), which stays on this node");
    Say(fmt::format("would create a CertificateSigningRequest for {}{}", decide::kClientSigner,
                    ByAdministrator() ? " and approve it" : ", and wait until somebody approves it"));
    Say(fmt::format("would write {}", identity::CurrentCertificatePath(plan_.state_directory)));
    for (const std::string& file : {plan_.kubeconfig, plan_.bootstrap_kubeconfig, plan_.drop_in}) {
      if (!file.empty()) Say(fmt::format("would write {}", file));
    }
    Say("nothing was changed (--dry-run)");
  }

  Task<Result<identity::IssuedCertificate>> AskFor(kube::Client* client) {
    Result<SigningRequest> request = SigningRequest::Make(plan_.wanted);
    if (!request) co_return request.error();
    Say("made a key (EC P-256); it stays on this node");
    const Status submitted = co_await request->Submit(client);
    if (!submitted) co_return submitted.error();
    Say(fmt::format("created CertificateSigningRequest {}", request->name()));
    if (ByAdministrator()) {
      const Status approved = co_await request->ApproveIt(client);
      if (!approved) co_return approved.error();
      Say(fmt::format("approved it with the rights of {}", plan_.asks_as));
    } else {
      Say(fmt::format("waiting for approval; as an administrator run: kubectl certificate approve {}",
                      request->name()));
    }
    const MonoTime deadline = timeline_.mono() + command_.timeout;
    bool told = ByAdministrator();
    for (;;) {
      const auto state = co_await request->Look(client);
      if (!state && !IsPassing(state.error())) co_return state.error();
      if (state && *state == SigningRequest::State::kIssued) break;
      if (state && *state == SigningRequest::State::kApproved && !std::exchange(told, true)) Say("it is approved");
      if (timeline_.mono() >= deadline) {
        const bool pending = state && *state == SigningRequest::State::kPending;
        co_return Error(ErrorKind::kFatal,
                        fmt::format("{} {} within {}; its key is gone with this command: run it again{}",
                                    pending ? "nobody approved" : "nobody signed", request->name(),
                                    FormatDuration(command_.timeout),
                                    pending ? "" : ", once kube-controller-manager runs with a signing key"));
      }
      co_await timeline_.SleepFor(kBetweenLooks);
    }
    Result<identity::IssuedCertificate> issued = request->Take(timeline_.Read().wall);
    if (issued) Say(fmt::format("received the certificate, valid until {}", FormatRfc3339(issued->not_after)));
    co_return issued;
  }

  // With the new certificate, from memory: nothing is written that the server does not take.
  Task<Status> Try(identity::IssuedCertificate issued) {
    const auto file =
        identity::MemoryFile::Make(identity::KubeconfigWithText(cluster_, issued.certificate, issued.key));
    if (!file) co_return file.error();
    kube::Client& client = Open(file->path());
    kube::ListOptions list;
    list.field_selector = "metadata.name=" + plan_.wanted.node_name;
    for (int tries = 1;; ++tries) {
      const auto nodes = co_await client.ListObjects(kube::kNodes, "", list);
      if (nodes) {
        Say("the server takes the certificate, and the agent has its rights");
        co_return co_await TellWhoHoldsTheNode(&client, nodes->items);
      }
      const auto& [error, code, retry_after, too_large] = nodes.error();
      if (code == 403) {
        Say(fmt::format(
            "warning: the server takes the certificate, but the agent lacks its rights: as an administrator "
            "run: kubectl apply -f {}",
            kManifests));
        co_return Ok();
      }
      if (!IsPassing(error) || tries == kTries) co_return error.WithContext("the new certificate was tried");
      co_await timeline_.SleepFor(kBetweenLooks);
    }
  }

  // Two agents, or an agent and a kubelet, under one name would undo each other; the agent itself refuses then.
  Task<Status> TellWhoHoldsTheNode(kube::Client* client, std::vector<std::string> items) {
    corev1::Node node;
    const bool there = !items.empty() && node.ParseFromString(items.front());
    const kube::NamespacedName name{decide::kNodeLeaseNamespace, plan_.wanted.node_name};
    const auto lease = co_await client->Get<kube::coordinationv1::Lease>(name);
    const std::string machine = MachineId();
    decide::ClaimMemory memory;
    const decide::NodeClaim claim =
        decide::ClaimNode(there ? &node : nullptr, lease ? &*lease : nullptr, plan_.wanted.node_name,
                          decide::LeaseHolder(plan_.wanted.node_name, machine), machine, timeline_.Read(), memory);
    if (claim.answer == decide::NodeClaim::Answer::kRefused) Say("warning: " + claim.message);
    co_return Ok();
  }

  Status Write(const identity::IssuedCertificate& issued) {
    const std::string current = identity::CurrentCertificatePath(plan_.state_directory);
    const Result<std::string> stored =
        identity::StoreCertificate(plan_.state_directory, issued.certificate, issued.key, timeline_.Read().wall);
    if (!stored) return stored.error();
    Say(fmt::format("wrote {}, and {} names it", *stored, current));
    DAEMONSETD_RETURN_IF_ERROR(WriteFile(plan_.kubeconfig, identity::KubeconfigWithFile(cluster_, current)));
    if (!plan_.bootstrap_kubeconfig.empty()) {
      DAEMONSETD_RETURN_IF_ERROR(WriteFile(plan_.bootstrap_kubeconfig, bootstrap_text_));
    } else if (ByAdministrator()) {
      Say("wrote no bootstrap kubeconfig: an administrator's credentials are not kept");
    }
    if (!plan_.drop_in.empty()) DAEMONSETD_RETURN_IF_ERROR(WriteFile(plan_.drop_in, plan_.drop_in_text));
    return Ok();
  }

  Status WriteFile(const std::string& path, const std::string& text) {
    std::error_code ignored;
    std::filesystem::create_directories(std::filesystem::path(path).parent_path(), ignored);
    DAEMONSETD_RETURN_IF_ERROR(identity::WritePrivateFile(path, text));
    Say(fmt::format("wrote {}", path));
    return Ok();
  }

  void SayWhatIsNext() {
    if (plan_.drop_in.empty()) {
      Say("next: systemctl restart daemonsetd (an agent that runs with this kubeconfig takes the certificate by "
          "itself)");
    } else {
      Say("next: systemctl restart daemonsetd (containers keep running)");
    }
  }

  std::ostream& out_;
  const JoinCommand& command_;
  const JoinPlan plan_;
  async::Executor executor_;
  async::SystemTimeline timeline_;
  async::BlockingPool pool_{1};
  identity::ClusterAccess cluster_;
  std::string bootstrap_text_;  // the kubeconfig to ask with; empty: an administrator's
  std::vector<std::unique_ptr<identity::ApiSession>> sessions_;
};

int Failed(const Surroundings& surroundings, const Error& error) {
  surroundings.err << "error: " << error.message() << '\n';
  return IsPassing(error) ? kExitUnreachable : kExitError;
}

}  // namespace

CLI::App* AddJoin(CLI::App& app, JoinCommand& command) {
  CLI::App* join =
      app.add_subcommand("join", "Make this machine a node of a cluster: give its agent an identity there");
  join->footer(kFooter);
  join->add_option("--kubeconfig", command.admin_kubeconfig,
                   "Of an administrator: the request is made and approved with its rights")
      ->type_name("FILE");
  join->add_option("--server", command.server, "The API server, with a token: https://HOST:PORT")->type_name("URL");
  join->add_option("--token", command.token, "Bootstrap token; others on this machine see it, unlike that of a file")
      ->type_name("TOKEN");
  join->add_option("--token-file", command.token_file, "File with the bootstrap token; -: standard input")
      ->type_name("FILE");
  join->add_option("--ca-file", command.authority_file, "Certificate of the authority that signs the server's")
      ->type_name("FILE");
  join->add_option("--ca-cert-hash", command.authority_hash,
                   "In place of --ca-file: the hash of that authority's key, as kubeadm prints it")
      ->type_name("sha256:HEX");
  join->add_option("--node-name", command.node_name, "Name of the node (default: that of the configuration)")
      ->type_name("NAME");
  join->add_flag("--no-coordinator", command.no_coordinator, "Not among those who may coordinate rolling updates");
  join->add_option("--lifetime", command.lifetime,
                   "How long the certificate is wanted to last; the signer may give less")
      ->type_name("DURATION");
  join->add_option("--config", command.config_file, "The agent's configuration file (default: as daemonsetd's)")
      ->type_name("FILE");
  join->add_option("--config-dir", command.config_directory,
                   "Its directory of drop-in files (default: as daemonsetd's)")
      ->type_name("DIR");
  join->add_flag("--force", command.force, "Replace the identity that this node has");
  join->add_flag("--dry-run", command.dry_run, "Say what would be done, and do nothing");
  return join;
}

int Join(const Surroundings& surroundings, const JoinCommand& command) {
  log::SetLevel(log::LevelFrom("error"));  // each step says itself what happens
  Result<JoinPlan> plan = PlanJoin(command);
  if (!plan) {
    const int code = Failed(surroundings, plan.error());
    return plan.error().kind() == ErrorKind::kInvalid ? kExitUsage : code;
  }
  boost::asio::io_context context(1);
  Joiner joiner(surroundings, command, std::move(*plan), context.get_executor());
  Status result = Error(ErrorKind::kFatal, "joining ended without an answer");
  std::exception_ptr failure;
  boost::asio::co_spawn(context, joiner.Run(&result),
                        [&failure](std::exception_ptr error) { failure = std::move(error); });
  context.run();
  if (failure) std::rethrow_exception(failure);
  return result ? kExitOk : Failed(surroundings, result.error());
}

}  // namespace daemonsetd::ctl
