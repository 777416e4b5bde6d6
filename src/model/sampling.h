// The choice of the next token from its logits.
#pragma once

#include <ATen/ATen.h>

#include <random>

#include "moefy/model/generation.h"

namespace moefy::model {

// The best token, or, from a temperature above 0 on, one drawn by `random`. logits [vocab], F32.
// Source of top-p: Holtzman et al., arXiv 1904.09751.
int64_t ChooseToken(const at::Tensor& logits, const GenerationOptions& options,
                    std::mt19937_64& random);

}  // namespace moefy::model
