#include "agent/config/reference.h"

#include <fmt/format.h>

namespace daemonsetd::config {
namespace {

constexpr Key kKeys[] = {
    {.path = "nodeName",
     .form = Form::kNodeName,
     .default_words = "the lower-cased host name",
     .change = Change::kRestart,
     .sample = "node-1",
     .doc = "Name of this node: a DNS-1123 subdomain."},
    {.path = "nodeLabels",
     .form = Form::kLabels,
     .default_words = "none",
     .change = Change::kReloadable,
     .sample = "{topology.kubernetes.io/zone: zone-a}",
     .doc = "Labels of the node besides kubernetes.io/hostname, os and arch, which come from the machine."},
    {.path = "nodeTaints",
     .form = Form::kTaints,
     .default_words = "daemonsetd.dev/daemonsets-only:NoSchedule; none with podSource bound-all",
     .change = Change::kReloadable,
     .sample = "[{key: daemonsetd.dev/daemonsets-only, effect: NoSchedule}]",
     .doc = "Taints of the node. Pods of DaemonSets tolerate the default one by themselves; [] means no "
            "taint."},
    {.path = "nodeIPs",
     .form = Form::kAddresses,
     .default_words = "those of the interface of the default route",
     .change = Change::kRestart,
     .sample = "[192.0.2.10]",
     .doc = "Addresses to report, at most one IPv4 and one IPv6; the first is the primary one."},
    {.path = "nodeAllocatable",
     .form = Form::kResources,
     .default_words = "none",
     .change = Change::kReloadable,
     .sample = "{example.com/device: 2}",
     .doc = "Resources that pods may request, in place of capacity minus the reserved ones; also announces "
            "extended resources."},
    {.path = "systemReserved",
     .form = Form::kReserved,
     .default_words = "none",
     .change = Change::kReloadable,
     .sample = "{cpu: 100m, memory: 200Mi, ephemeral-storage: 1Gi}",
     .doc = "Resources kept for the system: subtracted from capacity (cpu, memory, ephemeral-storage)."},
    {.path = "kubeReserved",
     .form = Form::kReserved,
     .default_words = "none",
     .change = Change::kReloadable,
     .sample = "{cpu: 50m, memory: 100Mi}",
     .doc = "Resources kept for containerd and the agent: subtracted like systemReserved."},
    {.path = "maxPods",
     .form = Form::kCount,
     .default_text = "110",
     .change = Change::kReloadable,
     .least = "1",
     .most = "10000",
     .doc = "How many pods may run on the node."},
    {.path = "kubeconfig",
     .form = Form::kOptionalPath,
     .default_words = "none",
     .change = Change::kRestart,
     .sample = "/etc/daemonsetd/kubeconfig",
     .doc = "Kubeconfig of this node's identity at the API server. Without it only manifests run. The file is read "
            "again when it changes."},
    {.path = "certificateRotation",
     .form = Form::kFlag,
     .default_text = "true",
     .change = Change::kRestart,
     .doc = "Replace the client certificate that daemonsetctl join made, at 70 to 90 % of its lifetime, or through the "
            "bootstrap kubeconfig once it has run out. Another certificate is left alone."},
    {.path = "bootstrapKubeconfig",
     .form = Form::kOptionalPath,
     .default_text = "/etc/daemonsetd/bootstrap-kubeconfig",
     .change = Change::kRestart,
     .doc = "Kubeconfig with the token that a node without a valid certificate asks for one with; it need not exist."},
    {.path = "certificateApprover",
     .form = Form::kChoice,
     .default_text = "none",
     .change = Change::kRestart,
     .choices = "none renewals all",
     .doc =
         "Approve the requests of agents for certificates: none; renewals: of agents for their own; all: and those of "
         "bootstrap tokens for nodes that nobody alive holds. For control plane nodes; "
         "packaging/kubernetes/50-approver.yaml says why."},
    {.path = "podSource",
     .form = Form::kChoice,
     .default_text = "local",
     .change = Change::kRestart,
     .choices = "local bound bound-all",
     .doc = "Which pods of the API server run here. local: this agent makes the pods of DaemonSets that belong on this "
            "node; bound: others make and bind them, the agent runs the DaemonSet pods bound to this node; bound-all: "
            "and every other pod bound to it."},
    {.path = "registerNode",
     .form = Form::kFlag,
     .default_text = "true",
     .change = Change::kRestart,
     .doc = "Create and keep the Node object and its Lease."},
    {.path = "nodeLeaseDuration",
     .form = Form::kDuration,
     .default_text = "40s",
     .change = Change::kRestart,
     .least = "10s",
     .most = "10m",
     .doc = "How long this node counts as alive after its Lease was last renewed; renewed every half (duration)."},
    {.path = "apiServerStartWait",
     .form = Form::kDuration,
     .default_text = "5s",
     .change = Change::kRestart,
     .least = "0s",
     .most = "10m",
     .doc = "At start, how long to wait for the API server before pods start from the checkpoint (duration)."},
    {.path = "rolloutCoordinator",
     .form = Form::kFlag,
     .default_text = "true",
     .change = Change::kRestart,
     .doc = "Take part in the election of the agent that coordinates rolling updates and writes the status of "
            "DaemonSets, where the node's identity has the rights and podSource is local. A few nodes of a cluster are "
            "enough; none means that updates and status wait."},
    {.path = "rolloutShards",
     .form = Form::kCount,
     .default_text = "1",
     .change = Change::kRestart,
     .least = "1",
     .most = "64",
     .doc = "Over how many coordinators the DaemonSets of the cluster are spread. The same on every node."},
    {.path = "rolloutProgressDeadline",
     .form = Form::kDuration,
     .default_text = "10m",
     .change = Change::kRestart,
     .least = "10s",
     .most = "24h",
     .doc = "How long a rolling update may go without updating a node before it is reported as stuck (duration)."},
    {.path = "checkpointSecrets",
     .form = Form::kFlag,
     .default_text = "true",
     .change = Change::kRestart,
     .doc = "Keep the Secrets that hosted pods name in the state directory (mode 0600), so that pods can start while "
            "the API server is away."},
    {.path = "manifestDirectory",
     .form = Form::kPath,
     .default_text = "/etc/daemonsetd/manifests",
     .change = Change::kRestart,
     .doc = "Directory of DaemonSet and Pod manifests (*.yaml, *.yml, *.json)."},
    {.path = "fileCheckFrequency",
     .form = Form::kDuration,
     .default_text = "20s",
     .change = Change::kReloadable,
     .least = "0s",
     .most = "24h",
     .doc = "How often the directory, and sockets of the host that pods mount, are looked at although no change was "
            "announced "
            "(duration; 0s: never)."},
    {.path = "runtimeEndpoint",
     .form = Form::kEndpoint,
     .default_text = "unix:///run/containerd/containerd.sock",
     .change = Change::kRestart,
     .doc = "CRI socket, unix:///path. The environment variable CONTAINER_RUNTIME_ENDPOINT is used when the "
            "key is not set."},
    {.path = "imageServiceEndpoint",
     .form = Form::kEndpoint,
     .default_words = "the same as runtimeEndpoint",
     .change = Change::kRestart,
     .sample = "unix:///run/containerd/containerd.sock",
     .doc = "CRI socket of the image service."},
    {.path = "runtimeRequestTimeout",
     .form = Form::kDuration,
     .default_text = "2m",
     .change = Change::kRestart,
     .least = "1s",
     .most = "1h",
     .doc = "Limit for one call to the runtime, except image pulls and the grace period of a stop "
            "(duration)."},
    {.path = "imagePullTimeout",
     .form = Form::kDuration,
     .default_text = "1h",
     .change = Change::kRestart,
     .least = "10s",
     .most = "168h",
     .doc = "Limit for one image pull (duration). Stalled downloads are cut earlier by containerd's own "
            "image_pull_progress_timeout; layers that are complete are kept for the next try."},
    {.path = "maxParallelImagePulls",
     .form = Form::kCount,
     .default_text = "4",
     .change = Change::kRestart,
     .least = "1",
     .most = "1000",
     .doc = "How many images are pulled at once."},
    {.path = "maxParallelPodStarts",
     .form = Form::kCount,
     .default_text = "4",
     .change = Change::kRestart,
     .least = "1",
     .most = "1000",
     .doc = "How many pods are started or stopped at once."},
    {.path = "runtimePollInterval",
     .form = Form::kDuration,
     .default_text = "200ms",
     .change = Change::kRestart,
     .least = "10ms",
     .most = "1m",
     .doc = "How often the runtime is listed while something is under way and it sends no events (duration)."},
    {.path = "runtimeIdlePollInterval",
     .form = Form::kDuration,
     .default_text = "2s",
     .change = Change::kRestart,
     .least = "100ms",
     .most = "10m",
     .doc = "How often the runtime is listed while nothing is under way and it sends no events (duration)."},
    {.path = "cgroupDriver",
     .form = Form::kChoice,
     .default_text = "auto",
     .change = Change::kRestart,
     .choices = "auto systemd cgroupfs",
     .doc = "Who makes control groups: systemd, cgroupfs, or auto to ask the runtime."},
    {.path = "cgroupRoot",
     .form = Form::kPath,
     .default_text = "/",
     .change = Change::kRestart,
     .doc = "Control group under which the pods' groups are made."},
    {.path = "imageCredentialsFile",
     .form = Form::kOptionalPath,
     .default_words = "none",
     .change = Change::kRestart,
     .sample = "/etc/daemonsetd/image-credentials.json",
     .doc = "Credentials for pulling images, in Docker's config.json format (\"auths\"; keys as the kubelet matches "
            "them). Read again when the file changes."},
    {.path = "podRoot",
     .form = Form::kPath,
     .default_text = "/var/lib/kubelet",
     .change = Change::kRestart,
     .doc = "Root of the pods' directories; many DaemonSets mount paths under /var/lib/kubelet by name."},
    {.path = "stateDirectory",
     .form = Form::kPath,
     .default_text = "/var/lib/daemonsetd",
     .change = Change::kRestart,
     .doc = "The agent's own state."},
    {.path = "logDirectory",
     .form = Form::kPath,
     .default_text = "/var/log/pods",
     .change = Change::kRestart,
     .doc = "Container logs, as <namespace>_<pod>_<uid>/<container>/<attempt>.log."},
    {.path = "containerLogDirectory",
     .form = Form::kPath,
     .default_text = "/var/log/containers",
     .change = Change::kRestart,
     .doc = "Links to container logs under the names that log collectors expect."},
    {.path = "socketPath",
     .form = Form::kSocketPath,
     .default_text = "/run/daemonsetd/daemonsetd.sock",
     .change = Change::kRestart,
     .doc = "Unix socket that daemonsetctl talks to."},
    {.path = "socketGroup",
     .form = Form::kGroup,
     .default_text = "daemonsetd",
     .change = Change::kRestart,
     .doc = "Group that may use the socket besides root; \"\" means root alone."},
    {.path = "crashLoopBackOff.initial",
     .form = Form::kDuration,
     .default_text = "10s",
     .change = Change::kReloadable,
     .least = "100ms",
     .most = "1h",
     .doc = "First wait; doubled after each further failure (duration)."},
    {.path = "crashLoopBackOff.max",
     .form = Form::kDuration,
     .default_text = "5m",
     .change = Change::kReloadable,
     .least = "1s",
     .most = "1h",
     .doc = "Longest wait (duration)."},
    {.path = "crashLoopBackOff.reset",
     .form = Form::kDuration,
     .default_text = "10m",
     .change = Change::kReloadable,
     .least = "1s",
     .most = "24h",
     .doc = "A container that ran this long before it ended starts again at the first wait (duration)."},
    {.path = "resolvConf",
     .form = Form::kPath,
     .default_text = "/etc/resolv.conf",
     .change = Change::kRestart,
     .doc = "Resolver configuration that pods with dnsPolicy Default get, and the search list of "
            "ClusterFirst. Where systemd-resolved runs, set /run/systemd/resolve/resolv.conf."},
    {.path = "clusterDNS",
     .form = Form::kAddresses,
     .default_words = "none",
     .change = Change::kRestart,
     .sample = "[10.96.0.10]",
     .doc = "Name servers for pods with dnsPolicy ClusterFirst; without any, those pods get resolvConf."},
    {.path = "clusterDomain",
     .form = Form::kDomain,
     .default_text = "cluster.local",
     .change = Change::kRestart,
     .doc = "DNS domain of the cluster; names the search domains of ClusterFirst."},
    {.path = "seccompDefault",
     .form = Form::kFlag,
     .default_text = "false",
     .change = Change::kRestart,
     .doc = "Pods that name no seccomp profile get RuntimeDefault instead of Unconfined."},
    {.path = "seccompProfileRoot",
     .form = Form::kPath,
     .default_text = "/var/lib/kubelet/seccomp",
     .change = Change::kRestart,
     .doc = "Directory of seccomp profiles of type Localhost."},
    {.path = "allowedUnsafeSysctls",
     .form = Form::kSysctls,
     .default_words = "none",
     .change = Change::kRestart,
     .sample = "[\"net.core.*\", kernel.msgmax]",
     .doc = "Sysctls that pods may set besides the safe ones; \"*\" at the end stands for any rest. A pod with another "
            "one is refused (SysctlForbidden)."},
    {.path = "runtimeClasses",
     .form = Form::kRuntimeClasses,
     .default_words = "none",
     .change = Change::kRestart,
     .sample = "[{name: kata, handler: kata, overhead: {memory: 120Mi}}]",
     .doc =
         "RuntimeClasses that pods may name, besides the API server's and before them: handler is the runtime's word "
         "for it, overhead what a pod costs besides its containers."},
    {.path = "userNamespaceFirstID",
     .form = Form::kCount,
     .default_text = "65536",
     .change = Change::kRestart,
     .least = "65536",
     .most = "2147418112",
     .doc =
         "First ID on the node of those that pods with hostUsers: false get, 65536 for each of maxPods: a multiple of "
         "65536, beyond the IDs that the node uses itself."},
    {.path = "singleProcessOOMKill",
     .form = Form::kFlag,
     .default_text = "false",
     .change = Change::kRestart,
     .doc = "With cgroup v2, memory that runs out ends only the process that the kernel chooses, not the container's "
            "whole tree. With cgroup v1 it always does."},
    {.path = "containerLogMaxSize",
     .form = Form::kSize,
     .default_text = "10Mi",
     .change = Change::kReloadable,
     .least = "16Ki",
     .most = "1Ti",
     .doc = "A container's log that is larger is set aside and a new one begun. What a container writes between two "
            "looks comes on top (quantity)."},
    {.path = "containerLogMaxFiles",
     .form = Form::kCount,
     .default_text = "5",
     .change = Change::kReloadable,
     .least = "2",
     .most = "1000",
     .doc = "How many log files of one container are kept, the present one and those of earlier runs among them; all "
            "that were set aside but the newest are compressed."},
    {.path = "containerLogMonitorInterval",
     .form = Form::kDuration,
     .default_text = "10s",
     .change = Change::kReloadable,
     .least = "1s",
     .most = "1h",
     .doc = "How often the sizes of logs are looked at; those that grow fast more often (duration)."},
    {.path = "containerLogMaxWorkers",
     .form = Form::kCount,
     .default_text = "1",
     .change = Change::kRestart,
     .least = "1",
     .most = "64",
     .doc = "How many log files are compressed at once."},
    {.path = "imageGCHighThresholdPercent",
     .form = Form::kCount,
     .default_text = "85",
     .change = Change::kRestart,
     .least = "1",
     .most = "100",
     .doc = "How full, in percent, the file system of the images may become before the images that were not used "
            "for longest are removed; 100: never."},
    {.path = "imageGCLowThresholdPercent",
     .form = Form::kCount,
     .default_text = "80",
     .change = Change::kRestart,
     .least = "0",
     .most = "99",
     .doc = "Down to how full, in percent, it is then brought."},
    {.path = "imageMinimumGCAge",
     .form = Form::kDuration,
     .default_text = "2m",
     .change = Change::kRestart,
     .least = "0s",
     .most = "8760h",
     .doc = "Images that came later than this ago stay (duration)."},
    {.path = "imageGCPeriod",
     .form = Form::kDuration,
     .default_text = "1m",
     .change = Change::kRestart,
     .least = "1s",
     .most = "24h",
     .doc = "How often the images and their file system are looked at (duration)."},
    {.path = "pinnedImages",
     .form = Form::kImages,
     .default_words = "none",
     .change = Change::kRestart,
     .sample = "[\"registry.k8s.io/pause:*\", \"quay.io/team/agent:v1\"]",
     .doc = "Images that are never removed, besides those in use, the pause image, those that pods of this node "
            "need and those that the runtime pins; \"*\" at the end stands for any rest."},
    {.path = "imagePullProgressTimeout",
     .form = Form::kDuration,
     .default_text = "5m",
     .change = Change::kRestart,
     .least = "0s",
     .most = "24h",
     .doc = "A pull is given up and tried again when for this long nothing of any image came to the disk "
            "(duration; 0s: only imagePullTimeout counts). Where the files of the runtime cannot be seen, only "
            "imagePullTimeout counts."},
    {.path = "metricsBindAddress",
     .form = Form::kListenAddress,
     .default_words = "none: the Unix socket alone",
     .change = Change::kRestart,
     .sample = "127.0.0.1:10249",
     .doc =
         "Address and port where /metrics, /livez and /readyz are served besides the Unix socket, for a Prometheus. "
         "Without TLS, and to everybody who reaches it: the names of the node's pods and DaemonSets are in there, so "
         "choose an address that only your monitoring reaches."},
    {.path = "logging.format",
     .form = Form::kChoice,
     .default_text = "text",
     .change = Change::kRestart,
     .choices = "text json",
     .doc = "text or json."},
    {.path = "logging.level",
     .form = Form::kChoice,
     .default_text = "info",
     .change = Change::kReloadable,
     .choices = "debug info warning error",
     .doc = "debug, info, warning or error."},
    {.path = "shutdownTimeout",
     .form = Form::kDuration,
     .default_text = "10s",
     .change = Change::kRestart,
     .least = "0s",
     .most = "10m",
     .doc = "How long a stopping agent waits for calls under way before it leaves them to the next start; "
            "containers keep running (duration)."},
    {.path = "shutdownGracePeriod",
     .form = Form::kDuration,
     .default_text = "30s",
     .change = Change::kRestart,
     .least = "0s",
     .most = "1h",
     .doc = "How long a shutdown of the machine waits for this node's pods, through systemd-logind; they stop in the "
            "order of their priority (duration; 0s: it does not wait)."},
    {.path = "shutdownGracePeriodCriticalPods",
     .form = Form::kDuration,
     .default_text = "10s",
     .change = Change::kRestart,
     .least = "0s",
     .most = "1h",
     .doc = "The part of it that is kept for critical pods, which stop last (duration)."},
};

constexpr std::size_t kWidth = 100;

std::string Wrapped(std::string_view text, std::string_view indent) {
  std::string out;
  std::string line;
  const auto flush = [&] {
    if (!line.empty()) out += fmt::format("{}# {}\n", indent, line);
    line.clear();
  };
  while (!text.empty()) {
    const std::size_t end = text.find(' ');
    const std::string_view word = text.substr(0, end);
    if (line.size() + word.size() + 3 > kWidth) flush();
    if (!line.empty()) line += ' ';
    line += word;
    text.remove_prefix(end == std::string_view::npos ? text.size() : end + 1);
  }
  flush();
  return out;
}

std::string_view DefaultOf(const Key& key) { return key.default_text.empty() ? key.default_words : key.default_text; }

// What a person writes for it.
std::string TypeOf(const Key& key) {
  switch (key.form) {
    case Form::kNodeName: return "DNS-1123 subdomain";
    case Form::kLabels: return "map of label to value";
    case Form::kTaints: return "list of taints";
    case Form::kAddresses: return "list of IP addresses";
    case Form::kResources: return "map of resource to quantity";
    case Form::kReserved: return "map of cpu, memory and ephemeral-storage to quantity";
    case Form::kCount: return "whole number";
    case Form::kPath: return "absolute path";
    case Form::kOptionalPath: return "absolute path or \"\"";
    case Form::kSocketPath: return "absolute path of a socket";
    case Form::kEndpoint: return "unix:///PATH";
    case Form::kListenAddress: return "IP:PORT or \"\"";
    case Form::kDuration: return "duration";
    case Form::kSize: return "quantity of bytes";
    case Form::kChoice: return fmt::format("one of: {}", key.choices);
    case Form::kGroup: return "name of a group or \"\"";
    case Form::kDomain: return "DNS domain";
    case Form::kSysctls: return "list of sysctls";
    case Form::kImages: return "list of images";
    case Form::kRuntimeClasses: return "list of RuntimeClasses";
    case Form::kFlag: return "true or false";
  }
  return {};
}

std::string WordsOf(const Key& key) {
  std::string words = fmt::format("{} Default: {}.", key.doc, DefaultOf(key));
  if (key.form == Form::kCount || key.form == Form::kDuration || key.form == Form::kSize)
    words += fmt::format(" From {} to {}.", key.least, key.most);
  words += key.change == Change::kReloadable ? " Reloadable." : " Restart.";
  return words;
}

}  // namespace

std::span<const Key> Reference() { return kKeys; }

const Key* FindKey(std::string_view path) {
  for (const Key& key : kKeys) {
    if (key.path == path) return &key;
  }
  return nullptr;
}

std::string DocumentedDefaults() {
  std::string out = fmt::format(
      "# Configuration of daemonsetd. A key that is commented out has the value shown, or is an example where the\n"
      "# default is not a value. Files in config.d/*.conf are merged over this one, in the order of their names.\n"
      "# \"Reloadable\": takes effect on `systemctl reload daemonsetd`. \"Restart\": at the next start of the agent,\n"
      "# which touches no running container. Check a change with `daemonsetd --check-config`.\n"
      "apiVersion: {}\n"
      "kind: {}\n",
      kApiVersion, kKind);
  std::string_view group;
  for (const Key& key : kKeys) {
    const std::size_t dot = key.path.find('.');
    const bool nested = dot != std::string_view::npos;
    const std::string_view parent = nested ? key.path.substr(0, dot) : std::string_view();
    if (!nested || parent != group) out += '\n';
    if (nested && parent != group) out += fmt::format("#{}:\n", parent);
    group = parent;
    const std::string_view name = nested ? key.path.substr(dot + 1) : key.path;
    const std::string_view value = key.default_text.empty() ? key.sample : key.default_text;
    out += Wrapped(WordsOf(key), nested ? "#  " : "");
    out += fmt::format("#{}{}: {}\n", nested ? "  " : "", name, value);
  }
  return out;
}

std::string ReferenceTable() {
  std::string out;
  for (const Key& key : kKeys) {
    out += fmt::format("{}\t{}\t{}\t{}\t{}\t{}\t{}\n", key.path, TypeOf(key), DefaultOf(key), key.least, key.most,
                       key.change == Change::kReloadable ? "reloadable" : "restart", key.doc);
  }
  return out;
}

}  // namespace daemonsetd::config
