// Precompiled: what nearly every file around the event loop reads.
#pragma once

#include <functional>
#include <set>

#include "agent/async/task.h"
#include "agent/async/task_scope.h"
#include "agent/async/timeline.h"
#include "agent/async/wake.h"
#include "agent/base/log.h"
#include "agent/pch/kubernetes.h"
#include "cri.pb.h"
