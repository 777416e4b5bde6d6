// Expects that a call throws a moefy::Error of one kind whose message holds a fragment.
#pragma once

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>

#include "moefy/base/error.h"

namespace moefy::tests {

template <typename Body>
void ExpectError(Body&& body, ErrorKind kind, const std::string& fragment) {
  try {
    body();
    ADD_FAILURE() << "nothing was thrown; expected an error with \"" << fragment << "\"";
  } catch (const Error& error) {
    EXPECT_EQ(error.kind(), kind) << error.what();
    EXPECT_THAT(error.what(), ::testing::HasSubstr(fragment));
  }
}

}  // namespace moefy::tests
