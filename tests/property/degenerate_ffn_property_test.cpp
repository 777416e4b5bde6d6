// FFNs that implementations of k-means stumble over: whatever the splitter, the partition is
// balanced and the same each time.
#include <gtest/gtest.h>

#include <algorithm>

#include "moefy/base/strings.h"
#include "split/shared_experts.h"
#include "support/temp_dir.h"
#include "support/write_dump.h"

namespace moefy::split {
namespace {

constexpr int64_t kNeurons = 96, kHidden = 16, kExperts = 8;

struct Degenerate {
  const char* name;
  void (*change)(model::FfnWeights& ffn);
};

const Degenerate kDegenerate[] = {
    {"equal_rows",
     [](model::FfnWeights& ffn) {
       ffn.w_in = ffn.w_in.narrow(0, 0, 1).repeat({kNeurons, 1});
     }},
    {"zero_rows", [](model::FfnWeights& ffn) { ffn.w_in.zero_(); }},
    {"two_distinct_rows",
     [](model::FfnWeights& ffn) {
       ffn.w_in = ffn.w_in.narrow(0, 0, 2).repeat_interleave(kNeurons / 2, 0).contiguous();
     }},
    {"one_huge_row", [](model::FfnWeights& ffn) { ffn.w_in[0].mul_(1e36); }},
    {"denormals", [](model::FfnWeights& ffn) { ffn.w_in.mul_(1e-42); }},
    {"never_fires", [](model::FfnWeights& ffn) { ffn.b_in = at::full({kNeurons}, -1e6); }},
    {"one_neuron_fires",
     [](model::FfnWeights& ffn) {
       ffn.b_in = at::full({kNeurons}, -1e6);
       ffn.b_in[3] = 1e6;
     }},
    {"nothing_goes_out", [](model::FfnWeights& ffn) { ffn.w_out.zero_(); }},
};

void ExpectBalanced(const ExpertPlan& plan) {
  EXPECT_EQ(plan.num_experts(), kExperts);
  std::vector<int64_t> sorted = plan.order();
  std::ranges::sort(sorted);
  for (int64_t i = 0; i < kNeurons; ++i) ASSERT_EQ(sorted[static_cast<size_t>(i)], i);
}

TEST(DegenerateFfn, EverySplitterGivesABalancedPartition) {
  for (const Degenerate& degenerate : kDegenerate) {
    at::manual_seed(5);
    model::FfnWeights ffn;
    ffn.w_in = at::randn({kNeurons, kHidden});
    ffn.w_out = at::randn({kNeurons, kHidden});
    degenerate.change(ffn);
    const tests::TempDir temp;
    const record::ActivationDump dump =
        tests::WriteDump(temp.path() / "dump", {{"ffn.0", at::randn({300, kHidden})}});
    const record::RecordedInputs inputs(dump, 0);
    for (const Splitter& splitter : Splitters()) {
      std::vector<std::string> features = {"auto"};
      if (splitter.takes_features) features.emplace_back("contribution");
      for (const std::string& of : features) {
        for (const int64_t num_shared : {0, 2}) {
          SCOPED_TRACE(StrCat(degenerate.name, " ", splitter.name, " ", of, " ", num_shared));
          const SplitRequest request = {ffn, kExperts, 3, 2, of, inputs};
          const ExpertPlan plan = SplitWithShared(splitter, request, num_shared);
          ExpectBalanced(plan);
          EXPECT_EQ(SplitWithShared(splitter, request, num_shared).order(), plan.order());
        }
      }
    }
  }
}

}  // namespace
}  // namespace moefy::split
