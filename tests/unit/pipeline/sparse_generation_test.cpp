// Split models generate: with all experts what the dense one does, with fewer something else, and
// the counters say how much was run.
#include <gtest/gtest.h>

#include "moefy/model/generation.h"
#include "runtime/sparse_model.h"
#include "support/split_fixtures.h"
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
    sparse.Install(route::ParseSelection("oracle"), 1.0);
    EXPECT_EQ(model::Generate(sparse.transformer(), prompts, {.max_new_tokens = 10}), want);
    sparse.Install(route::ParseSelection("random"), 0.25);
    EXPECT_NE(model::Generate(sparse.transformer(), prompts, {.max_new_tokens = 10}), want);
    EXPECT_NEAR(sparse.Counters().FfnRatio(), 0.25, 1e-6);
  }
}

}  // namespace
}  // namespace moefy
