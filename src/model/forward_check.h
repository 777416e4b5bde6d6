// Whether a batch is one that the model can run: ids, masks and lengths. Pure functions,
// thread-safe. Each throws Error{kInput} with the tensor's name, what was found and what was
// wanted.
#pragma once

#include <ATen/ATen.h>

#include "model/decoding_state.h"
#include "moefy/model/config.h"
#include "moefy/model/transformer.h"

namespace moefy::model {

// input_ids and what stands beside them.
void CheckFirstInputs(const ModelConfig& config, const ForwardInputs& inputs);
// The decoder's ids of an encoder-decoder, and what stands beside them.
void CheckDecoderInputs(const ModelConfig& config, const ForwardInputs& inputs);
// What a decoding goes on with: `ids` [batch, tokens] and their mask, or none, after `state`.
void CheckNextInputs(const ModelConfig& config, const DecodingState& state, const at::Tensor& ids,
                     const at::Tensor& mask);

}  // namespace moefy::model
