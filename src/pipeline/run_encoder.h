// Answers of models without a decoder, by their heads: one object per input, as
// pipeline/run_text.h says, given to Asked::answers. Thread-safety: as Asked.
#pragma once

#include <cstdint>

#include "model/pooling.h"
#include "pipeline/asked.h"

namespace moefy::pipeline {

void Classify(const Asked& asked);
// Gives a label of every token.
void LabelTokens(const Asked& asked);
// Gives the `num_candidates` likeliest tokens of every mask. An input fails if the model reads no
// mask in it.
void FillMasks(const Asked& asked, int64_t num_candidates);
void EmbedInputs(const Asked& asked, const model::TextEmbedding& embedding);

}  // namespace moefy::pipeline
