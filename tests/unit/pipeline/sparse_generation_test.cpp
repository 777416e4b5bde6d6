// Split models generate: with all experts what the dense one does, with fewer something else, and
// the counters say how much was run.
#include <gtest/gtest.h>

#include <algorithm>

#include "moefy/base/strings.h"
#include "moefy/model/generation.h"
#include "moefy/runtime/sparse_model.h"
#include "support/split_fixtures.h"
#include "support/storage_count.h"
#include "support/temp_dir.h"

namespace moefy {
namespace {

TEST(SparseGeneration, AllExpertsGiveTheDenseText) {
  const std::vector<std::vector<int64_t>> prompts = {{5, 6, 7}, {8}};
  for (const char* pico : {"opt-350m-like-postln-proj", "llama-llama3-rope-scaling",
                           "gpt2-relu-ninner", "bart-gelu", "t5-v1_1-gated-gelu-untied"}) {
    SCOPED_TRACE(pico);
    const tests::TempDir dir;
    tests::SplitInto(tests::Pico(pico), dir / "moe", /*num_experts=*/4);
    model::Transformer dense = model::LoadTransformer(io::Checkpoint::Open(tests::Pico(pico)));
    const auto want = model::Generate(dense, prompts, {.max_new_tokens = 10});
    const split::MoeCheckpoint moe = split::MoeCheckpoint::Open(dir / "moe");
    runtime::SparseModel sparse(moe);
    sparse.Install("oracle", 1.0);
    EXPECT_EQ(model::Generate(sparse.transformer(), prompts, {.max_new_tokens = 10}), want);
    sparse.Install("random", 0.25);
    EXPECT_NE(model::Generate(sparse.transformer(), prompts, {.max_new_tokens = 10}), want);
    EXPECT_NEAR(sparse.Counters().FfnRatio(), 0.25, 1e-6);
  }
}

// The lengths of text at which memory for tensors was taken from the system, up to 250 tokens; the
// prompts differ in length, so that there is padding.
std::vector<int64_t> LengthsThatTookMemory(model::Transformer& model, double temperature) {
  model::GenerationOptions options;
  options.max_new_tokens = 246;
  options.temperature = temperature;
  std::vector<int64_t> lengths;
  int64_t length = 4, before = 0;
  const tests::StorageCount storages;
  model::Generate(model, {{5, 6, 7, 9}, {8}}, options, [&](size_t prompt_idx, int64_t) {
    if (prompt_idx > 0) return true;
    if (storages.Get() > before) lengths.push_back(length);
    before = storages.Get();
    ++length;
    return true;
  });
  EXPECT_EQ(length, 250);
  return lengths;
}

TEST(SparseGeneration, TakesMemoryOnlyWhenTheTextHasDoubled) {
  struct Case {
    const char* pico;
    int64_t first, last;  // no tensor outgrows its block at these lengths
  };
  for (const auto& [pico, first, last] :
       {Case{"llama-llama3-rope-scaling", 66, 128}, Case{"gemma-mqa", 66, 128},
        Case{"t5-relu-tied", 90, 131}, Case{"t5-v1_1-gated-gelu-untied", 90, 131}}) {
    const tests::TempDir dir;
    tests::SplitInto(tests::Pico(pico), dir / "moe", /*num_experts=*/4);
    model::Transformer dense = model::LoadTransformer(io::Checkpoint::Open(tests::Pico(pico)));
    const split::MoeCheckpoint moe = split::MoeCheckpoint::Open(dir / "moe");
    runtime::SparseModel sparse(moe);
    sparse.Install("similarity", 0.5);
    for (model::Transformer* const model : {&dense, &sparse.transformer()}) {
      for (const double temperature : {0.0, 1.0}) {
        SCOPED_TRACE(StrCat(pico, model == &dense ? ", dense" : ", sparse", ", at ", temperature));
        const std::vector<int64_t> lengths = LengthsThatTookMemory(*model, temperature);
        const auto between = [&](int64_t from, int64_t to) {
          return std::count_if(lengths.begin(), lengths.end(),
                               [&](int64_t length) { return from <= length && length <= to; });
        };
        EXPECT_GT(between(0, 5), 0);  // or this counts nothing
        EXPECT_EQ(between(first, last), 0) << testing::PrintToString(lengths);
        EXPECT_LE(between(16, 250), 10) << testing::PrintToString(lengths);  // four doublings
      }
    }
  }
}

}  // namespace
}  // namespace moefy
