// Precompiled: tests around the event loop.
#pragma once

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "agent/pch/coroutines.h"
