// A model against outputs that the reference implementation has recorded for it: logits, hidden
// states, what goes into, through and out of every FFN, loss.
#pragma once

#include <gtest/gtest.h>

#include <cstring>
#include <filesystem>
#include <map>
#include <string>

#include "io/safetensors.h"
#include "model/expected_tensors.h"
#include "moefy/model/transformer.h"
#include "support/tolerances.h"

namespace moefy::tests {

// The recorded tensors by name; integers as I64, the rest as F32.
inline std::map<std::string, at::Tensor> ReadGolden(const std::filesystem::path& path) {
  const io::SafetensorsFile file(path);
  std::map<std::string, at::Tensor> tensors;
  for (const io::TensorInfo& info : file.tensors()) {
    const bool is_float = info.dtype == io::DType::kF32;
    at::Tensor tensor = at::empty(std::vector<int64_t>(info.shape.begin(), info.shape.end()),
                                  is_float ? at::kFloat : at::kLong);
    EXPECT_EQ(tensor.nbytes(), info.num_bytes()) << info.name;
    std::memcpy(tensor.data_ptr(), file.Bytes(info).data(), info.num_bytes());
    tensors.emplace(info.name, tensor);
  }
  return tensors;
}

// Largest violation of |got - want| <= absolute + relative * |want| over the rows where mask is 1.
inline void ExpectClose(const std::string& name, at::Tensor got, at::Tensor want,
                        const at::Tensor& mask) {
  ASSERT_EQ(got.sizes(), want.sizes()) << name;
  if (mask.defined() && want.dim() >= 2 && want.size(1) == mask.size(1)) {
    got = got.flatten(0, 1).index_select(0, mask.flatten().nonzero().flatten());
    want = want.flatten(0, 1).index_select(0, mask.flatten().nonzero().flatten());
  }
  const at::Tensor difference = (got - want).abs();
  const at::Tensor allowed =
      kReferenceAbsolute + kReferenceRelative * want.abs().clamp_min(1.0) - kReferenceRelative;
  const at::Tensor excess = (difference - allowed).flatten();
  const int64_t worst = excess.argmax().item<int64_t>();
  EXPECT_LE(excess[worst].item<float>(), 0)
      << name << ": element " << worst << " is " << got.flatten()[worst].item<float>()
      << ", recorded " << want.flatten()[worst].item<float>();
  std::printf("  %-32s max difference %.2e\n", name.c_str(), difference.max().item<double>());
}

// Encoder-decoders shift labels to the right; -100 marks ignored positions.
inline at::Tensor ShiftRight(const at::Tensor& labels, int64_t start_id, int64_t pad_id) {
  at::Tensor shifted = at::full_like(labels, start_id);
  shifted.narrow(1, 1, labels.size(1) - 1).copy_(labels.narrow(1, 0, labels.size(1) - 1));
  return shifted.masked_fill(shifted == -100, pad_id);
}

// Causal models predict the next token.
inline at::Tensor Loss(at::Tensor logits, at::Tensor labels, bool causal) {
  if (causal) {
    logits = logits.narrow(1, 0, logits.size(1) - 1);
    labels = labels.narrow(1, 1, labels.size(1) - 1);
  }
  return at::cross_entropy_loss(logits.flatten(0, -2), labels.flatten()).view(1);
}

// As the model's head is trained.
inline at::Tensor HeadLoss(const at::Tensor& logits, const at::Tensor& labels,
                           const model::ModelConfig& config) {
  if (config.is_regression()) return at::mse_loss(logits, labels.view_as(logits)).view(1);
  if (config.is_multi_label()) {
    return at::binary_cross_entropy_with_logits(logits, labels).view(1);
  }
  return Loss(logits, labels, config.architecture == model::Architecture::kDecoder);
}

// Everything recorded in `golden_file`, compared; how many tensors that were.
inline int CompareWithGolden(model::Transformer& transformer, const io::Checkpoint& checkpoint,
                             const std::filesystem::path& golden_file) {
  const at::NoGradGuard no_grad;
  auto golden = ReadGolden(golden_file);
  const auto take = [&](const char* name) {
    const auto found = golden.find(name);
    return found == golden.end() ? at::Tensor() : found->second;
  };
  model::ForwardInputs inputs{take("input_ids"), take("attention_mask"), take("token_type_ids"),
                              take("decoder_input_ids"), take("decoder_attention_mask")};
  const at::Tensor labels = take("labels");
  const model::ModelConfig& config = transformer.config();
  const bool two_stacks = config.architecture == model::Architecture::kEncoderDecoder;
  if (labels.defined() && two_stacks) {
    inputs.decoder_input_ids = ShiftRight(labels, config.decoder_start_id, config.pad_id);
  }

  std::map<std::string, at::Tensor> results;
  const model::ForwardOutputs outputs = transformer.Forward(
      inputs, [&](const std::string& name, const at::Tensor& states) { results[name] = states; });
  if (outputs.logits.defined()) results["logits"] = outputs.logits;
  if (outputs.start_logits.defined()) {
    results["start_logits"] = outputs.start_logits;
    results["end_logits"] = outputs.end_logits;
  }
  if (outputs.last_hidden_state.defined()) results["last_hidden_state"] = outputs.last_hidden_state;
  if (outputs.pooler_output.defined()) results["pooler_output"] = outputs.pooler_output;
  for (const model::FfnSpec& spec : model::FfnSpecs(config)) {
    if (spec.of_mixture) continue;  // its layer is compared as a whole
    const model::FfnWeights ffn = model::ReadFfnWeights(checkpoint, spec);
    for (const std::string& name : model::LayerNames(spec)) {
      const model::FfnSteps steps = model::RunFfnSteps(ffn, results.at(name + ".input"));
      results[name + ".act"] = steps.act;
      if (spec.gated()) results[name + ".up"] = steps.up;
      results[name + ".down_in"] = steps.down_in;
    }
  }
  if (labels.defined()) results["loss"] = HeadLoss(outputs.logits, labels, config);

  int num_compared = 0;
  for (const auto& [name, want] : golden) {
    // Recorded once in the arithmetic of half-precision weights, which we do not have.
    if (want.scalar_type() != at::kFloat || name == "logits_native_dtype_as_f32") continue;
    if (name == "labels") continue;  // of several labels at once, which are numbers
    EXPECT_TRUE(results.contains(name)) << name << " was recorded and is not computed";
    if (!results.contains(name)) continue;
    const bool decoder = name.starts_with("decoder.") || (name == "logits" && two_stacks);
    ExpectClose(name, results[name], want,
                decoder ? inputs.decoder_attention_mask : inputs.attention_mask);
    ++num_compared;
  }
  return num_compared;
}

}  // namespace moefy::tests
