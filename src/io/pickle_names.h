// The names that pickles may use and those that messages give to opcodes. Pure functions.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "io/pickle.h"

namespace moefy::io::pickle {

// The Python name ("torch", "FloatStorage"), or nullopt for a name that is not allowed.
std::optional<Global> FindGlobal(std::string_view module, std::string_view name);

// "NEWOBJ", or "0x00" for a byte that is no opcode.
std::string OpcodeName(uint8_t opcode);

}  // namespace moefy::io::pickle
