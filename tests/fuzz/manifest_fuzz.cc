// Manifest files: decoding, defaulting, validation, and the hash of what was accepted.
#include "agent/decide/daemon_pod.h"
#include "agent/manifests/reader.h"
#include "tests/fuzz/fuzz.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace daemonsetd;
  const manifests::FileObjects objects = manifests::ReadManifest("fuzz.yaml", testing::Text(data, size), "node");
  for (const auto& source : objects.daemon_sets) {
    const std::string json = model::EncodeJson(source.object, "apps/v1", "DaemonSet");
    appsv1::DaemonSet again;
    testing::Require(model::DecodeObject(json, again).has_value(), "what was encoded is decoded");
    testing::Require(
        decide::TemplateHash(source.object.spec().template_()) == decide::TemplateHash(again.spec().template_()),
        "a round trip keeps the hash");
  }
  return 0;
}
