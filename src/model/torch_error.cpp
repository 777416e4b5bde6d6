#include "model/torch_error.h"

#include <algorithm>
#include <charconv>
#include <string_view>

namespace moefy::model {
namespace {

// The first line of what(), which is the message; the rest says where it came from.
std::string_view FirstLine(std::string_view text) { return text.substr(0, text.find('\n')); }

// The number after `before`, in digits; 0 if there is none.
uint64_t NumberAfter(std::string_view text, std::string_view before) {
  const size_t at = text.find(before);
  if (at == std::string_view::npos) return 0;
  const std::string_view digits = text.substr(at + before.size());
  uint64_t number = 0;
  std::from_chars(digits.data(), digits.data() + digits.size(), number);
  return number;
}

}  // namespace

Error FromTorch(const c10::Error& error) {
  const std::string message = error.what_without_backtrace();
  const std::string_view line = FirstLine(message);
  // Messages of the CPU's allocator, of CUDA's, and for sizes that no memory could have.
  constexpr std::string_view kShort[] = {"DefaultCPUAllocator", "not enough memory",
                                         "out of memory", "Storage size calculation overflowed",
                                         "numel: integer multiplication overflow"};
  const bool is_short = std::any_of(std::begin(kShort), std::end(kShort), [&](auto text) {
    return line.find(text) != std::string_view::npos;
  });
  if (!is_short) {
    return {ErrorKind::kBug, StrCat("internal error, please report it: ", error.what())};
  }
  const uint64_t num_bytes = NumberAfter(line, "tried to allocate ");
  return {ErrorKind::kSystem,
          StrCat("out of memory: ", num_bytes > 0 ? StrCat("a tensor of ", FormatBytes(num_bytes),
                                                           " (", num_bytes, " bytes) was asked for")
                                                  : std::string(line))};
}

}  // namespace moefy::model
