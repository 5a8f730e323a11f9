// What every connection of ours shares: looking a name up, and the words for an error.
#pragma once

#include <string>
#include <vector>

#include "agent/base/result.h"

#include <boost/asio/ip/address.hpp>
#include <boost/system/error_code.hpp>

namespace daemonsetd::async {

// The addresses that the system's resolver knows for `host`, in its order; none is an answer too. Blocks, for seconds
// where a name server is silent. kRetry with the resolver's words.
Result<std::vector<boost::asio::ip::address>> LookUpAddresses(const std::string& host);

// A system error's text in the style of the rest of a line: "connection refused".
std::string ReasonOf(const boost::system::error_code& error);

}  // namespace daemonsetd::async
