// Splitting and merging gives back the dense checkpoint bit for bit, and verify agrees: every
// splitter on every committed pico model.
#include <gtest/gtest.h>

#include <numeric>
#include <set>

#include "moefy/base/strings.h"
#include "moefy/model/transformer.h"
#include "property/splitter_names.h"
#include "split/merge.h"
#include "split/verify.h"
#include "support/random_model.h"
#include "support/split_fixtures.h"
#include "support/temp_dir.h"

namespace moefy::split {
namespace {

using Param = std::tuple<std::string, std::string>;

class RoundTrip : public ::testing::TestWithParam<Param> {};

TEST_P(RoundTrip, IsBitForBit) {
  const auto& [method, pico] = GetParam();
  const tests::TempDir temp;
  const std::filesystem::path dense = temp.Make("dense"), merged = temp.Make("merged");
  tests::CopyModel(tests::Pico(pico), dense);
  tests::WriteBytes(dense / "vocab.txt", "a\nb\n");
  // Encoder and decoder may differ in size; these numbers divide both.
  const model::ModelConfig config = model::ReadModelConfig(dense / "config.json");
  const int64_t most = std::gcd(config.encoder.num_neurons, config.decoder.num_neurons);
  for (const int64_t num_experts : std::set<int64_t>{1, most / 2, most}) {
    const std::filesystem::path moe = temp.path() / ("moe" + std::to_string(num_experts));
    tests::SplitInto(dense, moe, num_experts, method, 3);
    const MoeCheckpoint opened = MoeCheckpoint::Open(moe);
    const VerifyReport report = VerifyMoe(io::Checkpoint::Open(dense), opened);
    EXPECT_TRUE(report.ok) << Join(report.problems, "\n");
    std::filesystem::remove_all(merged);
    std::filesystem::create_directory(merged);
    MergeMoe(opened, merged);
    EXPECT_EQ(tests::DirectoryBytes(merged), tests::DirectoryBytes(dense));
  }
}

// What a model gives, whatever its head.
at::Tensor OutputOf(const std::filesystem::path& directory) {
  const at::NoGradGuard no_grad;
  model::Transformer transformer = model::LoadTransformer(io::Checkpoint::Open(directory));
  model::ForwardInputs inputs;
  inputs.input_ids = at::arange(20, at::kLong).view({2, 10});
  if (transformer.config().architecture == model::Architecture::kEncoderDecoder) {
    inputs.decoder_input_ids = at::arange(12, at::kLong).view({2, 6});
  }
  const model::ForwardOutputs outputs = transformer.Forward(inputs);
  return outputs.logits.defined() ? outputs.logits : outputs.last_hidden_state;
}

// Splits a model with random weights and merges it again.
void ExpectRoundTrip(const Json& config, int64_t num_experts) {
  SCOPED_TRACE(config.dump());
  const tests::TempDir temp;
  const std::filesystem::path dense = temp.Make("dense"), merged = temp.Make("merged");
  tests::WriteRandomModel(config, dense);
  tests::SplitInto(dense, temp.path() / "moe", num_experts, "random", 3);
  const MoeCheckpoint opened = MoeCheckpoint::Open(temp.path() / "moe");
  const VerifyReport report = VerifyMoe(io::Checkpoint::Open(dense), opened);
  EXPECT_TRUE(report.ok) << Join(report.problems, "\n");
  EXPECT_TRUE(at::allclose(OutputOf(dense), OutputOf(temp.path() / "moe"), 1e-4, 1e-5));
  EXPECT_NE(tests::FileBytes(dense / "model.safetensors"),
            tests::FileBytes(temp.path() / "moe" / "model.safetensors"));
  MergeMoe(opened, merged);
  EXPECT_EQ(tests::DirectoryBytes(merged), tests::DirectoryBytes(dense));
}

// Of any head, of FFNs that several layers share (ALBERT) and of fused pairs (ModernBERT).
TEST(RoundTripOfEncoders, IsBitForBitAndComputesTheSame) {
  for (const Json& config : tests::NewEncoders()) ExpectRoundTrip(config, 8);
}

// Of matrices that are stored [in, out] under names that do not end in .weight (Marian's).
TEST(RoundTripOfMarianNames, IsBitForBitAndComputesTheSame) {
  ExpectRoundTrip(tests::NewTextToText().back(), 4);
}

TEST(RoundTripOfFusedPairs, IsBitForBitAndComputesTheSame) {
  ExpectRoundTrip(tests::SmallDecoder("phi3", "Phi3ForCausalLM"), 8);
}

std::vector<std::string> PicoNames() {
  std::vector<std::string> names;
  for (const auto& entry : std::filesystem::directory_iterator(tests::TestData() / "pico")) {
    if (std::filesystem::exists(entry.path() / "model.safetensors")) {
      names.push_back(entry.path().filename().string());
    }
  }
  std::ranges::sort(names);
  return names;
}

INSTANTIATE_TEST_SUITE_P(Picos, RoundTrip,
                         ::testing::Combine(::testing::ValuesIn(SplitterNames()),
                                            ::testing::ValuesIn(PicoNames())),
                         [](const auto& pair) {
                           std::string name =
                               std::get<0>(pair.param) + "_" + std::get<1>(pair.param);
                           std::ranges::replace(name, '-', '_');
                           return name;
                         });

}  // namespace
}  // namespace moefy::split
