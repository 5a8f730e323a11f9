#include "agent/service/status_line.h"

#include <gtest/gtest.h>

namespace daemonsetd::service {
namespace {

TEST(StatusLine, SaysWhatAPersonAsksFirst) {
  EXPECT_EQ(StatusLine({.pods_ready = 12, .pods_desired = 12, .runtime_connected = true, .api_server = "reachable"}),
            "12/12 pods ready; container runtime connected; API server reachable");
  EXPECT_EQ(StatusLine({.runtime_connected = true, .warnings = 1}),
            "0/0 pods ready; container runtime connected; 1 warning, see daemonsetctl get status");
}

TEST(StatusLine, SaysWhatIsMissing) {
  EXPECT_EQ(StatusLine({.pods_desired = 3}), "0/3 pods ready; container runtime not asked yet");
  EXPECT_EQ(StatusLine({.pods_ready = 3,
                        .pods_desired = 3,
                        .runtime_error = "connection refused",
                        .api_server = "not reachable: timeout",
                        .warnings = 2}),
            "3/3 pods ready; container runtime not reachable: connection refused; API server not reachable: timeout; "
            "2 warnings, see daemonsetctl get status");
}

TEST(StatusLine, OneLineIsValidShortAndOne) {
  EXPECT_EQ(OneLine("a\nb\tc\x7f"), "a b c ");
  EXPECT_EQ(OneLine("\xc3"), "\xef\xbf\xbd");
  EXPECT_EQ(OneLine(std::string(400, 'x')), std::string(400, 'x'));
  EXPECT_EQ(OneLine(std::string(401, 'x')), std::string(400, 'x') + "…");
  const std::string wide = "x" + std::string(400, '\xc3');
  EXPECT_TRUE(OneLine(wide).ends_with("\xef\xbf\xbd…"));
}

}  // namespace
}  // namespace daemonsetd::service
