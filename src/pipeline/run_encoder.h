// Answers of encoders, by their heads; one object per input, as moefy/pipeline/run.h says.
#pragma once

#include <vector>

#include "moefy/base/json.h"
#include "moefy/model/pooling.h"
#include "pipeline/asked.h"

namespace moefy::pipeline {

std::vector<Json> Classify(const Asked& asked);
// A label of every token.
std::vector<Json> LabelTokens(const Asked& asked);
// The `num_candidates` likeliest tokens of every mask. Error{kInput} for a text without one.
std::vector<Json> FillMasks(const Asked& asked, int64_t num_candidates);
std::vector<Json> EmbedInputs(const Asked& asked, const model::TextEmbedding& embedding);

}  // namespace moefy::pipeline
