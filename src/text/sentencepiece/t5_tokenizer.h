// The T5 conventions around a SentencePiece model: </s> at the end, sentinel tokens <extra_id_0>,
// <extra_id_1>, ... counted down from the highest id. Equal to the slow T5Tokenizer of transformers
// 4.44, "legacy" true (its default) and false. Thread-safety: as Tokenizer.
#pragma once

#include <filesystem>
#include <memory>

#include "moefy/text/tokenizer.h"
#include "text/tokenizer_config.h"

namespace moefy::text {

// Throws Error{kInput} that names the file at fault.
std::unique_ptr<Tokenizer> LoadT5Tokenizer(const std::filesystem::path& spiece_model,
                                           const TokenizerConfig& config);

}  // namespace moefy::text
