// What the files of a volume made of objects hold: configMap, secret, downwardAPI, projected (pkg/volume/{configmap,
// secret,downwardapi,projected}). Pure: the objects and tokens come in.
#pragma once

#include <map>
#include <set>
#include <string>

#include "agent/base/result.h"
#include "agent/model/kubernetes.h"
#include "agent/pods/env.h"
#include "agent/pods/named_objects.h"
#include "agent/pods/volumes/atomic_files.h"

namespace daemonsetd::pods {

// The token of each serviceAccountToken source of one volume, by its index in projected.sources.
using TokenValues = std::map<int, std::string>;

// A source that is optional and absent gives no files. Errors name the object and the key, never content: kAbsent: the
// object or key does not exist; kRetry, kTimeout: nobody can say; kUnsupported: a source that this agent cannot fill.
Result<WantedFiles> FilesOf(const corev1::Pod& pod, const corev1::Volume& volume, const NamedObjects& objects,
                            const TokenValues& tokens, const PodFacts& facts);

// Where containers mount other volumes inside this one, as paths below it (pkg/volume/util/nested_volumes.go).
std::set<std::string> MountPointsIn(const corev1::PodSpec& spec, const std::string& volume);

// The user that all containers of the pod run as, if there is one: it owns the pod's token files.
std::optional<std::int64_t> UserOfAllContainers(const corev1::PodSpec& spec);

}  // namespace daemonsetd::pods
