#include "moefy/model/transformer.h"

#include <gtest/gtest.h>

#include "io/safetensors.h"
#include "model/family.h"
#include "model/read_parameters.h"
#include "support/expect_error.h"
#include "support/shared_data.h"
#include "support/temp_dir.h"
#include "unit/model/load_pico.h"

namespace moefy::model {
namespace {

using tests::ExpectError;

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

// Nothing but padding: no row is computed, whatever the family does to rows.
TEST(Transformer, ATextOfPaddingAloneGivesNothing) {
  const at::NoGradGuard no_grad;
  for (const char* pico : {"bert-cls-gelu", "falcon-7b-like-mqa", "gemma-mqa", "gpt2-relu-ninner",
                           "llama-llama3-rope-scaling", "t5-relu-tied"}) {
    SCOPED_TRACE(pico);
    Transformer model = LoadPico(pico);
    ForwardInputs inputs;
    inputs.input_ids = Ids({5, 6, 7});
    inputs.attention_mask = at::zeros({1, 3}, at::kLong);
    if (model.config().architecture == Architecture::kEncoderDecoder) {
      inputs.decoder_input_ids = Ids({0, 5});
      inputs.decoder_attention_mask = at::zeros({1, 2}, at::kLong);
    }
    EXPECT_TRUE(model.Forward(inputs).logits.isfinite().all().item<bool>());
  }
}

TEST(Transformer, EveryMissingTensorIsReportedAtOnce) {
  const io::Checkpoint checkpoint =
      io::Checkpoint::Open(tests::TestData() / "pico" / "t5-relu-tied");
  ModelConfig config = ReadModelConfig(checkpoint.directory() / "config.json");
  config.encoder.num_layers = 4;  // the file has 3
  ExpectError(ErrorKind::kInput,
              {"encoder.block.3.layer.0.SelfAttention.q.weight",
               "encoder.block.3.layer.1.DenseReluDense.wi.weight", "is missing"},
              [&] { ReadParameters(checkpoint, config); });
  config.encoder.num_layers = 2;  // now there are tensors left over
  ExpectError(ErrorKind::kInput, {"holds 8 tensors", "no use for", "'encoder.block.2.layer."},
              [&] { ReadParameters(checkpoint, config); });
}

// In one layer a token sees its window and nothing else: cutting off what is before changes
// nothing.
TEST(Transformer, ASlidingWindowHidesWhatIsBeforeIt) {
  const at::NoGradGuard no_grad;
  const io::Checkpoint checkpoint =
      io::Checkpoint::Open(tests::TestData() / "pico" / "mistral-gqa");
  ModelConfig config = ReadModelConfig(checkpoint);
  const TensorMap parameters = ReadParameters(checkpoint, config);
  config.decoder.num_layers = 1;
  config.sliding_window = 4;
  Transformer model(config, parameters);
  const at::Tensor ids = Ids({5, 6, 7, 8, 9, 10, 11, 12, 13});
  ForwardInputs inputs;
  inputs.input_ids = ids;
  const at::Tensor logits = model.Forward(inputs).logits[0];
  for (int64_t t = 0; t < ids.size(1); ++t) {
    const int64_t seen = std::min<int64_t>(t + 1, 4);
    inputs.input_ids = ids.narrow(1, t + 1 - seen, seen);
    const at::Tensor cut = model.Forward(inputs).logits[0][seen - 1];
    EXPECT_TRUE(at::allclose(logits[t], cut, 1e-4, 1e-5)) << t;
    if (t < 4) continue;
    inputs.input_ids = ids.narrow(1, t - 4, 5);  // one token more would change something
    config.sliding_window = 5;
    Transformer wider(config, parameters);
    EXPECT_FALSE(at::allclose(logits[t], wider.Forward(inputs).logits[0][4], 1e-4, 1e-5)) << t;
  }
}

// A decoder classifies by its last real token, whichever side the padding is on.
TEST(Transformer, DecodersClassifyByTheLastToken) {
  const at::NoGradGuard no_grad;
  const std::filesystem::path directory = tests::TestData() / "pico" / "gpt2-relu-ninner";
  const io::Checkpoint checkpoint = io::Checkpoint::Open(directory);
  Json json = ReadJsonFile(directory / "config.json");
  const ModelConfig language_model = ParseModelConfig(json, "c");
  json["architectures"] = {"GPT2ForSequenceClassification"};
  json["id2label"] = {{"0", "no"}, {"1", "yes"}, {"2", "perhaps"}};
  const ModelConfig config = ParseModelConfig(json, "c");
  TensorMap parameters = ReadParameters(checkpoint, language_model);
  const at::Tensor score = at::arange(120, at::kFloat).sin().view({3, 40});
  parameters["score.weight"] = score;
  Transformer model(config, parameters);
  at::Tensor last;  // hidden states of the last token
  ForwardInputs alone;
  alone.input_ids = Ids({5, 6, 7});
  const at::Tensor logits = model
                                .Forward(alone,
                                         [&](const auto& name, const at::Tensor& states) {
                                           if (name == "hidden_states.2") last = states[0][2];
                                         })
                                .logits;
  EXPECT_TRUE(at::allclose(logits[0], at::mv(score, last)));
  ForwardInputs padded;
  padded.input_ids = at::cat({Ids({5, 6, 7, 0}), Ids({0, 5, 6, 7})});
  padded.attention_mask = at::cat({Ids({1, 1, 1, 0}), Ids({0, 1, 1, 1})});
  const at::Tensor both = model.Forward(padded).logits;
  EXPECT_TRUE(at::allclose(both[0], logits[0], 1e-5, 1e-6));
  EXPECT_TRUE(at::allclose(both[1], logits[0], 1e-5, 1e-6));
}

TEST(Transformer, ADisagreeingShapeNamesTensorAndField) {
  const auto disagree = [](const char* pico, const char* key, const Json& value,
                           std::initializer_list<std::string_view> fragments) {
    SCOPED_TRACE(key);
    const std::filesystem::path directory = tests::TestData() / "pico" / pico;
    const io::Checkpoint checkpoint = io::Checkpoint::Open(directory);
    Json json = ReadJsonFile(directory / "config.json");
    EXPECT_NO_THROW(CheckParameters(checkpoint, ParseModelConfig(json, "c")));  // the twin
    json[key] = value;
    ExpectError(ErrorKind::kInput, fragments,
                [&] { CheckParameters(checkpoint, ParseModelConfig(json, "c")); });
  };
  disagree("t5-relu-tied", "vocab_size", 204,
           {"'shared.weight' has shape [203, 48]", "[204, 48]", "(vocab_size 204)"});
  disagree("t5-relu-tied", "d_ff", 113, {".wi.weight", "[113, 48]", "(d_ff 113)"});
  disagree("t5-relu-tied", "num_layers", 4, {"encoder.block.3.", "missing", "(num_layers 4)"});
  disagree("llama-llama3-rope-scaling", "num_key_value_heads", 1,
           {"k_proj.weight", "[12, 48]", "(num_key_value_heads 1 of 12)"});
  disagree("gpt2-relu-ninner", "n_inner", 120, {"mlp.c_fc.weight", "[40, 120]", "(n_inner 120)"});
  disagree("opt-350m-like-postln-proj", "word_embed_proj_dim", 44, {"embed_tokens", "[183, 44]"});
}

TEST(Transformer, OldNamesAreReadAndReported) {
  const at::NoGradGuard no_grad;
  const auto old_names = [](const char* pico, const std::string& from, const std::string& to,
                            const char* warning) {
    SCOPED_TRACE(pico);
    const std::filesystem::path directory = tests::TestData() / "pico" / pico;
    const tests::TempDir dir;
    std::filesystem::copy_file(directory / "config.json", dir / "config.json");
    const io::Checkpoint usual = io::Checkpoint::Open(directory);
    std::vector<io::TensorInfo> infos;
    std::map<std::string, std::string> usual_name;
    for (const std::string& name : usual.TensorNames()) {
      io::TensorInfo info;
      info.name = ReplaceAll(ReplaceAll(name, from + ".weight", to + ".gamma"), from + ".bias",
                             to + ".beta");
      if (to.empty() && name.starts_with(from)) info.name = name.substr(from.size());
      info.dtype = usual.Get(name).dtype;
      info.shape = usual.Get(name).shape;
      usual_name[info.name] = name;
      infos.push_back(info);
    }
    io::SafetensorsWriter writer(dir / "model.safetensors", infos);
    for (const auto& [name, was] : usual_name) writer.Write(name, usual.Bytes(was));
    writer.Finish();

    std::vector<std::string> warnings;
    const io::Checkpoint old = io::Checkpoint::Open(dir.path());
    Transformer model = LoadTransformer(old, &warnings);
    ASSERT_EQ(warnings.size(), 1u);
    EXPECT_NE(warnings[0].find(warning), std::string::npos) << warnings[0];
    EXPECT_NE(old.Find(model.ffn_spec(0).w_in), nullptr);
    ForwardInputs inputs;
    inputs.input_ids = Ids({5, 6, 7});
    EXPECT_TRUE(at::equal(model.Forward(inputs).logits, LoadPico(pico).Forward(inputs).logits));
  };
  old_names("bert-cls-relu", "LayerNorm", "LayerNorm", "gamma and beta");
  old_names("gpt2-relu-ninner", "transformer.", "", "'transformer.'");
  old_names("opt-350m-like-postln-proj", "model.", "", "'model.'");
}

}  // namespace
}  // namespace moefy::model
