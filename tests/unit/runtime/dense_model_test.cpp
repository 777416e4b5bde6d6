// The dense model on packed weights against the one that LibTorch runs, for every family.
#include "runtime/dense_model.h"

#include <gtest/gtest.h>

#include <filesystem>

#include "support/shared_data.h"
#include "support/tolerances.h"

namespace moefy::runtime {
namespace {

model::ForwardInputs SomeTokens(const model::ModelConfig& config) {
  model::ForwardInputs inputs;
  inputs.input_ids = at::arange(2, 32, at::kLong).view({2, 15});
  inputs.attention_mask = at::ones({2, 15}, at::kLong);
  inputs.attention_mask[1].slice(0, 11).fill_(0);
  if (config.architecture == model::Architecture::kEncoderDecoder) {
    inputs.decoder_input_ids = at::arange(3, 11, at::kLong).view({2, 4});
  }
  return inputs;
}

// What the model's head says, or the last hidden states of one without.
at::Tensor OutputOf(model::Transformer& model) {
  const model::ForwardOutputs out = model.Forward(SomeTokens(model.config()));
  return out.logits.defined()         ? out.logits
         : out.start_logits.defined() ? out.start_logits
                                      : out.last_hidden_state;
}

TEST(DenseModel, OfEveryFamilyIsTheDenseModel) {
  const at::NoGradGuard no_grad;
  int models = 0;
  for (const auto& entry : std::filesystem::directory_iterator(tests::TestData() / "pico")) {
    if (!std::filesystem::exists(entry.path() / "config.json")) continue;
    SCOPED_TRACE(entry.path().filename().string());
    const io::Checkpoint checkpoint = io::Checkpoint::Open(entry.path());
    model::Transformer dense = model::LoadTransformer(checkpoint);
    const at::Tensor wanted = OutputOf(dense);
    const auto error = [&](WeightFormat format) {
      model::Transformer packed = LoadPackedTransformer(checkpoint, format);
      return ((OutputOf(packed) - wanted).norm() / wanted.norm()).item<double>();
    };
    EXPECT_LT(error(WeightFormat::kF32), tests::kSparseVersusDense);
    const double narrow = error(WeightFormat::kInt8);
    EXPECT_LT(narrow, tests::kInt8Logits);
    EXPECT_GT(narrow, tests::kSparseVersusDense);
    ++models;
  }
  EXPECT_GT(models, 20);
}

}  // namespace
}  // namespace moefy::runtime
