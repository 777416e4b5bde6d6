#include "moefy/runtime/sparse_model.h"

#include <gtest/gtest.h>

#include "moefy/model/generation.h"
#include "support/split_fixtures.h"
#include "support/temp_dir.h"
#include "support/tolerances.h"

namespace moefy::runtime {
namespace {

// Models that differ in what a sparse model replaces: fused queries, keys and values with and
// without biases, grouped heads, cross-attention, gates and gate biases, stored transposed, tied or
// not.
const char* const kModels[] = {"t5-relu-tied",
                               "t5-v1_1-gated-gelu-untied",
                               "bert-cls-relu",
                               "gpt2-relu-ninner",
                               "llama-llama3-rope-scaling",
                               "mistral-gqa",
                               "falcon-7b-like-mqa",
                               "m2m_100-relu"};

model::ForwardInputs Inputs(const model::ModelConfig& config) {
  model::ForwardInputs inputs;
  inputs.input_ids = at::arange(2, 32, at::kLong).view({2, 15});
  inputs.attention_mask = at::ones({2, 15}, at::kLong);
  inputs.attention_mask[1].slice(0, 11).fill_(0);
  if (config.architecture == model::Architecture::kEncoderDecoder) {
    inputs.decoder_input_ids = at::arange(3, 11, at::kLong).view({2, 4});
  }
  return inputs;
}

double LogitsError(const std::string& name, WeightFormat format) {
  const at::NoGradGuard no_grad;
  const tests::TempDir dir;
  tests::SplitInto(tests::Pico(name), dir.path() / "moe", 2);
  const split::MoeCheckpoint moe = split::MoeCheckpoint::Open(dir.path() / "moe");
  model::Transformer dense = model::LoadTransformer(moe.weights());
  SparseModel sparse(moe, 0, format);
  sparse.Install("random", 1.0);
  const model::ForwardInputs inputs = Inputs(dense.config());
  const at::Tensor wanted = dense.Forward(inputs).logits;
  const at::Tensor found = sparse.transformer().Forward(inputs).logits;
  EXPECT_EQ(found.sizes(), wanted.sizes());
  return ((found - wanted).norm() / wanted.norm()).item<double>();
}

TEST(SparseModel, WithAllExpertsIsTheDenseModel) {
  for (const char* name : kModels) {
    SCOPED_TRACE(name);
    EXPECT_LT(LogitsError(name, WeightFormat::kF32), tests::kSparseVersusDense);
  }
}

TEST(SparseModel, NarrowWeightsMoveLogitsALittle) {
  for (const char* name : kModels) {
    SCOPED_TRACE(name);
    EXPECT_LT(LogitsError(name, WeightFormat::kF16), tests::kF16Logits);
    EXPECT_LT(LogitsError(name, WeightFormat::kBf16), tests::kBf16Logits);
    const double int8 = LogitsError(name, WeightFormat::kInt8);
    EXPECT_LT(int8, tests::kInt8Logits);
    EXPECT_GT(int8, tests::kSparseVersusDense) << "INT8 is not in use";
  }
}

TEST(SparseModel, GeneratesWhatTheDenseModelDoes) {
  for (const char* name : {"t5-relu-tied", "mistral-gqa"}) {
    SCOPED_TRACE(name);
    const at::NoGradGuard no_grad;
    const tests::TempDir dir;
    tests::SplitInto(tests::Pico(name), dir.path() / "moe", 2);
    const split::MoeCheckpoint moe = split::MoeCheckpoint::Open(dir.path() / "moe");
    model::Transformer dense = model::LoadTransformer(moe.weights());
    SparseModel sparse(moe);
    sparse.Install("random", 1.0);
    model::GenerationOptions options;
    options.max_new_tokens = 8;
    options.decoder_start_id = 0;
    const std::vector<std::vector<int64_t>> prompts = {{5, 6, 7, 8}, {9, 10}};
    EXPECT_EQ(model::Generate(sparse.transformer(), prompts, options),
              model::Generate(dense, prompts, options));
  }
}

}  // namespace
}  // namespace moefy::runtime
