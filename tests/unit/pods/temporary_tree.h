// A directory of its own for each test that works on real files and mounts.
#pragma once

#include <gtest/gtest.h>
#include <unistd.h>

#include <string>
#include <string_view>

#include "agent/pods/paths.h"

namespace daemonsetd::pods {

class TemporaryTree : public ::testing::Test {
 protected:
  TemporaryTree();
  // Fails the test when a mount is left beneath the tree; unmounts it and removes the tree.
  ~TemporaryTree() override;

  std::string Path(std::string_view relative) const { return root_ + "/" + std::string(relative); }
  Directories directories() const;
  void Write(const std::string& path, std::string_view content) const;
  std::string Read(const std::string& path) const;
  bool Exists(const std::string& path) const;
  unsigned Mode(const std::string& path) const;  // permission bits

  const std::string root_;
};

}  // namespace daemonsetd::pods

// For tests that mount.
#define DAEMONSETD_NEEDS_ROOT() \
  if (::geteuid() != 0) GTEST_SKIP() << "mounting needs root"
