// From two samples of the runtime's counters to what each pod's containers use.
#pragma once

#include "cri.pb.h"
#include "status.pb.h"

namespace daemonsetd::decide {

// Of the containers that daemonsetd made.
::runtime::v1::ContainerStatsFilter OurContainers();

// Cores are the difference between the samples. What a runtime counts itself (usage_nano_cores) is an average since
// whoever asked it last, so it only stands in where there are no two counters. What cannot be told stays empty.
// Sorted by namespace and name; the window is left to the caller.
status::v1::UsageList UsageBetween(const ::runtime::v1::ListContainerStatsResponse& first,
                                   const ::runtime::v1::ListContainerStatsResponse& second);

}  // namespace daemonsetd::decide
