// Result<T>: a value or an Error. Status: success or an Error.
#pragma once

#include <boost/system/result.hpp>

#include "agent/base/error.h"

namespace daemonsetd {

// Called by Result<T>::value() on an error: a broken invariant, since callers test before they read.
[[noreturn]] void throw_exception_from_error(const Error& error, const boost::source_location& location);

template <class T>
using Result = boost::system::result<T, Error>;
using Status = Result<void>;

inline Status Ok() { return Status(boost::system::in_place_value); }

}  // namespace daemonsetd

// Returns the error of `expression` to the caller, if it has one. For functions and coroutines alike.
#define DAEMONSETD_RETURN_IF_ERROR(expression)                         \
  do {                                                                 \
    if (auto status_ = (expression); !status_) return status_.error(); \
  } while (false)
#define DAEMONSETD_CO_RETURN_IF_ERROR(expression)                         \
  do {                                                                    \
    if (auto status_ = (expression); !status_) co_return status_.error(); \
  } while (false)
