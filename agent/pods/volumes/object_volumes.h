// The volumes that only the agent fills, from objects: configMap, secret, downwardAPI, projected. What is secret lives
// in memory only, and goes with a reboot (VO-06).
#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "agent/base/result.h"
#include "agent/model/kubernetes.h"
#include "agent/pods/paths.h"
#include "agent/pods/volumes/atomic_files.h"

namespace daemonsetd::pods {

inline constexpr std::string_view kSecretPlugin = "kubernetes.io~secret";
inline constexpr std::string_view kProjectedPlugin = "kubernetes.io~projected";

struct ObjectVolume {
  std::string_view plugin;  // the kubelet's directory
  bool in_memory;           // a tmpfs of its own, never swapped out where the kernel can do that
};

// Unset: a volume of another kind.
std::optional<ObjectVolume> FindObjectVolume(const corev1::VolumeSource& source);

// Makes the volume's directory and mounts its memory, where that is not done already. Blocks.
Status PrepareObjectVolume(const ObjectVolume& kind, const std::string& path);

// Prepares the volume and writes its files. Without `files`, those of an earlier time must be there: kRetry otherwise.
// Blocks.
Status SetUpObjectVolume(const PodPaths& paths, const corev1::Volume& volume, const WantedFiles* files, WallTime now);

}  // namespace daemonsetd::pods
