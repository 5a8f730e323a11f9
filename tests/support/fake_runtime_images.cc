// The image calls.
#include <utility>

#include "tests/support/fake_runtime_internal.h"

namespace daemonsetd::testing {
namespace {

// By name or by ID, as runtimes do.
template <class Images>
auto FindImage(Images& images, const std::string& name) {
  auto found = images.find(name);
  if (found != images.end()) return found;
  for (auto it = images.begin(); it != images.end(); ++it) {
    if (it->second.id() == name) return it;
  }
  return images.end();
}

}  // namespace

Task<Result<v1::Image>> FakeRuntime::ImageStatus(v1::ImageSpec image, Nanoseconds timeout) {
  auto response = std::make_shared<v1::Image>();
  const std::string name = image.image();
  Effect look = [this, response, name](const Done& done) {
    const auto found = FindImage(images_, name);
    if (found == images_.end()) {
      return done(CriError(ErrorKind::kAbsent, "ImageStatus", "image " + name + " is not on this node"));
    }
    *response = found->second;
    done(Ok());
  };
  const auto status = co_await Perform("ImageStatus", name, nullptr, timeout, std::move(look));
  if (!status) co_return status.error();
  co_return std::move(*response);
}

Task<Result<std::string>> FakeRuntime::PullImage(v1::PullImageRequest request, Nanoseconds timeout) {
  const auto kept = std::make_shared<const v1::PullImageRequest>(std::move(request));
  const std::string name = kept->image().image();
  auto alarm = std::make_shared<std::unique_ptr<async::Timeline::Alarm>>();
  Effect pull = [this, name, alarm](const Done& done) {
    auto script = pulls_.find(name);
    if (script == pulls_.end()) {
      if (images_.contains(name)) return done(Ok());
      return done(
          CriError(ErrorKind::kAbsent, "PullImage", "failed to pull and unpack image \"" + name + "\": not found"));
    }
    const PullAnswer answer = script->second;
    if (answer.hangs) return;
    *alarm = timeline_.SetAlarm(executor_, timeline_.mono() + answer.takes, [this, name, answer, done] {
      if (answer.error) return done(*answer.error);
      if (!images_.contains(name)) AddImage(name);
      done(Ok());
    });
  };
  const auto status = co_await Perform("PullImage", name, kept, timeout, std::move(pull));
  if (!status) co_return status.error();
  co_return images_.at(name).id();
}

Task<Result<v1::ListImagesResponse>> FakeRuntime::ListImages(v1::ImageFilter filter, Nanoseconds timeout) {
  auto response = std::make_shared<v1::ListImagesResponse>();
  const std::string wanted = filter.image().image();
  Effect look = [this, response](const Done& done) {
    for (const auto& [name, image] : images_) *response->add_images() = image;  // containerd ignores the filter
    done(Ok());
  };
  const auto status = co_await Perform("ListImages", wanted, nullptr, timeout, std::move(look));
  if (!status) co_return status.error();
  co_return std::move(*response);
}

Task<daemonsetd::Status> FakeRuntime::RemoveImage(v1::ImageSpec image, Nanoseconds timeout) {
  return Perform("RemoveImage", image.image(), nullptr, timeout, [this, name = image.image()](const Done& done) {
    const auto found = FindImage(images_, name);
    if (found != images_.end()) images_.erase(found);
    done(Ok());
  });
}

Task<Result<v1::ImageFsInfoResponse>> FakeRuntime::ImageFsInfo(Nanoseconds timeout) {
  auto response = std::make_shared<v1::ImageFsInfoResponse>();
  Effect look = [this, response](const Done& done) {
    auto* usage = response->add_image_filesystems();
    usage->set_timestamp(WallNanoseconds());
    usage->mutable_fs_id()->set_mountpoint(image_root_);
    std::uint64_t bytes = 0;
    for (const auto& [name, image] : images_) bytes += image.size();
    usage->mutable_used_bytes()->set_value(bytes);
    done(Ok());
  };
  const auto status = co_await Perform("ImageFsInfo", "", nullptr, timeout, std::move(look));
  if (!status) co_return status.error();
  co_return std::move(*response);
}

}  // namespace daemonsetd::testing
