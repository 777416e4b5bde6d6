// Numbers that are none, and memory that is not there.
#include <gtest/gtest.h>

#include <limits>

#include "io/safetensors.h"
#include "model/family.h"
#include "model/read_parameters.h"
#include "model/torch_error.h"
#include "moefy/model/transformer.h"
#include "support/expect_error.h"
#include "support/split_fixtures.h"
#include "support/temp_dir.h"

namespace moefy::model {
namespace {

using tests::ExpectError;

constexpr const char* kTensor = "encoder.block.1.layer.0.SelfAttention.q.weight";

// A pico model with one number in one tensor, of any type, changed.
void WriteChanged(const tests::TempDir& dir, double value, io::DType dtype) {
  const io::Checkpoint source = io::Checkpoint::Open(tests::Pico("t5-relu-tied"));
  TensorMap tensors;
  for (const std::string& name : source.TensorNames()) {
    tensors.emplace(name, ReadTensor(source, name));
  }
  std::filesystem::copy_file(tests::Pico("t5-relu-tied") / "config.json", dir / "config.json");
  tensors[kTensor] = tensors[kTensor].to(at::kDouble);
  tensors[kTensor][3][2] = value;
  WriteTensors(tensors, dir / "model.safetensors", dtype);
}

TEST(Values, WhatIsNotFiniteIsNamedByWhoeverReads) {
  for (const io::DType dtype :
       {io::DType::kF32, io::DType::kF16, io::DType::kBF16, io::DType::kF64}) {
    for (const double value : {std::numeric_limits<double>::quiet_NaN(),
                               -std::numeric_limits<double>::infinity(), 0.5}) {
      const tests::TempDir dir;
      WriteChanged(dir, value, dtype);
      const io::Checkpoint checkpoint = io::Checkpoint::Open(dir.path());
      const ModelConfig config = ReadModelConfig(checkpoint);
      if (value == 0.5) {
        CheckValues(checkpoint, config);
        ReadParameters(checkpoint, config, nullptr, Parts::kForExchange);
        ReadParameters(checkpoint, config);
        continue;
      }
      const char* name = value < 0 ? "-inf at [3, 2]" : "nan at [3, 2]";
      ExpectError(ErrorKind::kInput, {kTensor, name}, [&] { CheckValues(checkpoint, config); });
      ExpectError(ErrorKind::kInput, {kTensor, name}, [&] { ReadParameters(checkpoint, config); });
      ExpectError(ErrorKind::kInput, {kTensor, name},
                  [&] { ReadParameters(checkpoint, config, nullptr, Parts::kForExchange); });
    }
  }
}

TEST(Values, WhatIsTooLargeForF32IsNamed) {
  const tests::TempDir dir;
  WriteChanged(dir, 1e300, io::DType::kF64);
  ExpectError(ErrorKind::kInput, {"read as F32", kTensor, "inf at [3, 2]"},
              [&] { ReadTensor(io::Checkpoint::Open(dir.path()), kTensor); });
}

// The header's "F32" of one tensor becomes "I32": as many bytes, and no numbers to compute on.
TEST(Values, ATypeThatIsNotComputedOnIsRefusedByTheHeader) {
  const tests::TempDir dir;
  tests::CopyModel(tests::Pico("t5-relu-tied"), dir.path());
  const io::Checkpoint before = io::Checkpoint::Open(dir.path());
  CheckParameters(before, ReadModelConfig(before));
  std::string bytes = dir.Read("model.safetensors");
  const size_t name = bytes.find(StrCat("\"", kTensor, "\""));
  ASSERT_NE(name, std::string::npos);
  bytes.replace(bytes.find("F32", name), 3, "I32");
  dir.Write("model.safetensors", bytes);
  const io::Checkpoint checkpoint = io::Checkpoint::Open(dir.path());
  ExpectError(ErrorKind::kInput, {kTensor, "is stored as I32", "F32, F16, BF16 and F64"},
              [&] { CheckParameters(checkpoint, ReadModelConfig(checkpoint)); });
}

TEST(TorchError, MemoryThatIsNotThereIsTheSystems) {
  const auto of = [](const std::function<void()>& work) {
    try {
      work();
    } catch (const c10::Error& error) {
      return FromTorch(error);
    }
    return Error(ErrorKind::kUsage, "nothing was thrown");
  };
  const Error large = of([] { at::empty({int64_t{1} << 45}); });
  EXPECT_EQ(large.kind(), ErrorKind::kSystem) << large.what();
  EXPECT_NE(std::string(large.what()).find("out of memory: a tensor of 141 TB"), std::string::npos)
      << large.what();
  EXPECT_EQ(of([] { at::empty({int64_t{1} << 40, int64_t{1} << 40}); }).kind(), ErrorKind::kSystem);
  EXPECT_EQ(of([] { at::ones({2, 3}).mm(at::ones({2, 3})); }).kind(), ErrorKind::kBug);
}

}  // namespace
}  // namespace moefy::model
