// Answers of encoders, by their heads; one object per input, as moefy/pipeline/run.h says, given to
// Asked::answers.
#pragma once

#include <cstdint>

#include "model/pooling.h"
#include "pipeline/asked.h"

namespace moefy::pipeline {

void Classify(const Asked& asked);
// A label of every token.
void LabelTokens(const Asked& asked);
// The `num_candidates` likeliest tokens of every mask. A text without one is an input that fails.
void FillMasks(const Asked& asked, int64_t num_candidates);
void EmbedInputs(const Asked& asked, const model::TextEmbedding& embedding);

}  // namespace moefy::pipeline
