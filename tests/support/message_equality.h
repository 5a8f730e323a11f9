// Equality of Kubernetes messages as the API sees it: unset, zero and empty are the same.
#pragma once

#include <google/protobuf/message.h>
#include <gtest/gtest.h>

namespace daemonsetd::testing {

// Clears zero scalars and singular messages that are empty, from the leaves up. Elements of lists and maps stay.
void Normalise(google::protobuf::Message& message);

// Succeeds when both are equal after Normalise; else names each field that differs.
::testing::AssertionResult SameMessage(const google::protobuf::Message& expected,
                                       const google::protobuf::Message& actual);

}  // namespace daemonsetd::testing
