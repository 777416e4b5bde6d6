// Whether a model can read a text, by its tokens alone. Pure functions, thread-safe.
#pragma once

#include <cstdint>
#include <vector>

#include "moefy/model/config.h"

namespace moefy::model {

// How many tokens the model was made to read at once: the rows of its position table or, if
// positions are computed, what config.json says. 0: any number. Texts are cut to it.
int64_t TextLength(const ModelConfig& config);
// The number of learned positions, beyond which nothing can run. 0: there is no such limit.
int64_t NumPositions(const ModelConfig& config);
// The smaller of `max_tokens` and TextLength().
int64_t FitTextLength(int64_t max_tokens, const ModelConfig& config);

// Throws Error{kInput} if there are no tokens, if the model has no row for a token (one added to a
// tokenizer that grew without its model), or if there are more tokens than positions. A model
// without a limit of positions takes at most 1,048,576 tokens, as many as a task file may ask for.
void CheckTokens(const std::vector<int64_t>& ids, const ModelConfig& config);

}  // namespace moefy::model
