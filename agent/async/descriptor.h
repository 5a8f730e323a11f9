// An open file descriptor, closed when it goes. Here because every folder that does I/O may use async.
#pragma once

#include <utility>

namespace daemonsetd::async {

class Descriptor {
 public:
  // Negative: none, as from a call that failed.
  explicit Descriptor(int fd = -1) : fd_(fd) {}
  ~Descriptor();
  Descriptor(Descriptor&& other) noexcept : fd_(other.Release()) {}
  Descriptor& operator=(Descriptor&& other) noexcept;

  int get() const { return fd_; }
  explicit operator bool() const { return fd_ >= 0; }
  int Release() { return std::exchange(fd_, -1); }

 private:
  int fd_;
};

}  // namespace daemonsetd::async
