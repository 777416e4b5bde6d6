// The one exception of the project, and how it is made and given context.
// Thread-safety: values, no shared state. Nothing here prints or exits.
#pragma once

#include <stdexcept>
#include <string>
#include <string_view>

#include "moefy/base/strings.h"

namespace moefy {

enum class ErrorKind {
  kUsage,        // an option or a configuration file is wrong
  kInput,        // a file is malformed or not supported
  kSystem,       // disk, permission, memory, device: trying again may help
  kInterrupted,  // the user asked to stop
  kBug,          // moefy itself is wrong
};

class Error : public std::runtime_error {
 public:
  Error(ErrorKind kind, const std::string& message) : std::runtime_error(message), kind_(kind) {}
  ErrorKind kind() const { return kind_; }
  // The same error with "where: " before its message.
  Error In(std::string_view where) const { return {kind_, StrCat(where, ": ", what())}; }

 private:
  ErrorKind kind_;
};

// throw InputError("tensor ", Quoted(name), " has ", got, " elements; expected ", want);
template <typename... Parts>
Error UsageError(const Parts&... parts) {
  return {ErrorKind::kUsage, StrCat(parts...)};
}
template <typename... Parts>
Error InputError(const Parts&... parts) {
  return {ErrorKind::kInput, StrCat(parts...)};
}
// `errno_value`, when not 0, adds the system's own words ("No space left on device").
template <typename... Parts>
Error SystemError(int errno_value, const Parts&... parts) {
  return {ErrorKind::kSystem,
          StrCat(parts..., errno_value ? ": " + SystemMessage(errno_value) : "")};
}

// Runs `body`; an Error that leaves it gets "where: " before its message.
template <typename Body>
auto WithContext(std::string_view where, Body&& body) -> decltype(body()) {
  try {
    return body();
  } catch (const Error& error) {
    throw error.In(where);
  }
}

[[noreturn]] void ThrowBug(const char* condition, const char* file, int line);

}  // namespace moefy

// For mistakes of ours only; input must never be able to reach it.
#define MOEFY_CHECK(condition) \
  ((condition) ? static_cast<void>(0) : ::moefy::ThrowBug(#condition, __FILE__, __LINE__))
