// EXPECT_ERROR(kind, fragments, statement): the statement throws a moefy::Error of that kind whose
// message holds every fragment.
#pragma once

#include <gtest/gtest.h>

#include <initializer_list>
#include <string>
#include <string_view>

#include "moefy/base/error.h"

namespace moefy::tests {

inline const char* KindName(ErrorKind kind) {
  switch (kind) {
    case ErrorKind::kUsage:
      return "kUsage";
    case ErrorKind::kInput:
      return "kInput";
    case ErrorKind::kSystem:
      return "kSystem";
    case ErrorKind::kInterrupted:
      return "kInterrupted";
    case ErrorKind::kBug:
      return "kBug";
  }
  return "?";
}

template <typename Body>
void ExpectError(ErrorKind kind, std::initializer_list<std::string_view> fragments, Body&& body) {
  try {
    body();
  } catch (const Error& error) {
    const std::string_view message = error.what();
    EXPECT_STREQ(KindName(error.kind()), KindName(kind)) << message;
    for (std::string_view fragment : fragments) {
      EXPECT_NE(message.find(fragment), std::string_view::npos)
          << "no \"" << fragment << "\" in: " << message;
    }
    return;
  } catch (const std::exception& other) {
    ADD_FAILURE() << "not a moefy::Error: " << other.what();
    return;
  }
  ADD_FAILURE() << "nothing was thrown";
}

}  // namespace moefy::tests
