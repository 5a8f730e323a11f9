// Brings the images of a DaemonSet's new template to this node while a pod of an older one runs (design.md section 5:
// pull before stop): each template once, in the background, after all pulls that a pod waits for. A pull that fails
// costs nothing: the old pod runs on, and it is tried again. Everything on the loop thread.
#pragma once

#include <functional>
#include <map>
#include <memory>
#include <set>
#include <string>
#include <vector>

#include "agent/async/semaphore.h"
#include "agent/async/task_scope.h"
#include "agent/model/kubernetes.h"
#include "agent/pods/images.h"
#include "agent/pods/pod_services.h"

namespace daemonsetd::cluster {

struct NamedImage {
  std::string name;    // as the pod names it
  std::string policy;  // its pull policy
  bool operator==(const NamedImage&) const = default;
};
// Of init containers, containers and image volumes that containers mount, in the order in which they are needed.
std::vector<NamedImage> ImagesOf(const corev1::PodSpec& spec);
// Under the names that the runtime has for them; those that are no image names are left out.
std::set<std::string> CanonicalNames(const std::vector<NamedImage>& images);

class ImagePrefetch {
 public:
  // What a node waits to run in place of a pod that runs here.
  struct Successor {
    std::string set_uid;
    std::string template_hash;
    corev1::Pod pod;          // as it would be made of the new template
    corev1::Pod predecessor;  // which the Events are about
  };

  // `services` must outlive it. `on_change` is called on the loop when what it tells has changed.
  ImagePrefetch(pods::PodServices& services, std::function<void()> on_change);
  ~ImagePrefetch();
  ImagePrefetch(const ImagePrefetch&) = delete;
  ImagePrefetch& operator=(const ImagePrefetch&) = delete;

  // Fetched, or on the way.
  bool Knows(const std::string& set_uid, const std::string& template_hash) const;
  // In place of what the same set wanted before.
  void Begin(Successor successor);
  // Of other sets nothing is wanted any more. A pull that was started goes on (ImagePuller).
  void KeepOnly(const std::set<std::string>& set_uids);

  // Every image is here.
  bool IsComplete(const std::string& set_uid) const;
  // Why they are not here yet: Kubernetes' word and the runtime's; empty before the first failure.
  std::string ErrorOf(const std::string& set_uid) const;
  // Of how many templates so far every image came here.
  int completed() const { return completed_; }

  // Cancels, and waits for what was cancelled.
  Task<void> Close();

 private:
  struct Entry;

  Task<void> Fetch(std::shared_ptr<Entry> entry);
  Task<pods::PullOutcome> Bring(std::shared_ptr<Entry> entry, NamedImage image);
  void Tell(Entry& entry, const NamedImage& image, const pods::PullOutcome& outcome);
  static void Drop(Entry& entry);

  pods::PodServices& services_;
  std::function<void()> on_change_;
  async::Semaphore places_;
  async::TaskScope scope_;
  std::map<std::string, std::shared_ptr<Entry>> entries_;  // by set UID
  int completed_ = 0;
};

}  // namespace daemonsetd::cluster
