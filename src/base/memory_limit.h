// The memory that a command may take for itself: its heap and stacks, not the pages of mapped
// files, which the system takes back when others need room. The system holds the process to the
// limit (RLIMIT_DATA, Linux 4.7 or later). Thread-safe once the limit is set.
#pragma once

#include <cstdint>
#include <optional>
#include <string>

namespace moefy {

// "6GB" -> 6,000,000,000; also B, KB, MB, TB, fractions, and plain bytes. Throws Error{kUsage} that
// names the option, for anything else and for less than 200 MB, which the program alone takes.
uint64_t ParseMemory(const std::string& text, const char* option);

// Allocations fail that would take more. Throws Error{kSystem} where the system refuses.
void LimitMemory(uint64_t num_bytes);

// Throws Error{kSystem} when `work`, as the subject of a sentence, needs more than the limit:
// before it begins.
void RequireMemory(uint64_t num_bytes, const std::string& work);

}  // namespace moefy
