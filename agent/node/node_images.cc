#include "agent/node/node_images.h"

#include <algorithm>
#include <limits>
#include <string>
#include <vector>

#include "agent/decide/node_registration.h"

namespace daemonsetd::node {
namespace {

constexpr int kMostNames = 5;

void AddNames(const google::protobuf::RepeatedPtrField<std::string>& from, corev1::ContainerImage& image) {
  for (const std::string& name : from) {
    if (image.names_size() < kMostNames && !name.empty()) image.add_names(name);
  }
}

}  // namespace

google::protobuf::RepeatedPtrField<corev1::ContainerImage> NodeImages(
    const google::protobuf::RepeatedPtrField<::runtime::v1::Image>& images) {
  std::vector<const ::runtime::v1::Image*> order;
  for (const ::runtime::v1::Image& image : images) {
    if (image.repo_tags_size() + image.repo_digests_size() > 0) order.push_back(&image);
  }
  // IDs break ties: an order that changes by itself would be a status to write.
  std::sort(order.begin(), order.end(), [](const auto* a, const auto* b) {
    return a->size() != b->size() ? a->size() > b->size() : a->id() < b->id();
  });
  if (order.size() > decide::kMostNodeImages) order.resize(decide::kMostNodeImages);

  google::protobuf::RepeatedPtrField<corev1::ContainerImage> result;
  for (const ::runtime::v1::Image* image : order) {
    corev1::ContainerImage& entry = *result.Add();
    AddNames(image->repo_digests(), entry);
    AddNames(image->repo_tags(), entry);
    constexpr std::uint64_t kMost = std::numeric_limits<std::int64_t>::max();
    entry.set_sizebytes(static_cast<std::int64_t>(std::min<std::uint64_t>(image->size(), kMost)));
  }
  return result;
}

}  // namespace daemonsetd::node
