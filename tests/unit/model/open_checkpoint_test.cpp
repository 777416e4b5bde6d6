#include "model/open_checkpoint.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <torch/csrc/jit/api/module.h>

#include "moefy/model/transformer.h"
#include "support/expect_error.h"
#include "support/shared_data.h"
#include "support/temp_dir.h"
#include "support/torch_bytes.h"

namespace moefy::model {
namespace {

TEST(OpenCheckpoint, ReadsTorchScript) {
  const tests::TempDir dir;
  torch::jit::Module inner("Inner");
  const at::Tensor weight = at::arange(6, at::kFloat).view({2, 3});
  inner.register_parameter("weight", weight.t(), false);  // not contiguous
  torch::jit::Module module("Net");
  module.register_module("fc1", inner);
  module.register_buffer("steps", at::full({}, 7, at::kLong));
  module.save((dir / "net.pt").string());

  const io::Checkpoint checkpoint = OpenCheckpoint(dir / "net.pt");
  EXPECT_THAT(checkpoint.TensorNames(), testing::ElementsAre("fc1.weight", "steps"));
  EXPECT_EQ(checkpoint.directory(), dir.path());
  EXPECT_EQ(checkpoint.Get("steps").dtype, io::DType::kI64);
  EXPECT_TRUE(at::equal(ReadTensor(checkpoint, "fc1.weight"), weight.t()));
  EXPECT_FALSE(checkpoint.is_safetensors());
  tests::ExpectError(ErrorKind::kInput, {"net.pt", "TorchScript"},
                     [&] { io::Checkpoint::Open(dir / "net.pt"); });
}

TEST(OpenCheckpoint, RefusesBadArchives) {
  const tests::TempDir dir;
  const auto bad = dir.Write(
      "bad.pt",
      tests::ZipBytes({{"bad/data.pkl", "x"}, {"bad/constants.pkl", "x"}, {"bad/version", "3\n"}}));
  tests::ExpectError(ErrorKind::kInput, {bad.string(), "LibTorch cannot read"},
                     [&] { OpenCheckpoint(bad); });
  torch::jit::Module("Empty").save((dir / "empty.pt").string());
  tests::ExpectError(ErrorKind::kInput, {"empty.pt", "without parameters"},
                     [&] { OpenCheckpoint(dir / "empty.pt"); });
}

TEST(OpenCheckpoint, LeavesTheRestToIo) {
  EXPECT_EQ(OpenCheckpoint(tests::TestData() / "torch/plain.pt").TensorNames().size(), 4u);
  EXPECT_TRUE(OpenCheckpoint(tests::TestData() / "pico/t5-relu-tied").is_safetensors());
}

}  // namespace
}  // namespace moefy::model
