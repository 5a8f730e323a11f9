#include "agent/pods/cgroups/systemd_slices.h"

namespace daemonsetd::pods {

bool SystemdSlices::HasSet(const std::string& slice, const decide::SliceProperties& properties) {
  const std::lock_guard lock(mutex_);
  const auto found = set_.find(slice);
  return found != set_.end() && found->second == properties;
}

void SystemdSlices::Remember(const std::string& slice, const decide::SliceProperties* properties) {
  const std::lock_guard lock(mutex_);
  if (properties == nullptr) {
    set_.erase(slice);
  } else {
    set_.insert_or_assign(slice, *properties);
  }
}

Status SystemdSlices::Ensure(const decide::CgroupName& name, const decide::CgroupLimits& limits) {
  const std::string slice = decide::SliceName(name);
  const std::string path = PathOf(name);
  const decide::SliceProperties properties = decide::SlicePropertiesOf(limits, tree_->unified());
  const bool there = tree_->Exists(path);
  if (there && HasSet(slice, properties)) return Ok();
  Status done = there ? units_.set(slice, properties) : units_.start(slice, properties);
  if (!there && !done && done.error().kind() == ErrorKind::kExists) done = units_.set(slice, properties);
  // A group that nobody but the kernel knows: somebody made it by hand, or systemd was told to forget it.
  if (there && !done && done.error().kind() == ErrorKind::kAbsent) done = units_.start(slice, properties);
  DAEMONSETD_RETURN_IF_ERROR(std::move(done));
  // The runtime needs it in hierarchies that systemd does not manage, too; huge pages are none of its business.
  DAEMONSETD_RETURN_IF_ERROR(tree_->Make(path));
  if (limits.complete) DAEMONSETD_RETURN_IF_ERROR(tree_->LimitHugepages(path, limits));
  Remember(slice, &properties);
  return Ok();
}

Status SystemdSlices::Remove(const decide::CgroupName& name) {
  const std::string path = PathOf(name);
  if (!tree_->Exists(path)) return Ok();
  const std::string slice = decide::SliceName(name);
  Remember(slice, nullptr);
  // Scopes of containers end with their last process; systemd would wait for a minute and a half.
  tree_->KillAll(path);
  DAEMONSETD_RETURN_IF_ERROR(units_.stop(slice));
  return tree_->Remove(path);
}

Status SystemdSlices::RemoveEmpty(const decide::CgroupName& name) {
  const std::string path = PathOf(name);
  if (!tree_->Exists(path) || tree_->HasProcesses(path)) return Ok();
  const std::string slice = decide::SliceName(name);
  Remember(slice, nullptr);
  DAEMONSETD_RETURN_IF_ERROR(units_.stop(slice));
  return tree_->RemoveEmpty(path);
}

}  // namespace daemonsetd::pods
