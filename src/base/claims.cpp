#include "base/claims.h"

#include <fcntl.h>
#include <unistd.h>

#include <cerrno>
#include <chrono>

#include "moefy/base/error.h"

namespace moefy {
namespace {

constexpr const char* kClaim = ".claim-";

}  // namespace

Claims::Claims(std::filesystem::path directory, std::string run)
    : directory_(std::move(directory)), run_(std::move(run)) {}

bool Claims::Take(size_t i) const {
  const std::filesystem::path claim = directory_ / StrCat(i, kClaim, run_);
  const int descriptor = open(claim.c_str(), O_CREAT | O_EXCL | O_WRONLY | O_CLOEXEC, 0666);
  if (descriptor < 0 && errno != EEXIST) throw SystemError(errno, claim, " cannot be made");
  if (descriptor >= 0) close(descriptor);
  return descriptor >= 0;
}

std::string Claims::NewRun() {
  return StrCat(getpid(), "-", std::chrono::system_clock::now().time_since_epoch().count());
}

void Claims::RemoveAll(const std::filesystem::path& directory) {
  std::error_code ignored;
  for (const auto& entry : std::filesystem::directory_iterator(directory, ignored)) {
    if (entry.path().extension().string().starts_with(kClaim)) {
      std::filesystem::remove(entry.path(), ignored);
    }
  }
}

}  // namespace moefy
