// Whether a model can read a text, by its tokens alone. Pure functions, thread-safe.
#pragma once

#include <cstdint>
#include <vector>

#include "moefy/model/config.h"

namespace moefy::model {

// How many tokens the model was made to read at once: the rows of its position table, or what
// config.json says where positions are computed. 0: any number. Texts are cut to it.
int64_t TextLength(const ModelConfig& config);
// The same for what cannot be run beyond it: learned positions. 0: there is no such limit.
int64_t NumPositions(const ModelConfig& config);
// `max_tokens`, or TextLength() where that is less.
int64_t FitTextLength(int64_t max_tokens, const ModelConfig& config);

// Throws Error{kInput}: no tokens, a token the model has no row for (an added one of a tokenizer
// that grew without its model), more tokens than positions, or more than anyone has the memory and
// time for where there are no positions to count (1,048,576, as many as a task file may ask for).
void CheckTokens(const std::vector<int64_t>& ids, const ModelConfig& config);

}  // namespace moefy::model
