// Whether a batch is one that the model can run: ids, masks and lengths. Pure functions,
// thread-safe. Each throws Error{kInput} with the tensor's name, what was found and what was
// wanted.
#pragma once

#include <ATen/ATen.h>

#include "model/decoding_state.h"
#include "moefy/model/config.h"
#include "moefy/model/transformer.h"

namespace moefy::model {

// Checks input_ids and the tensors beside them.
void CheckFirstInputs(const ModelConfig& config, const ForwardInputs& inputs);
// Checks the decoder's ids of an encoder-decoder and the tensors beside them.
void CheckDecoderInputs(const ModelConfig& config, const ForwardInputs& inputs);
// Checks what a decoding goes on with after `state`: `ids` [batch, tokens] and their mask, which
// may be undefined.
void CheckNextInputs(const ModelConfig& config, const DecodingState& state, const at::Tensor& ids,
                     const at::Tensor& mask);

}  // namespace moefy::model
