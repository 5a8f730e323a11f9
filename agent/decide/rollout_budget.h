// maxUnavailable and maxSurge as a number of nodes.
#pragma once

#include <cstdint>

#include "agent/model/kubernetes.h"

namespace daemonsetd::decide {

// A number stays as it is; a percentage is taken of `desired` and rounded up, so that it is zero only when written as
// 0% (apimachinery/pkg/util/intstr, roundUp true). What validation refuses (negative, no percent sign) counts as 0.
std::int32_t RoundUpBudget(const intstrv1::IntOrString& budget, std::int32_t desired);

}  // namespace daemonsetd::decide
