#include "runtime/sparse_model.h"

#include <gtest/gtest.h>

#include <cmath>

#include "moefy/model/generation.h"
#include "support/random_model.h"
#include "support/route_fixtures.h"
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

double LogitsError(const std::filesystem::path& checkpoint, WeightFormat format) {
  const at::NoGradGuard no_grad;
  const tests::TempDir dir;
  tests::SplitInto(checkpoint, dir.path() / "moe", 2);
  const split::MoeCheckpoint moe = split::MoeCheckpoint::Open(dir.path() / "moe");
  model::Transformer dense = model::LoadTransformer(moe.weights());
  SparseModel sparse(moe, 0, format);
  sparse.Install(route::ParseSelection("random"), 1.0);
  const model::ForwardInputs inputs = Inputs(dense.config());
  const at::Tensor wanted = dense.Forward(inputs).logits;
  const at::Tensor found = sparse.transformer().Forward(inputs).logits;
  EXPECT_EQ(found.sizes(), wanted.sizes());
  return ((found - wanted).norm() / wanted.norm()).item<double>();
}

TEST(SparseModel, WithAllExpertsIsTheDenseModel) {
  for (const char* name : kModels) {
    SCOPED_TRACE(name);
    EXPECT_LT(LogitsError(tests::Pico(name), WeightFormat::kF32), tests::kSparseVersusDense);
  }
}

// Also the activations that make zeros, with a gate and without, and fused pairs.
TEST(SparseModel, SoAreDecodersWithoutACommittedModel) {
  for (const Json& config : tests::NewDecoders()) {
    SCOPED_TRACE(config.dump());
    const tests::TempDir dir;
    tests::WriteRandomModel(config, dir.path());
    EXPECT_LT(LogitsError(dir.path(), WeightFormat::kF32), tests::kSparseVersusDense);
  }
}

TEST(SparseModel, RoutesFusedPairs) {
  const at::NoGradGuard no_grad;
  const tests::TempDir dense, dir;
  tests::WriteRandomModel(tests::SmallDecoder("phi3", "Phi3ForCausalLM"), dense.path());
  const split::MoeCheckpoint moe = tests::SplitAndRoute(dense.path(), dir, 10, {.epochs = 1});
  SparseModel sparse(moe);
  sparse.Install(route::ParseSelection("mlp"), 0.3);
  const at::Tensor logits = sparse.transformer().Forward(Inputs(moe.config())).logits;
  EXPECT_TRUE(logits.isfinite().all().item<bool>());
  EXPECT_GT(sparse.Counters().expert_flops, 0);
  EXPECT_LT(sparse.Counters().expert_flops, 0.5 * sparse.DenseFlops());
}

TEST(SparseModel, NarrowWeightsMoveLogitsALittle) {
  for (const char* name : kModels) {
    SCOPED_TRACE(name);
    EXPECT_LT(LogitsError(tests::Pico(name), WeightFormat::kF16), tests::kF16Logits);
    EXPECT_LT(LogitsError(tests::Pico(name), WeightFormat::kBf16), tests::kBf16Logits);
    const double int8 = LogitsError(tests::Pico(name), WeightFormat::kInt8);
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
    sparse.Install(route::ParseSelection("random"), 1.0);
    model::GenerationOptions options;
    options.max_new_tokens = 8;
    options.decoder_start_id = 0;
    const std::vector<std::vector<int64_t>> prompts = {{5, 6, 7, 8}, {9, 10}};
    EXPECT_EQ(model::Generate(sparse.transformer(), prompts, options),
              model::Generate(dense, prompts, options));
  }
}

// A split with shared experts and trained routers.
class SharedExperts : public ::testing::Test {
 protected:
  static constexpr int64_t kExperts = 8, kShared = 2;
  SharedExperts() {
    route::RouterTrainOptions options;
    options.epochs = 2;
    options.compensation = "mean";
    moe_.emplace(
        tests::SplitAndRoute(tests::Pico("t5-relu-tied"), dir_, kExperts, options, kShared));
  }

  tests::TempDir dir_;
  std::optional<split::MoeCheckpoint> moe_;
};

TEST_F(SharedExperts, RunAndCount) {
  const at::NoGradGuard no_grad;
  model::Transformer dense = model::LoadTransformer(moe_->weights());
  const model::ForwardInputs inputs = Inputs(dense.config());
  const at::Tensor wanted = dense.Forward(inputs).logits;
  SparseModel sparse(*moe_);
  const auto run = [&](const char* selection, double ratio) {
    sparse.Install(route::ParseSelection(selection), ratio);
    return sparse.transformer().Forward(inputs).logits;
  };
  for (const char* selection : {"mlp", "mlp:threshold", "mlp:budget", "random"}) {
    SCOPED_TRACE(selection);
    const at::Tensor found = run(selection, 1.0);
    EXPECT_LT(((found - wanted).norm() / wanted.norm()).item<double>(), tests::kSparseVersusDense);
    EXPECT_EQ(sparse.Counters().FfnRatio(), 1);
    run(selection, 0.1);
    EXPECT_EQ(sparse.Counters().FfnRatio(), 0.25) << "the shared experts alone";
  }
  run("mlp", 0.5);
  EXPECT_EQ(sparse.Counters().FfnRatio(), 0.5);
}

// Of running experts half of the neurons go through W_out, unless a selection says otherwise.
class StoredShare : public ::testing::TestWithParam<const char*> {
 protected:
  static constexpr int64_t kExperts = 8;
  StoredShare() {
    route::RouterTrainOptions options;
    options.epochs = 2;
    options.neuron_shares = {0.5};
    moe_.emplace(tests::SplitAndRoute(tests::Pico(GetParam()), dir_, kExperts, options));
  }

  tests::TempDir dir_;
  std::optional<split::MoeCheckpoint> moe_;
};

TEST_P(StoredShare, IsTheDenseModelAtAllOfTheWork) {
  const at::NoGradGuard no_grad;
  model::Transformer dense = model::LoadTransformer(moe_->weights());
  const model::ForwardInputs inputs = Inputs(dense.config());
  const at::Tensor wanted = dense.Forward(inputs).logits;
  SparseModel sparse(*moe_);
  for (const char* selection : {"mlp", "mlp:threshold", "mlp:budget", "mlp/0.3"}) {
    SCOPED_TRACE(selection);
    sparse.Install(route::ParseSelection(selection), 1.0);
    const at::Tensor found = sparse.transformer().Forward(inputs).logits;
    EXPECT_LT(((found - wanted).norm() / wanted.norm()).item<double>(), tests::kSparseVersusDense);
    EXPECT_EQ(sparse.Counters().FfnRatio(), 1);
  }
}

INSTANTIATE_TEST_SUITE_P(PlainAndGated, StoredShare,
                         ::testing::Values("t5-relu-tied", "llama-llama3-rope-scaling"));

}  // namespace
}  // namespace moefy::runtime
