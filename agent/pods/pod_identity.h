// Who a pod belongs to. Written on its sandbox, so that any later agent finds the owner without a record of its own.
// A pod that no DaemonSet owns is its own owner, of kind "Pod".
#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include "agent/decide/observed.h"
#include "agent/model/kubernetes.h"

namespace daemonsetd::pods {

struct PodIdentity {
  std::string owner_kind;  // "DaemonSet" or "Pod"
  std::string owner_name;
  std::string owner_uid;
  std::string template_hash;
  std::string restart_hash;  // empty where the sandbox was made before it was written
  int hash_version = 0;
  std::uint32_t sequence = 0;
  bool from_api_server = false;  // asked for by an object there, not by a manifest of this node
  // Of the Pod object that it stands for; empty: there was none yet. Kept in the checkpoint, not on the sandbox.
  std::string object_uid;

  // Empty: no DaemonSet owns it.
  std::string daemon_set_uid() const { return owner_kind == "DaemonSet" ? owner_uid : std::string(); }
};

void WriteIdentity(const PodIdentity& identity, ::runtime::v1::PodSandboxConfig& config);

// From the newest sandbox; unset where our annotations are missing or damaged.
std::optional<PodIdentity> ReadIdentity(const decide::ObservedPod& observed);

// A Pod with what the runtime knows: names, UID, container names, grace period. Enough to stop it, not to run it.
corev1::Pod PodFromRuntime(const decide::ObservedPod& observed);

}  // namespace daemonsetd::pods
