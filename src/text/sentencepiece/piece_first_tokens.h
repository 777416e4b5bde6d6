// The tokens whose ids come before those of the pieces. Pure functions.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "text/sentencepiece/piece_conventions.h"
#include "text/tokenizer_config.h"

namespace moefy::text {

struct FirstTokens {
  int64_t offset = 0;  // a piece's id is its own id plus this
  std::vector<std::string> tokens;
};

// Throws Error{kInput} for a configuration whose values cannot be used.
FirstTokens FirstTokensOf(const PieceConvention& convention, const TokenizerConfig& config);

}  // namespace moefy::text
