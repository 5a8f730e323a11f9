// Moments as the API server writes them. Values beyond what nanoseconds since 1970 can hold come out as the nearest.
#pragma once

#include "agent/base/time_point.h"
#include "agent/model/kubernetes.h"

namespace daemonsetd::decide {

metav1::Time ToApiTime(WallTime time);  // whole seconds, as metav1.Time is written
WallTime FromApiTime(const metav1::Time& time);
metav1::MicroTime ToApiMicroTime(WallTime time);
WallTime FromApiMicroTime(const metav1::MicroTime& time);

}  // namespace daemonsetd::decide
