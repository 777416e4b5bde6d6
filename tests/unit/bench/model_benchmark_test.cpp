#include "bench/model_benchmark.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>

#include "bench/model_pass.h"
#include "support/expect_error.h"
#include "support/random_model.h"
#include "support/split_fixtures.h"
#include "support/temp_dir.h"
#include "support/tolerances.h"

namespace moefy::bench {
namespace {

using runtime::WeightFormat;
using tests::SplitInto;
using tests::TempDir;

// A checkpoint, split or not, and small options to run it with.
struct Bench {
  explicit Bench(const std::filesystem::path& directory)
      : checkpoint(io::Checkpoint::Open(directory)) {
    if (split::MoeCheckpoint::IsMoe(directory)) {
      moe.emplace(split::MoeCheckpoint::Open(directory));
      options.moe = &*moe;
      options.selection = route::ParseSelection("random");
      options.ffn_ratios = {0.5};
    }
    options.checkpoint = &checkpoint;
    options.batch = 2;
    options.prompt_tokens = 6;
    options.new_tokens = 4;
    options.repetitions = 2;
    options.threads = {1};
  }
  ModelBenchmarkResult Run() const { return RunModelBenchmark(options); }

  io::Checkpoint checkpoint;
  std::optional<split::MoeCheckpoint> moe;
  ModelBenchmarkOptions options;
};

std::vector<std::string> Names(const ModelBenchmarkResult& result) {
  std::vector<std::string> names;
  for (const ModelBenchmarkRow& row : result.rows) {
    names.push_back(StrCat(row.phase, " ", EngineName(row.engine), " ",
                           runtime::WeightFormatName(row.weights)));
  }
  return names;
}

TEST(ModelBenchmark, PhasesAreThoseOfTheArchitecture) {
  EXPECT_THAT(Names(Bench(tests::Pico("bert-cls-relu")).Run()),
              testing::ElementsAre("encode dense f32"));
  EXPECT_THAT(Names(Bench(tests::Pico("llama-llama3-rope-scaling")).Run()),
              testing::ElementsAre("prefill dense f32", "decode dense f32"));
  EXPECT_THAT(
      Names(Bench(tests::Pico("t5-relu-tied")).Run()),
      testing::ElementsAre("encode dense f32", "first token dense f32", "decode dense f32"));
}

TEST(ModelBenchmark, OneNewTokenIsThePromptsAlone) {
  Bench bench(tests::Pico("mistral-gqa"));
  bench.options.new_tokens = 1;
  EXPECT_THAT(Names(bench.Run()), testing::ElementsAre("prefill dense f32"));
}

// Whatever the layout: fused projections, gates, biases, shared tables.
TEST(ModelBenchmark, PackedDenseModelsComputeWhatLibTorchDoes) {
  for (const char* name :
       {"t5-relu-tied", "t5-v1_1-gated-gelu-untied", "bert-cls-relu", "gpt2-relu-ninner",
        "falcon-7b-like-mqa", "m2m_100-relu", "distilbert-cls-gelu", "opt-350m-like-postln-proj"}) {
    SCOPED_TRACE(name);
    Bench bench(tests::Pico(name));
    bench.options.baseline = true;
    bench.options.weights = {WeightFormat::kF32, WeightFormat::kInt8};
    bool compared = false;
    for (const ModelBenchmarkRow& row : bench.Run().rows) {
      EXPECT_GT(row.ms.median, 0);
      EXPECT_EQ(row.speedup_over_torch.has_value(), row.engine != EngineKind::kTorch);
      if (!row.output_error) continue;
      compared = true;
      const bool exact = row.weights == WeightFormat::kF32;
      EXPECT_LT(*row.output_error, exact ? tests::kSparseVersusDense : 0.1);
    }
    EXPECT_TRUE(compared);
  }
}

TEST(ModelBenchmark, SplitModelsRunWhatTheirRatioSays) {
  const TempDir dir;
  SplitInto(tests::Pico("llama-llama3-rope-scaling"), dir.path() / "moe", 4);
  Bench bench(dir.path() / "moe");
  bench.options.baseline = true;
  bench.options.ffn_ratios = {0.25, 1};
  const ModelBenchmarkResult result = bench.Run();
  EXPECT_THAT(Names(result),
              testing::ElementsAre("prefill torch f32", "decode torch f32", "prefill dense f32",
                                   "decode dense f32", "prefill sparse f32", "decode sparse f32",
                                   "prefill torch f32", "decode torch f32", "prefill dense f32",
                                   "decode dense f32", "prefill sparse f32", "decode sparse f32"));
  const ModelBenchmarkRow &quarter = result.rows[4], &all = result.rows[10];
  EXPECT_DOUBLE_EQ(quarter.asked_ffn_ratio, 0.25);
  EXPECT_DOUBLE_EQ(quarter.ffn_ratio, 0.25);
  EXPECT_GT(*quarter.output_error, 1e-3);
  EXPECT_DOUBLE_EQ(all.ffn_ratio, 1);
  EXPECT_LT(*all.output_error, tests::kSparseVersusDense);
  EXPECT_TRUE(all.speedup_over_dense && all.speedup_over_torch);
  EXPECT_FALSE(result.rows[2].speedup_over_dense);
  EXPECT_LT(result.rows[5].bytes, result.rows[3].bytes);
  EXPECT_LT(result.rows[5].flops, result.rows[3].flops);
}

// 24 hidden, 40 neurons, 4 layers, 4 heads of 6, 2 of keys, 97 tokens: see SmallDecoder().
TEST(ModelBenchmark, WorkOfADecoder) {
  const TempDir dir;
  tests::WriteRandomModel(tests::SmallDecoder("llama", "LlamaForCausalLM"), dir.path());
  Bench bench(dir.path());
  const ModelBenchmarkResult result = bench.Run();
  EXPECT_EQ(result.texts, 2);
  EXPECT_EQ(result.tokens, 12);
  EXPECT_EQ(result.new_tokens, 4);
  constexpr double kLayers = 4, kMaps = 24 * (2 * 24 + 2 * 12), kFfn = 3 * 24 * 40;
  constexpr double kLogits = 24 * 97;
  const ModelBenchmarkRow &prefill = result.rows[0], &decode = result.rows[1];
  // Keys that six tokens see: 1 + 2 + ... + 6.
  EXPECT_DOUBLE_EQ(prefill.flops,
                   2 * 2 * kLogits + kLayers * (2 * 12 * (kMaps + kFfn) + 4 * 24.0 * 2 * 21));
  EXPECT_DOUBLE_EQ(prefill.bytes, 4 * (kLogits + kLayers * (kMaps + kFfn)));
  // Three steps, which see 7, 8 and 9 keys.
  EXPECT_DOUBLE_EQ(decode.flops, 2 * (2 * kLogits + kLayers * (2 * (kMaps + kFfn) + 4 * 24.0 * 8)));
  EXPECT_DOUBLE_EQ(decode.bytes,
                   4 * (kLogits + kLayers * (kMaps + kFfn) + kLayers * 2 * 12.0 * 8 * 2));
  for (const ModelBenchmarkRow& row : result.rows) {
    EXPECT_DOUBLE_EQ(
        row.roofline_ms,
        std::max(row.bytes / result.bandwidth_gigabytes, row.flops / result.peak_gflops) / 1e6);
  }
  EXPECT_DOUBLE_EQ(prefill.tokens_per_second, 12e3 / prefill.ms.median);
  EXPECT_DOUBLE_EQ(decode.tokens_per_second, 2e3 / decode.ms.median);
}

// t5-relu-tied: 48 hidden, 112 neurons in 7 experts, 3 + 2 layers, 6 heads of 10, 203 tokens.
TEST(ModelBenchmark, WorkOfAnEncoderDecoder) {
  const TempDir dir;
  SplitInto(tests::Pico("t5-relu-tied"), dir.path() / "moe", 7);
  Bench bench(dir.path() / "moe");
  bench.options.selection = route::ParseSelection("similarity");
  bench.options.ffn_ratios = {3.0 / 7};
  const ModelBenchmarkResult result = bench.Run();
  constexpr double kMaps = 4.0 * 48 * 60, kLogits = 48 * 203, kKeyOrValue = 60;
  constexpr double kExpert = 2 * 16 * 48, kRouter = 7 * 48;
  const ModelBenchmarkRow &encode = result.rows[0], &decode = result.rows[2];
  // Two texts of six tokens, all of which see all keys of their text.
  EXPECT_DOUBLE_EQ(encode.flops,
                   3 * 12 * (2 * (kMaps + 3 * kExpert + kRouter) + 4 * kKeyOrValue * 6));
  // Three steps of both texts, which see 2, 3 and 4 tokens of their own and six of the encoder's,
  // whose keys and values are there already.
  EXPECT_DOUBLE_EQ(decode.flops, 2 * (2 * kLogits + 2 * (2 * (1.5 * kMaps + 3 * kExpert + kRouter) +
                                                         4 * kKeyOrValue * (3 + 6))));
}

TEST(ModelBenchmark, BatchesOfTextsCountTheirRealTokens) {
  Bench bench(tests::Pico("bert-cls-relu"));
  for (const int64_t length : {3, 5}) {
    model::ForwardInputs inputs;
    inputs.input_ids = at::full({2, 5}, 7, at::kLong);
    inputs.attention_mask = at::ones({2, 5}, at::kLong);
    inputs.attention_mask[1].slice(0, length).fill_(0);
    bench.options.inputs.push_back(inputs);
  }
  const ModelBenchmarkResult result = bench.Run();
  EXPECT_EQ(result.texts, 4);
  EXPECT_EQ(result.tokens, 18);
}

TEST(ModelBenchmark, RandomTokensAreNotSpecialOnes) {
  model::ModelConfig config;
  config.input_vocab_size = 5;
  config.pad_id = 4;
  config.eos_id = 0;
  const at::Tensor ids = RandomInputs(config, 8, 100, 1).input_ids;
  EXPECT_EQ(ids.min().item<int64_t>(), 1);
  EXPECT_EQ(ids.max().item<int64_t>(), 3);
  EXPECT_TRUE(at::equal(ids, RandomInputs(config, 8, 100, 1).input_ids));
  EXPECT_FALSE(at::equal(ids, RandomInputs(config, 8, 100, 2).input_ids));
}

TEST(ModelBenchmark, RefusesWhatAModelHasNoPositionsFor) {
  Bench bench(tests::Pico("bert-cls-relu"));
  bench.options.prompt_tokens = 100000;
  tests::ExpectError(ErrorKind::kUsage, {"prompts are 100000 tokens; this model has"},
                     [&] { bench.Run(); });
  bench.options.prompt_tokens = 0;
  tests::ExpectError(ErrorKind::kUsage, {"at least one text, prompt token"}, [&] { bench.Run(); });
  Bench causal(tests::Pico("gpt2-relu-ninner"));
  causal.options.new_tokens = 100000;
  tests::ExpectError(ErrorKind::kUsage, {"prompts with their answers are 100005 tokens"},
                     [&] { causal.Run(); });
}

}  // namespace
}  // namespace moefy::bench
