// Precompiled: what nearly every file of model and decide reads. Headers that few files need do not belong here.
#pragma once

#include <algorithm>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include <fmt/format.h>

#include "agent/base/result.h"
#include "agent/base/time_point.h"
#include "agent/model/kubernetes.h"
