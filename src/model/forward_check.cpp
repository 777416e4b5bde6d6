#include "model/forward_check.h"

#include <algorithm>

#include "model/input_check.h"
#include "model/positions.h"
#include "moefy/base/error.h"

namespace moefy::model {
namespace {

void CheckIds(const at::Tensor& ids, int64_t limit, const char* what) {
  if (ids.dim() != 2 || ids.scalar_type() != at::kLong) {
    throw InputError(what, " has shape ", FormatShape(ids.sizes().vec()),
                     "; expected I64 [batch, tokens]");
  }
  if (ids.numel() == 0) throw InputError(what, " is empty");
  const at::Tensor on_cpu = ids.cpu().contiguous();
  for (int64_t i = 0; i < on_cpu.numel(); ++i) {
    const int64_t id = on_cpu.data_ptr<int64_t>()[i];
    if (id >= 0 && id < limit) continue;
    throw InputError(what, " holds ", id, "; expected ids from 0 to ", limit - 1);
  }
}

void CheckSameShape(const at::Tensor& tensor, const at::Tensor& ids, const char* what) {
  if (tensor.defined() && tensor.sizes() != ids.sizes()) {
    throw InputError(what, " has shape ", FormatShape(tensor.sizes().vec()),
                     "; the ids beside it have ", FormatShape(ids.sizes().vec()));
  }
}

void CheckLength(const ModelConfig& config, int64_t tokens) {
  const int64_t positions = NumPositions(config);
  if (positions > 0 && tokens > positions) {
    throw InputError("the input is ", tokens, " tokens long; this model has ", positions,
                     " positions");
  }
}

}  // namespace

void CheckFirstInputs(const ModelConfig& config, const ForwardInputs& inputs) {
  CheckIds(inputs.input_ids, config.input_vocab_size, "input_ids");
  CheckSameShape(inputs.attention_mask, inputs.input_ids, "attention_mask");
  CheckSameShape(inputs.token_type_ids, inputs.input_ids, "token_type_ids");
  if (inputs.token_type_ids.defined() && config.num_token_types > 0) {
    CheckIds(inputs.token_type_ids, config.num_token_types, "token_type_ids");
  }
  CheckLength(config, inputs.input_ids.size(1));
}

void CheckDecoderInputs(const ModelConfig& config, const ForwardInputs& inputs) {
  if (!inputs.decoder_input_ids.defined()) {
    throw InputError("decoder_input_ids are missing; a ", config.family, " model needs them");
  }
  CheckIds(inputs.decoder_input_ids, config.vocab_size, "decoder_input_ids");
  CheckSameShape(inputs.decoder_attention_mask, inputs.decoder_input_ids, "decoder_attention_mask");
  CheckLength(config, inputs.decoder_input_ids.size(1));
  if (inputs.decoder_input_ids.size(0) != inputs.input_ids.size(0)) {
    throw InputError("decoder_input_ids have a batch of ", inputs.decoder_input_ids.size(0),
                     ", input_ids of ", inputs.input_ids.size(0));
  }
}

void CheckNextInputs(const ModelConfig& config, const DecodingState& state, const at::Tensor& ids,
                     const at::Tensor& mask) {
  CheckIds(ids, config.vocab_size, "decoder_input_ids");
  CheckSameShape(mask, ids, "decoder_attention_mask");
  const int64_t positions = NumPositions(config), columns = state.length + ids.size(1);
  if (positions == 0 || columns <= positions) return;
  if (config.position_count == PositionCount::kColumns || state.length == 0) {
    return CheckLength(config, columns);
  }
  // Rows of texts that have ended are padding, which needs no position if positions count tokens.
  std::vector<int64_t> counts = state.counts;
  TokenPositions(config, ids, mask, state.length, counts);
  CheckLength(config, *std::max_element(counts.begin(), counts.end()));
}

}  // namespace moefy::model
