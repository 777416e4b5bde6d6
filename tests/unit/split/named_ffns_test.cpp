#include "split/named_ffns.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "io/safetensors.h"
#include "split/merge.h"
#include "split/moe_writer.h"
#include "split/splitter.h"
#include "split/verify.h"
#include "support/expect_error.h"
#include "support/split_fixtures.h"
#include "support/temp_dir.h"

namespace moefy::split {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;

using Shapes = std::map<std::string, std::vector<uint64_t>>;

// F32 tensors counted through, so that no two rows are alike.
void WriteTensors(const std::filesystem::path& path, const Shapes& shapes) {
  std::vector<io::TensorInfo> infos;
  for (const auto& [name, shape] : shapes) {
    io::TensorInfo info;
    info.name = name;
    info.shape = shape;
    infos.push_back(info);
  }
  io::SafetensorsWriter writer(path, infos);
  float next = 0;
  for (const io::TensorInfo& info : infos) {
    std::vector<float> values(*io::NumElements(info.shape));
    for (float& value : values) value = next++;
    writer.Write(info.name, std::as_bytes(std::span(values)));
  }
  writer.Finish();
}

// Two layers of 8 neurons of width 3; layer 10 behind layer 2.
const Shapes kTwoLayers = {{"net.2.fc1.weight", {8, 3}}, {"net.2.fc1.bias", {8}},
                           {"net.2.fc2.weight", {3, 8}}, {"net.10.fc1.weight", {8, 3}},
                           {"net.10.fc1.bias", {8}},     {"net.10.fc2.weight", {3, 8}},
                           {"net.10.norm.weight", {3}},  {"table", {5, 3}}};
constexpr const char* kPattern = "net.{}.fc1.weight:net.{}.fc2.weight";

class NamedFfns : public testing::Test {
 protected:
  std::vector<model::FfnSpec> Find(const Shapes& shapes, const std::vector<std::string>& patterns) {
    std::filesystem::remove(dir_ / "model.safetensors");
    WriteTensors(dir_ / "model.safetensors", shapes);
    warnings_.clear();
    return FindNamedFfns(io::Checkpoint::Open(dir_.path()), patterns, warnings_);
  }
  void Refuse(ErrorKind kind, std::initializer_list<std::string_view> fragments,
              const std::string& pattern, const Shapes& shapes = kTwoLayers) {
    tests::ExpectError(kind, fragments, [&] { Find(shapes, {pattern}); });
  }
  tests::TempDir dir_;
  std::vector<std::string> warnings_;
};

TEST_F(NamedFfns, AreInTheOrderOfTheirNumbersWithTheirBiases) {
  const auto specs = Find(kTwoLayers, {kPattern});
  ASSERT_EQ(specs.size(), 2u);
  EXPECT_EQ(specs[0].name, "ffn.0");
  EXPECT_EQ(specs[0].w_in, "net.2.fc1.weight");
  EXPECT_EQ(specs[0].b_in, "net.2.fc1.bias");
  EXPECT_EQ(specs[0].w_out, "net.2.fc2.weight");
  EXPECT_EQ(specs[1].w_in, "net.10.fc1.weight");
  EXPECT_EQ(specs[1].num_neurons, 8);
  EXPECT_EQ(specs[1].hidden, 3);
  EXPECT_FALSE(specs[1].gated());
  EXPECT_TRUE(warnings_.empty()) << warnings_[0];
}

TEST_F(NamedFfns, MayBeGatedTransposedAndActivatedOtherwise) {
  const Shapes shapes = {
      {"up", {3, 8}}, {"gate.weight", {3, 8}}, {"gate.bias", {8}}, {"down", {8, 3}}, {"up_b", {8}}};
  const auto specs = Find(shapes, {"up:down:gate=gate.weight:b_in=up_b:transposed:act=silu"});
  ASSERT_EQ(specs.size(), 1u);
  EXPECT_TRUE(specs[0].transposed);
  EXPECT_EQ(specs[0].num_neurons, 8);
  EXPECT_EQ(specs[0].w_gate, "gate.weight");
  EXPECT_EQ(specs[0].b_gate, "gate.bias");
  EXPECT_EQ(specs[0].b_in, "up_b");
  EXPECT_EQ(specs[0].activation, model::Activation::kSilu);
}

TEST_F(NamedFfns, MayBeAFusedPair) {
  const Shapes shapes = {
      {"a.0.gate_up.weight", {16, 3}}, {"a.0.gate_up.bias", {16}}, {"a.0.down.weight", {3, 8}}};
  const auto specs = Find(shapes, {"a.{}.gate_up.weight:a.{}.down.weight:fused:act=silu"});
  ASSERT_EQ(specs.size(), 1u);
  EXPECT_TRUE(specs[0].fused());
  EXPECT_EQ(specs[0].num_neurons, 8);
  EXPECT_EQ(specs[0].w_gate, "a.0.gate_up.weight");
  EXPECT_EQ(specs[0].b_in, "a.0.gate_up.bias");
  EXPECT_EQ(specs[0].b_gate, specs[0].b_in);
  EXPECT_TRUE(warnings_.empty());
  EXPECT_EQ(Find(shapes, {"a.{}.gate_up.weight:a.{}.down.weight:gate=a.{}.gate_up.weight"})[0]
                .num_neurons,
            8);
  tests::ExpectError(ErrorKind::kInput, {"15 rows", "two for each neuron"}, [&] {
    Find({{"up", {15, 3}}, {"down", {3, 8}}}, {"up:down:fused"});
  });
  tests::ExpectError(ErrorKind::kUsage, {"fused", "[in, out]"}, [&] {
    Find({{"up", {3, 16}}, {"down", {8, 3}}}, {"up:down:fused:transposed"});
  });
}

TEST_F(NamedFfns, PatternsAddUp) {
  const auto specs =
      Find({{"a.0.w1", {4, 2}}, {"a.0.w2", {2, 4}}, {"b.w1", {6, 2}}, {"b.w2", {2, 6}}},
           {"b.w1:b.w2", "a.{}.w1:a.{}.w2"});
  ASSERT_EQ(specs.size(), 2u);
  EXPECT_EQ(specs[0].num_neurons, 6);
  EXPECT_EQ(specs[1].w_in, "a.0.w1");
}

TEST_F(NamedFfns, WarnOfWhatLooksLikeANeuronsEntry) {
  Shapes shapes = kTwoLayers;
  shapes["net.2.gate.weight"] = shapes["net.10.gate.weight"] = {8, 3};
  Find(shapes, {kPattern});
  ASSERT_EQ(warnings_.size(), 1u);
  EXPECT_THAT(warnings_[0], HasSubstr("'net.{}.gate.weight' [8, 3]"));
  Find(shapes, {std::string(kPattern) + ":gate=net.{}.gate.weight"});
  EXPECT_TRUE(warnings_.empty());
}

TEST_F(NamedFfns, WarnOfFewNeurons) {
  Find({{"c.weight", {3, 8}}, {"d.weight", {8, 3}}}, {"c.weight:d.weight"});
  ASSERT_EQ(warnings_.size(), 1u);
  EXPECT_THAT(warnings_[0], HasSubstr("3 neurons of width 8; if it is stored [in, out]"));
  Find({{"c.weight", {3, 8}}, {"d.weight", {8, 3}}}, {"c.weight:d.weight:transposed"});
  EXPECT_TRUE(warnings_.empty());
}

TEST_F(NamedFfns, RefuseWhatDoesNotFit) {
  const auto usage = ErrorKind::kUsage, input = ErrorKind::kInput;
  Refuse(usage, {"'net.{}.fc1.weight'", "W_OUT is missing", "expected W_IN:W_OUT"},
         "net.{}.fc1.weight");
  Refuse(usage, {"'gat=x' is not one of its parts", "did you mean 'gate'"},
         std::string(kPattern) + ":gat=x");
  Refuse(usage, {"act is 'tanhh'", "activation"}, std::string(kPattern) + ":act=tanhh");
  Refuse(usage, {"b_gate needs a gate"}, std::string(kPattern) + ":b_gate=x.{}");
  Refuse(usage, {"'net.0.fc2.weight' has not as many {}"}, "net.{}.fc1.weight:net.0.fc2.weight");
  Refuse(usage,
         {"no tensor is called 'net.{}.fcl.weight'", "nearest in the checkpoint",
          "'net.{}.fc1.weight'"},
         "net.{}.fcl.weight:net.{}.fc2.weight");
  Refuse(usage, {"no tensor is called", "'table'"}, "encoder.blocks.{}.wi:encoder.blocks.{}.wo");
  Refuse(input, {"W_OUT 'net.2.fc3.weight' is missing", "did you mean 'net.2.fc1.weight'"},
         "net.{}.fc1.weight:net.{}.fc3.weight");
  Refuse(input, {"W_IN 'net.2.fc1.bias' has shape [8]", "expected a matrix"},
         "net.{}.fc1.bias:net.{}.fc2.weight");
  Refuse(input, {"W_OUT 'net.2.fc1.weight' has shape [8, 3]", "[8, 3] wants [3, 8]"},
         "net.{}.fc1.weight:net.{}.fc1.weight");
  Refuse(input, {"b_in 'net.2.fc1.bias' has shape [8]", "(transposed) wants [3]"},
         "net.{}.fc1.weight:net.{}.fc2.weight:transposed:b_in=net.{}.fc1.bias");
  EXPECT_NO_THROW(Find(kTwoLayers, {kPattern}));
}

// Split, verified, merged back byte for byte; everything but the FFNs untouched.
TEST_F(NamedFfns, RoundTrip) {
  for (const bool with_config : {true, false}) {
    const tests::TempDir dir;
    const auto dense_dir = dir.Make("dense"), moe_dir = dir.Make("moe"), back = dir.Make("back");
    WriteTensors(dense_dir / "model.safetensors", kTwoLayers);
    if (with_config) dir.Write("dense/config.json", "{\"model_type\": \"nobody-knows\"}\n");
    const io::Checkpoint dense = io::Checkpoint::Open(dense_dir);
    std::vector<MoeFfn> ffns;
    for (const model::FfnSpec& spec : FindNamedFfns(dense, {kPattern}, warnings_)) {
      const model::FfnWeights weights = model::ReadFfnWeights(dense, spec);
      ffns.push_back({spec, GetSplitter("random").split({weights, 4, 1, 1})});
    }
    WriteMoeCheckpoint(dense, kNamedFamily, ffns, {{"method", "random"}}, moe_dir);
    const MoeCheckpoint moe = MoeCheckpoint::Open(moe_dir);
    EXPECT_EQ(moe.config().family, kNamedFamily);
    ASSERT_EQ(moe.ffns().size(), 2u);
    EXPECT_EQ(moe.ffns()[1].spec.w_in, "net.10.fc1.weight");
    EXPECT_EQ(moe.ffns()[1].spec.b_in, "net.10.fc1.bias");
    const VerifyReport report = VerifyMoe(dense, moe);
    EXPECT_TRUE(report.ok) << report.problems[0];
    EXPECT_EQ(report.num_permuted, 6);
    EXPECT_NE(tests::FileBytes(moe_dir / "model.safetensors"),
              tests::FileBytes(dense_dir / "model.safetensors"));
    MergeMoe(moe, back);
    EXPECT_EQ(tests::DirectoryBytes(back), tests::DirectoryBytes(dense_dir));
  }
}

TEST_F(NamedFfns, LyingManifestsAreRefused) {
  const tests::TempDir dir;
  const auto dense_dir = dir.Make("dense"), moe_dir = dir.Make("moe");
  WriteTensors(dense_dir / "model.safetensors", kTwoLayers);
  const io::Checkpoint dense = io::Checkpoint::Open(dense_dir);
  std::vector<MoeFfn> ffns;
  for (const model::FfnSpec& spec : FindNamedFfns(dense, {kPattern}, warnings_)) {
    const model::FfnWeights weights = model::ReadFfnWeights(dense, spec);
    ffns.push_back({spec, GetSplitter("random").split({weights, 4, 1, 1})});
  }
  WriteMoeCheckpoint(dense, kNamedFamily, ffns, {}, moe_dir);
  const std::string good = dir.Read("moe/moefy.json");
  const std::tuple<const char*, const char*, const char*> lies[] = {
      {"\"hidden\": 3", "\"hidden\": 4", "expected [8, 4]"},
      {"\"num_experts\": 4", "\"num_experts\": 9223372036854775807", "more than there can be"},
      {"\"num_experts\": 4", "\"num_experts\": 8", "I64 [16]"},
      {"\"w_out\": \"net.2.fc2.weight\"", "\"w_out\": \"net.3.fc2.weight\"", "is missing"},
      {"\"w_out\": \"net.2.fc2.weight\"", "\"w_out\": \"net.10.fc2.weight\"", "two FFNs"},
      {"\"activation\": \"relu\"", "\"activation\": \"rule\"", "'rule'"},
  };
  EXPECT_NO_THROW(MoeCheckpoint::Open(moe_dir));
  for (const auto& [from, to, fragment] : lies) {
    std::string text = good;
    ASSERT_NE(text.find(from), std::string::npos) << from;
    dir.Write("moe/moefy.json", text.replace(text.find(from), std::string(from).size(), to));
    tests::ExpectError(ErrorKind::kInput, {fragment}, [&] { MoeCheckpoint::Open(moe_dir); });
  }
}

}  // namespace
}  // namespace moefy::split
