#include "moefy/model/transformer.h"

#include <gtest/gtest.h>

#include "moefy/model/family.h"
#include "support/expect_error.h"
#include "support/shared_data.h"

namespace moefy::model {
namespace {

using tests::ExpectError;

Transformer LoadPico(const std::string& name) {
  return LoadTransformer(io::Checkpoint::Open(tests::TestData() / "pico" / name));
}

at::Tensor Ids(std::vector<int64_t> ids) { return at::tensor(ids, at::kLong).unsqueeze(0); }

// Padding is never computed on, so it must not change a thing.
TEST(Transformer, PaddingChangesNothing) {
  const at::NoGradGuard no_grad;
  Transformer model = LoadPico("bert-cls-gelu");
  ForwardInputs alone;
  alone.input_ids = Ids({5, 6, 7});
  ForwardInputs padded;
  padded.input_ids = at::cat({Ids({5, 6, 7, 0, 0}), Ids({9, 9, 9, 9, 9})});
  padded.attention_mask = at::cat({Ids({1, 1, 1, 0, 0}), Ids({1, 1, 1, 1, 1})});
  const at::Tensor want = model.Forward(alone).logits[0], got = model.Forward(padded).logits[0];
  EXPECT_TRUE(at::allclose(got, want, 1e-5, 1e-6));
}

TEST(Transformer, FeedForwardsSeeRealTokensOnlyAndCanBeExchanged) {
  class Counting final : public FeedForward {
   public:
    at::Tensor Forward(const at::Tensor& x) override {
      rows += x.size(0);
      return at::zeros_like(x);
    }
    int64_t rows = 0;
  };
  const at::NoGradGuard no_grad;
  Transformer model = LoadPico("bert-cls-relu");
  auto counting = std::make_unique<Counting>();
  Counting& seen = *counting;
  const auto before = model.ExchangeFeedForward(0, std::move(counting));
  EXPECT_NE(dynamic_cast<DenseFeedForward*>(before.get()), nullptr);
  ForwardInputs inputs;
  inputs.input_ids = Ids({5, 6, 7, 0, 0});
  inputs.attention_mask = Ids({1, 1, 1, 0, 0});
  model.Forward(inputs);
  EXPECT_EQ(seen.rows, 3);
}

TEST(Transformer, GradientsReachEveryParameter) {
  const io::Checkpoint checkpoint =
      io::Checkpoint::Open(tests::TestData() / "pico" / "t5-relu-tied");
  const ModelConfig config = ReadModelConfig(checkpoint.directory() / "config.json");
  TensorMap parameters = ReadParameters(checkpoint, config);
  for (auto& [name, tensor] : parameters) tensor.requires_grad_();
  Transformer model(config, parameters);
  ForwardInputs inputs;
  inputs.input_ids = Ids({5, 6, 7});
  inputs.decoder_input_ids = Ids({0, 8});
  model.Forward(inputs).logits.square().sum().backward();
  for (const auto& [name, tensor] : parameters) {
    ASSERT_TRUE(tensor.grad().defined()) << name;
    EXPECT_GT(tensor.grad().abs().sum().item<float>(), 0) << name;
  }
}

TEST(Transformer, BadInputsAreRefused) {
  Transformer t5 = LoadPico("t5-relu-tied");     // 203 tokens
  Transformer bert = LoadPico("bert-cls-relu");  // 64 positions, 3 token types
  ForwardInputs inputs;
  inputs.input_ids = Ids({5, 203});
  inputs.decoder_input_ids = Ids({0});
  ExpectError(ErrorKind::kInput, {"input_ids", "203", "0 to 202"}, [&] { t5.Forward(inputs); });
  inputs.input_ids = Ids({5, -1});
  ExpectError(ErrorKind::kInput, {"input_ids", "-1"}, [&] { t5.Forward(inputs); });
  inputs.input_ids = Ids({5});
  inputs.decoder_input_ids = at::Tensor();
  ExpectError(ErrorKind::kInput, {"decoder_input_ids", "missing"}, [&] { t5.Forward(inputs); });
  inputs.decoder_input_ids = at::zeros({2, 1}, at::kLong);
  ExpectError(ErrorKind::kInput, {"batch of 2"}, [&] { t5.Forward(inputs); });

  ForwardInputs text;
  text.input_ids = at::ones({1, 65}, at::kLong);
  ExpectError(ErrorKind::kInput, {"65 tokens", "64 positions"}, [&] { bert.Forward(text); });
  text.input_ids = Ids({1, 2});
  text.token_type_ids = Ids({0, 3});
  ExpectError(ErrorKind::kInput, {"token_type_ids", "3"}, [&] { bert.Forward(text); });
  text.token_type_ids = Ids({0});
  ExpectError(ErrorKind::kInput, {"token_type_ids", "[1, 1]", "[1, 2]"},
              [&] { bert.Forward(text); });
  text.token_type_ids = at::Tensor();
  text.input_ids = at::empty({1, 0}, at::kLong);
  ExpectError(ErrorKind::kInput, {"input_ids", "empty"}, [&] { bert.Forward(text); });
}

TEST(Transformer, EveryMissingTensorIsReportedAtOnce) {
  const io::Checkpoint checkpoint =
      io::Checkpoint::Open(tests::TestData() / "pico" / "t5-relu-tied");
  ModelConfig config = ReadModelConfig(checkpoint.directory() / "config.json");
  config.num_encoder_layers = 4;  // the file has 3
  ExpectError(ErrorKind::kInput,
              {"encoder.block.3.layer.0.SelfAttention.q.weight",
               "encoder.block.3.layer.1.DenseReluDense.wi.weight", "is missing"},
              [&] { ReadParameters(checkpoint, config); });
  config.num_encoder_layers = 2;  // now there are tensors left over
  std::vector<std::string> warnings;
  ReadParameters(checkpoint, config, &warnings);
  ASSERT_EQ(warnings.size(), 1u);
  EXPECT_NE(warnings[0].find("not used"), std::string::npos);
}

}  // namespace
}  // namespace moefy::model
