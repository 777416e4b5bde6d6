#include "split/verify.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "unit/split/split_checkpoint.h"

namespace moefy::split {
namespace {

using ::testing::HasSubstr;
using Verify = SplitCheckpoint;

TEST_F(Verify, VerifyAcceptsTheSplitAndNothingElse) {
  tests::SplitInto(dense_, moe_, 8);
  const io::Checkpoint dense = io::Checkpoint::Open(dense_);
  {
    const MoeCheckpoint moe = MoeCheckpoint::Open(moe_);
    const VerifyReport report = VerifyMoe(dense, moe);
    EXPECT_TRUE(report.ok) << Join(report.problems, "\n");
    EXPECT_EQ(report.num_tensors, static_cast<int64_t>(dense.TensorNames().size()));
    EXPECT_EQ(report.num_permuted, static_cast<int64_t>(2 * moe.ffns().size()));
  }
  // One flipped bit in one FFN tensor and one in another tensor, each under its name.
  std::string bytes = tests::FileBytes(moe_ / "model.safetensors");
  const io::SafetensorsFile file(moe_ / "model.safetensors");
  const std::string w_out = MoeCheckpoint::Open(moe_).ffns()[0].spec.w_out;
  const size_t data = file.HeaderBytes().size();
  bytes[data + file.Find(w_out)->begin + 5] ^= 1;
  bytes[data + file.Find("shared.weight")->begin] ^= 1;
  std::filesystem::remove(moe_ / "model.safetensors");
  tests::WriteBytes(moe_ / "model.safetensors", bytes);
  Edit("config.json", "\"model_type\"", "\"extra\": 1, \"model_type\"");
  const VerifyReport report = VerifyMoe(dense, MoeCheckpoint::Open(moe_));
  EXPECT_FALSE(report.ok);
  ASSERT_EQ(report.problems.size(), 3u) << Join(report.problems, "\n");
  EXPECT_THAT(report.problems[0], HasSubstr("config.json differs"));
  EXPECT_THAT(
      report.problems[1],
      HasSubstr("'" + w_out + "' differs after the inverse permutation, first at byte 5 of"));
  EXPECT_THAT(report.problems[2], HasSubstr("'shared.weight' differs, first at byte 0 of"));
}

}  // namespace
}  // namespace moefy::split
