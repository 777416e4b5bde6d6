// The example's SentencePiece vocabulary, trained on its own text with T5's conventions:
// <pad> 0, </s> 1, <unk> 2. Links libsentencepiece, and so must never share a process with
// LibTorch: both bring a protobuf of their own, and the two do not bear each other.
#pragma once

#include <string>
#include <vector>

#include "task/task_spec.h"

namespace moefy::example {

// The bytes of a spiece.model for the prompts and answers of `specs` (in the order of Corpora()).
// Throws Error{kInput} with the library's words when it refuses.
std::string TrainVocabulary(const std::vector<task::TaskSpec>& specs);

// The tokenizer_config.json beside it.
std::string TokenizerConfig();

}  // namespace moefy::example
