#include "agent/node/node_images.h"

#include <algorithm>
#include <limits>
#include <string>
#include <vector>

#include "agent/decide/node_registration.h"

namespace daemonsetd::node {
namespace {

using Image = ::runtime::v1::Image;
using Names = google::protobuf::RepeatedPtrField<std::string>;

constexpr int kMostNames = 5;

bool HasOneOf(const Image& image, const std::set<std::string>& preferred) {
  const auto is_preferred = [&preferred](const std::string& name) { return preferred.contains(name); };
  return std::any_of(image.repo_digests().begin(), image.repo_digests().end(), is_preferred) ||
         std::any_of(image.repo_tags().begin(), image.repo_tags().end(), is_preferred);
}

void AddNames(const Image& image, const std::set<std::string>& preferred, corev1::ContainerImage& entry) {
  const bool all = image.repo_digests_size() + image.repo_tags_size() <= kMostNames;
  for (const bool first : {true, false}) {
    for (const Names* list : {&image.repo_digests(), &image.repo_tags()}) {
      for (const std::string& name : *list) {
        const bool now = first == (all || preferred.contains(name));
        if (now && !name.empty() && entry.names_size() < kMostNames) entry.add_names(name);
      }
    }
  }
}

// IDs break ties: an order that changes by itself would be a status to write.
bool IsLarger(const Image* a, const Image* b) {
  return a->size() != b->size() ? a->size() > b->size() : a->id() < b->id();
}

}  // namespace

google::protobuf::RepeatedPtrField<corev1::ContainerImage> NodeImages(
    const google::protobuf::RepeatedPtrField<Image>& images, const std::set<std::string>& preferred) {
  std::vector<const Image*> order;
  for (const Image& image : images) {
    if (image.repo_tags_size() + image.repo_digests_size() > 0) order.push_back(&image);
  }
  if (order.size() > decide::kMostNodeImages) {
    std::sort(order.begin(), order.end(), [&preferred](const Image* a, const Image* b) {
      const bool left = HasOneOf(*a, preferred);
      return left != HasOneOf(*b, preferred) ? left : IsLarger(a, b);
    });
    order.resize(decide::kMostNodeImages);
  }
  std::sort(order.begin(), order.end(), IsLarger);

  google::protobuf::RepeatedPtrField<corev1::ContainerImage> result;
  for (const Image* image : order) {
    corev1::ContainerImage& entry = *result.Add();
    AddNames(*image, preferred, entry);
    constexpr std::uint64_t kMost = std::numeric_limits<std::int64_t>::max();
    entry.set_sizebytes(static_cast<std::int64_t>(std::min<std::uint64_t>(image->size(), kMost)));
  }
  return result;
}

}  // namespace daemonsetd::node
