#include "agent/base/text.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace daemonsetd {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;

TEST(SplitText, KeepsEmptyPartsButTheLast) {
  EXPECT_THAT(SplitText("", '/'), IsEmpty());
  EXPECT_THAT(SplitText("a", '/'), ElementsAre("a"));
  EXPECT_THAT(SplitText("/a//b/", '/'), ElementsAre("", "a", "", "b"));
  EXPECT_THAT(SplitText("\n", '\n'), ElementsAre(""));
}

}  // namespace
}  // namespace daemonsetd
