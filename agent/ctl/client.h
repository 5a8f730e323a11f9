// The blocking client of the local interface.
#pragma once

#include <functional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "agent/base/result.h"
#include "agent/base/time_point.h"

namespace daemonsetd::ctl {

// "/v1/logs?namespace=a&pod=b", values percent-encoded; pairs with an empty value are left out.
std::string MakeTarget(std::string_view path, const std::vector<std::pair<std::string, std::string>>& query);

class Client {
 public:
  // `timeout`: for connecting, sending, and each wait for the answer to go on.
  Client(std::string socket_path, Nanoseconds timeout) : socket_path_(std::move(socket_path)), timeout_(timeout) {}

  // The body of a 200. Errors: kRetry nobody listens, kDenied may not connect, kTimeout, kAbsent 404, kInvalid 400;
  // other answers kFatal. The message ends with what to do next.
  Result<std::string> Get(const std::string& target) const;

  // Asks for something to be done. As Get.
  Result<std::string> Post(const std::string& target) const;

  // Hands the body on as it comes, waiting for ever between two pieces, until the agent ends it or `on_data` answers
  // false.
  using OnData = std::function<bool(std::string_view)>;
  Status Stream(const std::string& target, const OnData& on_data) const;

 private:
  Result<std::string> Ask(std::string_view method, const std::string& target, const OnData* on_data) const;

  std::string socket_path_;
  Nanoseconds timeout_;
};

}  // namespace daemonsetd::ctl
