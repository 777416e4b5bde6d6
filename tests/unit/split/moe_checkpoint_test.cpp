#include "split/moe_checkpoint.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "support/expect_error.h"
#include "unit/split/split_checkpoint.h"

namespace moefy::split {
namespace {

using MoeCheckpointTest = SplitCheckpoint;

TEST_F(MoeCheckpointTest, OpenSaysWhatIsWrong) {
  const auto expect = [&](const std::string& fragment) {
    tests::ExpectError(ErrorKind::kInput, {fragment}, [&] { MoeCheckpoint::Open(moe_); });
  };
  tests::ExpectError(ErrorKind::kInput, {"is not a split checkpoint: it has no moefy.json"},
                     [&] { MoeCheckpoint::Open(dense_); });
  tests::SplitInto(dense_, moe_, 8);
  const auto good = tests::DirectoryBytes(moe_);
  const auto restore = [&] {
    for (const auto& [name, bytes] : good) {
      std::filesystem::remove(moe_ / name);
      tests::WriteBytes(moe_ / name, bytes);
    }
  };
  EXPECT_NO_THROW(MoeCheckpoint::Open(moe_));

  Edit("moefy.json", "\"format\": 1", "\"format\": 2");
  expect("format is 2; this moefy (which reads formats up to 1) is older");
  restore();
  Edit("moefy.json", "\"family\": \"t5\"", "\"family\": \"bert\"");
  expect("is 'bert'; config.json says 't5'");
  restore();
  Edit("moefy.json", "\"name\": \"encoder.ffn.0\"", "\"name\": \"encoder.ffn.9\"");
  expect("FFN 0 is 'encoder.ffn.9'; expected 'encoder.ffn.0'");
  restore();
  Edit("moefy.json", "\"num_experts\": 8", "\"num_experts\": 16");
  expect("'encoder.ffn.0' has 16 experts of ");
  restore();
  Edit("moefy.json", "\"num_experts\": 8", "\"num_experts\": 0");
  expect("expected a whole number from 1");
  restore();
  Edit("moefy.json", "\"ffns\": [", "\"ffns\": [], \"others\": [");
  expect("lists 0 FFNs");
  restore();
  std::filesystem::remove(moe_ / "moefy.safetensors");
  expect("moefy.safetensors");
  restore();

  // A plan that is no permutation: the first neuron's place twice.
  std::string bytes = good.at("moefy.safetensors");
  const io::SafetensorsFile file(moe_ / "moefy.safetensors");
  const size_t begin = file.HeaderBytes().size() + file.Find("encoder.ffn.0.neuron_order")->begin;
  bytes.replace(begin + 8, 8, bytes.substr(begin, 8));
  std::filesystem::remove(moe_ / "moefy.safetensors");
  tests::WriteBytes(moe_ / "moefy.safetensors", bytes);
  expect("'encoder.ffn.0.neuron_order': expert plan: neuron ");
  restore();
  EXPECT_NO_THROW(MoeCheckpoint::Open(moe_));
}

}  // namespace
}  // namespace moefy::split
