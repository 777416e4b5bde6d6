#include "record/recorded_inputs.h"

#include <gtest/gtest.h>

#include "support/temp_dir.h"
#include "support/write_dump.h"

namespace moefy::record {
namespace {

class Visiting : public ::testing::TestWithParam<std::pair<int64_t, int64_t>> {};

TEST_P(Visiting, GivesSoManyTokensInOrderFromTheWholeDump) {
  const auto [tokens, most] = GetParam();
  const tests::TempDir temp;
  const auto dump = tests::WriteDump(
      temp.path() / "dump",
      {{"ffn.0", at::zeros({1, 2})}, {"ffn.1", at::arange(tokens, at::kFloat).view({tokens, 1})}});
  std::vector<at::Tensor> pieces = {at::zeros({0, 1})};
  RecordedInputs(dump, 1).Visit(most, [&](const at::Tensor& x) {
    EXPECT_LE(x.size(0), 256);
    pieces.push_back(x.clone());
  });
  const at::Tensor all = at::cat(pieces).view({-1});
  ASSERT_EQ(all.numel(), std::min(tokens, most));
  if (all.numel() < 2) return;
  EXPECT_GT(all.diff().min().item<float>(), 0);  // in order, none twice
  EXPECT_EQ(all[0].item<float>(), 0);
  // The last piece lies in the last part of the dump.
  const int64_t num_pieces = (all.numel() + 255) / 256;
  EXPECT_GE(all[-1].item<double>(), static_cast<double>(tokens) *
                                        static_cast<double>(num_pieces - 1) /
                                        static_cast<double>(num_pieces));
}

INSTANTIATE_TEST_SUITE_P(Sizes, Visiting,
                         ::testing::Values(std::pair{0, 10}, std::pair{1, 10}, std::pair{256, 256},
                                           std::pair{257, 1000}, std::pair{1000, 300},
                                           std::pair{5000, 1024}, std::pair{5000, 4999}));

}  // namespace
}  // namespace moefy::record
