// Configuration: a file, and a drop-in after the first NUL.
#include "agent/config/config.h"
#include "tests/fuzz/fuzz.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace daemonsetd;
  const std::string text = testing::Text(data, size);
  const std::size_t end = std::min(text.find('\0'), text.size());
  std::vector<config::Layer> layers = {{.file = "config.yaml", .text = text.substr(0, end)}};
  if (end < text.size()) layers.push_back({.file = "config.d/10-fuzz.conf", .text = text.substr(end + 1)});
  const config::LoadResult result = config::Build(layers, {}, {});
  testing::Require(result.config.has_value() == result.errors.empty(), "a configuration or the reasons why not");
  return 0;
}
