#include "base/memory_limit.h"

#include <sys/resource.h>

#include <algorithm>
#include <cerrno>
#include <charconv>
#include <cmath>
#include <utility>

#include "moefy/base/error.h"

namespace moefy {
namespace {

// What the program takes before it computes: libraries, threads and their buffers.
constexpr uint64_t kProgramBytes = 200'000'000;

constexpr std::pair<std::string_view, double> kUnits[] = {{"", 1},     {"B", 1},    {"KB", 1e3},
                                                          {"MB", 1e6}, {"GB", 1e9}, {"TB", 1e12}};

}  // namespace

uint64_t ParseMemory(const std::string& text, const char* option) {
  double number = 0;
  const char* const end = text.data() + text.size();
  const auto [rest, error] = std::from_chars(text.data(), end, number);
  if (error == std::errc() && std::isfinite(number)) {
    std::string unit = Trim(std::string_view(rest, end));
    for (char& c : unit) c = static_cast<char>(c >= 'a' && c <= 'z' ? c - 'a' + 'A' : c);
    for (const auto& [name, factor] : kUnits) {
      const double num_bytes = number * factor;
      if (unit != name || num_bytes > 1e18) continue;
      if (num_bytes >= static_cast<double>(kProgramBytes)) return static_cast<uint64_t>(num_bytes);
      throw UsageError("--", option, " is ", text, "; the program alone takes up to ",
                       FormatBytes(kProgramBytes));
    }
  }
  throw UsageError("--", option, " is ", Quoted(text), "; expected a size like 6GB");
}

void LimitMemory(uint64_t num_bytes) {
  rlimit limit{};
  if (getrlimit(RLIMIT_DATA, &limit) != 0) throw SystemError(errno, "RLIMIT_DATA cannot be read");
  limit.rlim_cur = std::min<rlim_t>(limit.rlim_max, num_bytes);
  if (setrlimit(RLIMIT_DATA, &limit) != 0) {
    throw SystemError(errno, "the memory cannot be limited to ", FormatBytes(num_bytes));
  }
}

void RequireMemory(uint64_t num_bytes, const std::string& work) {
  rlimit limit{};
  const uint64_t needed = num_bytes + kProgramBytes;
  if (getrlimit(RLIMIT_DATA, &limit) != 0 || limit.rlim_cur == RLIM_INFINITY ||
      needed <= limit.rlim_cur) {
    return;
  }
  throw SystemError(0, work, " needs ", FormatBytes(needed), " of memory; it may take ",
                    FormatBytes(limit.rlim_cur), " (--max-memory, or ulimit -d)");
}

}  // namespace moefy
