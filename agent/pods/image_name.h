// Image names as the registries' clients read them (distribution/reference). Pure.
#pragma once

#include <string>
#include <string_view>

#include "agent/base/result.h"

namespace daemonsetd::pods {

struct ImageName {
  std::string registry;    // "docker.io" when the name has none
  std::string repository;  // "library/busybox"
  std::string tag;         // "latest" when there is neither tag nor digest
  std::string digest;      // "sha256:..."; empty when the name has none

  // The name that means the same to every runtime. With a digest the tag says nothing and is left out.
  std::string Canonical() const;
};

// kInvalid, naming the part that is wrong.
Result<ImageName> ParseImageName(std::string_view name);
// Canonical(), or the text as it is where that is no name of an image.
std::string CanonicalImageName(const std::string& name);

}  // namespace daemonsetd::pods
