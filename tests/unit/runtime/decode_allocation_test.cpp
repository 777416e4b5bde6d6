// Generating text with a split model takes memory when the text has doubled, and otherwise none.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "moefy/base/strings.h"
#include "moefy/model/generation.h"
#include "runtime/sparse_model.h"
#include "support/route_fixtures.h"
#include "support/temp_dir.h"
#include "unit/runtime/allocation_count.h"

namespace moefy::runtime {
namespace {

constexpr int64_t kTokens = 246;
constexpr int64_t kEnd = 136;  // of the second text

bool IsPowerOfTwo(int64_t n) { return n > 0 && (n & (n - 1)) == 0; }

// The tokens of the first text before which anything was allocated. The prompts differ in length,
// so that there is padding, and the second text ends early.
std::vector<int64_t> TokensThatAllocate(model::Transformer& model, double temperature) {
  model::GenerationOptions options;
  options.max_new_tokens = kTokens;
  options.temperature = temperature;
  options.top_k = 7;
  options.top_p = 0.9;
  std::vector<int64_t> tokens;
  tokens.reserve(kTokens);
  int64_t token = 0, second = 0, before = tests::NumAllocations();
  model::Generate(model, {{5, 6, 7, 9}, {8}}, options, [&](size_t prompt_idx, int64_t) {
    if (prompt_idx > 0) return ++second < kEnd;
    if (tests::NumAllocations() > before) tokens.push_back(token);
    before = tests::NumAllocations();
    ++token;
    return true;
  });
  EXPECT_EQ(token, kTokens);
  EXPECT_EQ(second, kEnd);
  return tokens;
}

TEST(DecodeAllocation, OnlyWhenTheTextHasDoubled) {
  const at::NoGradGuard no_grad;
  struct Case {
    const char* pico;
    const char* router;
    const char* compensation;
  };
  for (const auto& [pico, router, compensation] :
       {Case{"llama-llama3-rope-scaling", "mlp", "none"}, Case{"gemma-mqa", "ridge", "low-rank"},
        Case{"mistral-gqa", "linear", "mean"}, Case{"falcon-40b-like-grouped", "mlp", "none"},
        Case{"t5-relu-tied", "mlp", "conditional"},
        Case{"t5-v1_1-gated-gelu-untied", "ridge", "none"}}) {
    const tests::TempDir dir;
    route::RouterTrainOptions options;
    options.router = router;
    options.compensation = compensation;
    options.epochs = 1;
    const split::MoeCheckpoint moe =
        tests::SplitAndRoute(tests::Pico(pico), dir, /*num_experts=*/2, options);
    for (const WeightFormat format : {WeightFormat::kF32, WeightFormat::kInt8}) {
      SparseModel sparse(moe, 0, format);
      sparse.Install(route::ParseSelection(router), 0.5);
      for (const double temperature : {0.0, 1.0}) {
        SCOPED_TRACE(
            StrCat(pico, ", ", router, ", ", WeightFormatName(format), ", at ", temperature));
        const std::vector<int64_t> tokens = TokensThatAllocate(sparse.transformer(), temperature);
        for (const int64_t token : tokens) {
          // The two texts have room for so many tokens, one after the other, and keys and values
          // for the prompt's four as well; when the second text ends, the mask begins.
          EXPECT_TRUE(token == 0 || IsPowerOfTwo(token) || IsPowerOfTwo(token - 1) ||
                      IsPowerOfTwo(token + 3) || token == kEnd)
              << "token " << token << " of " << testing::PrintToString(tokens);
        }
        EXPECT_THAT(tokens, testing::Contains(128)) << "nothing is counted";
        EXPECT_EQ(sparse.Counters().FfnRatio(), 0.5);
      }
    }
  }
}

}  // namespace
}  // namespace moefy::runtime
