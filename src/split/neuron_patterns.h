// What each neuron did on recorded inputs, as methods that make experts of it look at it. Pure
// functions, thread-safe; all throw Error{kInput} for an activation that is not finite.
#pragma once

#include <ATen/ATen.h>

#include "moefy/model/ffn.h"
#include "record/recorded_inputs.h"

namespace moefy::split {

// Which neurons are among a token's largest, by the magnitude of what enters W_out: the ten
// largest, but no more than a tenth of all. Neurons that are zero are never marked; one that ties
// with the last of them is. F32 zeros and ones, [neurons, at most max_tokens].
// Source: CMoE (arXiv 2502.04416), section 3.1.
at::Tensor ActivationMarks(const model::FfnWeights& ffn, const record::RecordedInputs& inputs,
                           int64_t max_tokens);
// The same of one batch: x [tokens, hidden] -> F32 [tokens, neurons].
at::Tensor MarkLargest(const model::FfnWeights& ffn, const at::Tensor& x);

// How open each neuron's gate is, by parts of the text: the mean over so many tokens in a row of
// the gate's magnitude after the activation; of an FFN without a gate, of what enters W_out. F32
// [neurons, parts]; a rest of fewer tokens is left out, unless it is all.
// Source: ExpertWeaver (arXiv 2602.15521), section 3.1, whose parts are samples of many tasks.
at::Tensor GateProfiles(const model::FfnWeights& ffn, const record::RecordedInputs& inputs,
                        int64_t max_tokens);

// The standard deviation of each row over its mean; 0 for rows of zeros. profiles [neurons, parts]
// -> F32 [neurons].
at::Tensor Variation(const at::Tensor& profiles);

}  // namespace moefy::split
