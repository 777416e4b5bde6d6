// The dense model on packed weights against the one that LibTorch runs, for every family.
#include "runtime/dense_model.h"

#include <gtest/gtest.h>

#include <filesystem>

#include "support/shared_data.h"
#include "support/tolerances.h"

namespace moefy::runtime {
namespace {

// Many texts, because the error of a few numbers says little: with two texts that of a classifier's
// logits in INT8 is anything from half to one and a half times what it is with many.
model::ForwardInputs SomeTokens(const model::ModelConfig& config) {
  constexpr int64_t kTexts = 32, kTokens = 15;
  model::ForwardInputs inputs;
  const at::Tensor places = at::arange(kTexts * kTokens, at::kLong).view({kTexts, kTokens});
  inputs.input_ids = (places * places + 3 * places).remainder(31).remainder(30) + 2;
  inputs.attention_mask = at::ones({kTexts, kTokens}, at::kLong);
  for (int64_t text = 1; text < kTexts; ++text) {
    inputs.attention_mask[text].slice(0, kTokens - text % 5).fill_(0);
  }
  if (config.architecture == model::Architecture::kEncoderDecoder) {
    inputs.decoder_input_ids =
        at::arange(kTexts * 4, at::kLong).remainder(29).view({kTexts, 4}) + 3;
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

// Attention reads texts where they lie if padding is at their ends, and a padded batch else.
TEST(DenseModel, IsTheSameWhereverPaddingLies) {
  const at::NoGradGuard no_grad;
  const int64_t kHoles[][2] = {{11, 15}, {0, 4}, {5, 8}, {0, 15}};  // of the second text
  for (const char* pico : {"bert-cls-gelu", "t5-relu-tied", "llama-llama3-rope-scaling"}) {
    const io::Checkpoint checkpoint = io::Checkpoint::Open(tests::TestData() / "pico" / pico);
    model::Transformer dense = model::LoadTransformer(checkpoint);
    model::Transformer packed = LoadPackedTransformer(checkpoint, WeightFormat::kF32);
    for (const auto& [first, last] : kHoles) {
      SCOPED_TRACE(testing::Message() << pico << ", padding from " << first << " to " << last);
      model::ForwardInputs inputs = SomeTokens(dense.config());
      inputs.attention_mask.fill_(1);
      inputs.attention_mask[1].slice(0, first, last).fill_(0);
      const at::Tensor real = inputs.attention_mask[1] != 0;
      const at::Tensor wanted = dense.ForwardHidden(inputs), got = packed.ForwardHidden(inputs);
      EXPECT_LT((got[0] - wanted[0]).abs().max().item<double>(), 1e-4);
      if (!real.any().item<bool>()) continue;
      const bool is_read = real.size(0) == wanted.size(1);  // else these are the decoder's states
      const at::Tensor errors = (got[1] - wanted[1]).abs();
      EXPECT_LT((is_read ? errors.index({real}) : errors).max().item<double>(), 1e-4);
    }
  }
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
