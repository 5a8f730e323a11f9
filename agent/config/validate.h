// What a configuration may say. Pure: no file is looked at.
#pragma once

#include <string>
#include <vector>

#include "agent/config/fields.h"

namespace daemonsetd::config {

struct Problem {
  std::string key;      // "nodeTaints[0].effect"
  std::string message;  // what is wrong and what to do
  std::string other;    // the second key of a problem between two, who is to blame when nobody wrote the first
};

// Every problem of a message whose defaults are filled in.
std::vector<Problem> Validate(const Message& message);

}  // namespace daemonsetd::config
