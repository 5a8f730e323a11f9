#include "agent/decide/node_lease.h"

#include <algorithm>

#include <fmt/format.h>

#include "agent/base/digest.h"
#include "agent/decide/api_time.h"

namespace daemonsetd::decide {
namespace {

constexpr int kHolderSuffixLength = 8;

void SetOwner(const std::string& node_name, const std::string& node_uid, metav1::ObjectMeta& metadata) {
  // Owners of ours from an earlier Node of this name would have the Lease collected with them.
  auto& owners = *metadata.mutable_ownerreferences();
  for (int i = owners.size(); i-- > 0;) {
    if (owners.Get(i).kind() == "Node" && owners.Get(i).name() == node_name) owners.DeleteSubrange(i, 1);
  }
  if (node_uid.empty()) return;
  metav1::OwnerReference& owner = *owners.Add();
  owner.set_apiversion("v1");
  owner.set_kind("Node");
  owner.set_name(node_name);
  owner.set_uid(node_uid);
}

}  // namespace

std::string LeaseHolder(const std::string& node_name, const std::string& machine_id) {
  return fmt::format("{}_daemonsetd_{}", node_name, SafeSuffix(machine_id, kHolderSuffixLength));
}

LeaseWrite RenewLease(const std::string& node_name, const std::string& node_uid, const std::string& holder,
                      Seconds duration, const coordinationv1::Lease* observed, WallTime now) {
  LeaseWrite write;
  write.kind = observed != nullptr ? LeaseWrite::Kind::kUpdate : LeaseWrite::Kind::kCreate;
  if (observed != nullptr) write.lease = *observed;
  metav1::ObjectMeta& metadata = *write.lease.mutable_metadata();
  metadata.set_name(node_name);
  metadata.set_namespace_(kNodeLeaseNamespace);
  SetOwner(node_name, node_uid, metadata);

  coordinationv1::LeaseSpec& spec = *write.lease.mutable_spec();
  if (spec.holderidentity() != holder) {
    if (!spec.holderidentity().empty()) spec.set_leasetransitions(spec.leasetransitions() + 1);
    spec.set_holderidentity(holder);
    *spec.mutable_acquiretime() = ToApiMicroTime(now);
  }
  spec.set_leasedurationseconds(static_cast<std::int32_t>(duration.count()));
  *spec.mutable_renewtime() = ToApiMicroTime(now);
  return write;
}

MonoTime NextRenewal(std::optional<MonoTime> last_success, MonoTime last_try, int failures, Seconds duration) {
  if (failures > 0) {
    const Nanoseconds doubled = kLeaseRetryInitial * (1 << std::min(failures - 1, 4));
    return last_try + std::min(doubled, kLeaseRetryMaximum);
  }
  return last_success ? *last_success + Nanoseconds(duration) / 2 : last_try;
}

std::string RenewalText(const coordinationv1::Lease* lease) {
  if (lease == nullptr) return {};
  return fmt::format("{}/{}.{}", lease->spec().holderidentity(), lease->spec().renewtime().seconds(),
                     lease->spec().renewtime().nanos());
}

Seconds LeaseDurationOf(const coordinationv1::Lease* lease) {
  constexpr std::int32_t kLongest = 3600;
  if (lease == nullptr || lease->spec().leasedurationseconds() <= 0) return kNodeLeaseDuration;
  return Seconds(std::min(lease->spec().leasedurationseconds(), kLongest));
}

bool NoteLease(const coordinationv1::Lease& lease, LeaseSight& sight, Now now) {
  const Seconds duration = LeaseDurationOf(&lease);
  const std::string renewal = RenewalText(&lease);
  if (sight.first) {
    sight = {.renewal = renewal, .unchanged_since = now.mono, .first = false};
    const WallTime renewed = std::clamp(FromApiMicroTime(lease.spec().renewtime()), now.wall - duration, now.wall);
    if (now.wall - renewed == duration) sight.unchanged_since -= duration;
  } else if (renewal != sight.renewal) {
    sight.renewal = renewal;
    sight.unchanged_since = now.mono;
  }
  return now.mono - sight.unchanged_since >= duration;
}

}  // namespace daemonsetd::decide
