// The names that pickles may use and those that messages give to opcodes. Pure functions.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "io/pickle.h"

namespace moefy::io::pickle {

// "torch" "FloatStorage"; absent for what is not allowed.
std::optional<Global> FindGlobal(std::string_view module, std::string_view name);

// "NEWOBJ", or "0x00" for what is none.
std::string OpcodeName(uint8_t opcode);

}  // namespace moefy::io::pickle
