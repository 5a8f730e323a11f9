// Precompiled: tests of pure decisions.
#pragma once

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "agent/pch/kubernetes.h"
