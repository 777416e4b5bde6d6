// Models whose weights stay in the file as they are stored, against models in memory.
#include <gtest/gtest.h>

#include "model/expected_tensors.h"
#include "model/family.h"
#include "model/read_parameters.h"
#include "moefy/model/transformer.h"
#include "support/shared_data.h"
#include "support/temp_dir.h"

namespace moefy::model {
namespace {

namespace fs = std::filesystem;

// Writes every tensor of `from` again as `dtype`.
void WriteAs(const fs::path& from, io::DType dtype, const fs::path& to) {
  const io::Checkpoint checkpoint = io::Checkpoint::Open(from);
  TensorMap tensors;
  for (const std::string& name : checkpoint.TensorNames()) {
    if (ComputableType(checkpoint.Get(name).dtype)) {
      tensors.emplace(name, ReadTensor(checkpoint, name));
    }
  }
  WriteTensors(tensors, to / "model.safetensors", dtype);
  fs::copy_file(from / "config.json", to / "config.json");
}

class AsStored : public ::testing::TestWithParam<io::DType> {};

TEST_P(AsStored, ComputesWhatAModelInMemoryComputes) {
  const at::NoGradGuard no_grad;
  for (const auto& pico : fs::directory_iterator(tests::TestData() / "pico")) {
    SCOPED_TRACE(pico.path().filename().string());
    const tests::TempDir dir;
    WriteAs(pico.path(), GetParam(), dir.path());
    const io::Checkpoint checkpoint = io::Checkpoint::Open(dir.path());
    Transformer in_memory = LoadTransformer(checkpoint);
    Transformer as_stored = LoadTransformer(checkpoint, nullptr, Parts::kAsStored);
    ForwardInputs inputs;
    inputs.input_ids = at::arange(2, 14, at::kLong).view({2, 6});
    inputs.attention_mask = at::ones({2, 6}, at::kLong);
    inputs.attention_mask[1][5] = 0;
    if (in_memory.config().architecture == Architecture::kEncoderDecoder) {
      inputs.decoder_input_ids = inputs.input_ids.slice(1, 0, 4);
    }
    const ForwardOutputs want = in_memory.Forward(inputs), found = as_stored.Forward(inputs);
    for (const auto member : {&ForwardOutputs::logits, &ForwardOutputs::start_logits,
                              &ForwardOutputs::last_hidden_state}) {
      ASSERT_EQ((found.*member).defined(), (want.*member).defined());
      if (!(want.*member).defined()) continue;
      EXPECT_TRUE(at::equal(found.*member, want.*member));
    }
  }
}

TEST_P(AsStored, LargeWeightsAreNotCopied) {
  for (const auto& pico : fs::directory_iterator(tests::TestData() / "pico")) {
    SCOPED_TRACE(pico.path().filename().string());
    const tests::TempDir dir;
    WriteAs(pico.path(), GetParam(), dir.path());
    const io::Checkpoint checkpoint = io::Checkpoint::Open(dir.path());
    const ModelConfig config = ReadModelConfig(checkpoint);
    const TensorMap parameters = ReadParameters(checkpoint, config, nullptr, Parts::kAsStored);
    size_t matrices = 0;
    for (const FfnSpec& spec : FfnSpecs(config)) {
      for (const std::string& name : {spec.w_in, spec.w_gate, spec.w_out}) {
        if (name.empty()) continue;
        const at::Tensor& weight = parameters.at(name);
        EXPECT_EQ(weight.scalar_type(), *ComputableType(GetParam()));
        EXPECT_EQ(weight.data_ptr(), checkpoint.Bytes(name).data());
        ++matrices;
      }
    }
    EXPECT_GE(matrices, 2u);
  }
}

INSTANTIATE_TEST_SUITE_P(Types, AsStored,
                         ::testing::Values(io::DType::kF32, io::DType::kF16, io::DType::kBF16));

}  // namespace
}  // namespace moefy::model
