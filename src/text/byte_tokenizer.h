// A token per byte: ByT5, which has no vocabulary file. <pad> </s> <unk>, the bytes, then the
// sentinels <extra_id_0>, ... Equal to ByT5Tokenizer of transformers 4.44. Thread-safety: as
// Tokenizer.
#pragma once

#include <filesystem>
#include <memory>

#include "moefy/text/tokenizer.h"
#include "text/tokenizer_config.h"

namespace moefy::text {

// The path is not read. Throws Error{kInput} for options that do not fit together.
std::unique_ptr<Tokenizer> LoadByteTokenizer(const std::filesystem::path& directory,
                                             const TokenizerConfig& config);

}  // namespace moefy::text
