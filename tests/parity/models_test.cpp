// Pico models of every family against outputs recorded from the reference implementation
// (transformers 4.44): logits, hidden states, FFN inputs, activations and outputs, loss.
// A row per case; adding a family is adding rows.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstring>

#include "moefy/base/error.h"
#include "moefy/model/family.h"
#include "moefy/model/transformer.h"
#include "support/shared_data.h"
#include "support/tolerances.h"

namespace moefy::model {
namespace {

struct Case {
  const char* directory;  // under tests/data/pico
  const char* golden;
  int num_compared;  // tensors that must have been compared, so that none is lost silently
};

std::ostream& operator<<(std::ostream& out, const Case& c) {
  return out << c.directory << "/" << c.golden;
}

// The recorded tensors by name; integers as I64, the rest as F32.
std::map<std::string, at::Tensor> ReadGolden(const std::filesystem::path& path) {
  const io::SafetensorsFile file(path);
  std::map<std::string, at::Tensor> tensors;
  for (const io::TensorInfo& info : file.tensors()) {
    const bool is_float = info.dtype == io::DType::kF32;
    at::Tensor tensor = at::empty(std::vector<int64_t>(info.shape.begin(), info.shape.end()),
                                  is_float ? at::kFloat : at::kLong);
    EXPECT_EQ(tensor.nbytes(), info.num_bytes()) << info.name;
    std::memcpy(tensor.data_ptr(), file.Bytes(info).data(), info.num_bytes());
    tensors.emplace(info.name, tensor);
  }
  return tensors;
}

// Largest violation of |got - want| <= absolute + relative * |want| over the rows where mask is 1.
void ExpectClose(const std::string& name, at::Tensor got, at::Tensor want, const at::Tensor& mask) {
  ASSERT_EQ(got.sizes(), want.sizes()) << name;
  if (mask.defined() && want.dim() >= 2 && want.size(1) == mask.size(1)) {
    got = got.flatten(0, 1).index_select(0, mask.flatten().nonzero().flatten());
    want = want.flatten(0, 1).index_select(0, mask.flatten().nonzero().flatten());
  }
  const at::Tensor difference = (got - want).abs();
  const at::Tensor allowed = tests::kReferenceAbsolute +
                             tests::kReferenceRelative * want.abs().clamp_min(1.0) -
                             tests::kReferenceRelative;
  const at::Tensor excess = (difference - allowed).flatten();
  const int64_t worst = excess.argmax().item<int64_t>();
  EXPECT_LE(excess[worst].item<float>(), 0)
      << name << ": element " << worst << " is " << got.flatten()[worst].item<float>()
      << ", recorded " << want.flatten()[worst].item<float>();
  std::printf("  %-32s max difference %.2e\n", name.c_str(), difference.max().item<double>());
}

// T5 shifts labels to the right; -100 marks ignored positions.
at::Tensor ShiftRight(const at::Tensor& labels, int64_t start_id, int64_t pad_id) {
  at::Tensor shifted = at::full_like(labels, start_id);
  shifted.narrow(1, 1, labels.size(1) - 1).copy_(labels.narrow(1, 0, labels.size(1) - 1));
  return shifted.masked_fill(shifted == -100, pad_id);
}

class ModelParity : public testing::TestWithParam<Case> {};

TEST_P(ModelParity, EqualsTheReference) {
  const at::NoGradGuard no_grad;
  const auto directory = tests::TestData() / "pico" / GetParam().directory;
  const io::Checkpoint checkpoint = io::Checkpoint::Open(directory);
  std::vector<std::string> warnings;
  Transformer model = LoadTransformer(checkpoint, &warnings);
  EXPECT_THAT(warnings, testing::IsEmpty());

  auto golden = ReadGolden(directory / GetParam().golden);
  const auto take = [&](const char* name) {
    const auto found = golden.find(name);
    return found == golden.end() ? at::Tensor() : found->second;
  };
  ForwardInputs inputs{take("input_ids"), take("attention_mask"), take("token_type_ids"),
                       take("decoder_input_ids"), take("decoder_attention_mask")};
  const at::Tensor labels = take("labels");
  const ModelConfig& config = model.config();
  if (labels.defined() && config.architecture == Architecture::kEncoderDecoder) {
    inputs.decoder_input_ids = ShiftRight(labels, config.decoder_start_id, config.pad_id);
  }

  std::map<std::string, at::Tensor> results;
  const ForwardOutputs outputs = model.Forward(
      inputs, [&](const std::string& name, const at::Tensor& states) { results[name] = states; });
  if (outputs.logits.defined()) results["logits"] = outputs.logits;
  if (outputs.start_logits.defined()) {
    results["start_logits"] = outputs.start_logits;
    results["end_logits"] = outputs.end_logits;
  }
  for (const FfnSpec& spec : FfnSpecs(config)) {
    const FfnWeights ffn = ReadFfnWeights(checkpoint, spec);
    const at::Tensor& x = results.at(spec.name + ".input");
    const at::Tensor in = at::linear(x, ffn.w_in, ffn.b_in);
    results[spec.name + ".act"] =
        Activate(ffn.activation, spec.gated() ? at::linear(x, ffn.w_gate) : in);
    if (spec.gated()) results[spec.name + ".up"] = in;
    results[spec.name + ".down_in"] = NeuronActivations(ffn, x);
  }
  if (labels.defined()) {
    results["loss"] =
        at::cross_entropy_loss(outputs.logits.flatten(0, -2), labels.flatten()).view(1);
  }

  int num_compared = 0;
  for (const auto& [name, want] : golden) {
    if (want.scalar_type() != at::kFloat) continue;
    ASSERT_TRUE(results.contains(name)) << name << " was recorded and is not computed";
    const bool decoder = name.starts_with("decoder.") ||
                         (name == "logits" && config.architecture == Architecture::kEncoderDecoder);
    ExpectClose(name, results[name], want,
                decoder ? inputs.decoder_attention_mask : inputs.attention_mask);
    ++num_compared;
  }
  EXPECT_EQ(num_compared, GetParam().num_compared);
}

INSTANTIATE_TEST_SUITE_P(
    Pico, ModelParity,
    testing::Values(Case{"t5-relu-tied", "golden.safetensors", 24},
                    Case{"t5-relu-tied", "golden_nomask_labels.safetensors", 5},
                    Case{"t5-relu-untied-longbucket", "golden.safetensors", 4},
                    Case{"t5-relu-untied-longbucket", "golden_nomask_labels.safetensors", 5},
                    Case{"t5-v1_1-gated-gelu-untied", "golden.safetensors", 34},
                    Case{"t5-v1_1-gated-gelu-untied", "golden_nomask_labels.safetensors", 5},
                    Case{"bert-cls-gelu", "golden.safetensors", 14},
                    Case{"bert-cls-gelu", "golden_nomask.safetensors", 2},
                    Case{"bert-cls-relu", "golden.safetensors", 10},
                    Case{"bert-cls-relu", "golden_nomask.safetensors", 2},
                    Case{"bert-qa-gelu", "golden.safetensors", 11},
                    Case{"bert-qa-gelu", "golden_nomask.safetensors", 3}));

}  // namespace
}  // namespace moefy::model
