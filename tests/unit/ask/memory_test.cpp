// What is in memory at once, counted: it must not grow with the vocabulary times the tokens, nor
// with the square of a text's length.
#include <gtest/gtest.h>

#include "base/json.h"
#include "model/expected_tensors.h"
#include "record/dump_writer.h"
#include "record/recorder.h"
#include "support/temp_dir.h"
#include "support/tensor_memory.h"
#include "support/tiny_tasks.h"

namespace moefy::ask {
namespace {

using tests::kMegabyte;
using tests::PeakTensorBytes;

constexpr int64_t kVocab = 256000;

// Random weights of such a shape.
model::Transformer MakeModel(const Json& json) {
  const model::ModelConfig config = model::ParseModelConfig(json, "config.json");
  model::TensorMap parameters;
  for (const model::ExpectedTensor& want : model::ExpectedTensors(config)) {
    at::Tensor tensor = at::empty(want.shape);
    parameters.emplace(want.name,
                       want.shape.size() == 1 ? tensor.fill_(1) : tensor.normal_(0, 0.3));
  }
  return {config, parameters};
}

// A pico model's shape with other sizes.
model::Transformer MakeModel(const std::string& pico, const Json& changes) {
  Json json = ReadJsonFile(tests::Pico(pico) / "config.json");
  json.update(changes);
  return MakeModel(json);
}

model::Transformer LargeVocabulary() {
  return MakeModel("llama-llama3-rope-scaling",
                   {{"vocab_size", kVocab}, {"hidden_size", 8}, {"intermediate_size", 16}});
}

task::Dataset OfTexts(const std::vector<std::string>& texts, const std::string& field) {
  task::Dataset dataset;
  for (size_t i = 0; i < texts.size(); ++i) {
    task::Example example;
    example.fields[field] = texts[i];
    example.label_idx = static_cast<int64_t>(i % 2);
    dataset.examples.push_back(example);
  }
  return dataset;
}

std::string Repeated(const std::string& word, int64_t count) {
  std::string text;
  for (int64_t i = 0; i < count; ++i) text += word + " ";
  return text;
}

TEST(Memory, RecordingMakesNoLogits) {
  const at::NoGradGuard no_grad;
  model::Transformer model = LargeVocabulary();
  const tests::TempDir dir;
  record::DumpWriter writer(dir.path(), {"llama", "f", "c"}, record::FfnsToRecord(model), 10000);
  int batches_left = 1;
  const auto source = [&]() -> std::optional<model::ForwardInputs> {
    if (batches_left-- == 0) return std::nullopt;
    model::ForwardInputs inputs;
    inputs.input_ids = at::arange(4096, at::kLong).view({8, 512});
    return inputs;
  };
  const int64_t peak =
      PeakTensorBytes([&] { record::RecordActivations(model, source, writer, SilentProgress()); });
  // The logits alone would be 4,000 MB; the scores of 8 texts and 4 heads are 32 MB.
  EXPECT_LT(peak, 150 * kMegabyte);
  EXPECT_GT(peak, kMegabyte) << "nothing was counted";
}

TEST(Memory, PerplexityMakesLogitsOfAFewTokensAtATime) {
  const at::NoGradGuard no_grad;
  model::Transformer model = LargeVocabulary();
  task::TaskSpec spec;
  spec.name = "long";
  spec.kind = task::TaskKind::kLanguageModelling;
  const task::Dataset dataset = OfTexts({Repeated("a b c", 700), Repeated("c b", 200)}, "text");
  const tests::WordTokenizer tokenizer({"a", "b", "c"}, tests::SpecialPlace::kBegin);
  const model::GenerationOptions generation;
  const auto prepared = PrepareTask(spec, dataset, model.config(), tokenizer, generation);
  std::vector<Answer> answers;
  const int64_t peak = PeakTensorBytes([&] { answers = prepared->Ask(model, SilentProgress()); });
  // A window of 512 tokens has 500 MB of logits, and as much of logarithms; 256 MB are kept.
  EXPECT_LT(peak, 600 * kMegabyte);
  ASSERT_EQ(answers[0].nats.size(), 2100u);
  ASSERT_EQ(answers[1].nats.size(), 400u);
  EXPECT_EQ(answers[0].scores.size(0), (int64_t{1} << 26) / kVocab);
  // What was computed in blocks is what one run gives.
  const Ids ids = tokenizer.Encode(dataset.examples[1].fields.at("text"), {}).ids;
  model::ForwardInputs inputs;
  inputs.input_ids = at::tensor(Ids(ids.begin(), ids.end() - 1), at::kLong).unsqueeze(0);
  const at::Tensor hidden = model.ForwardHidden(inputs)[0];
  for (const int64_t at : {0, 64, 65, 66, 399}) {
    const at::Tensor shares = at::log_softmax(model.Logits(hidden.narrow(0, at, 1))[0], 0);
    const auto i = static_cast<size_t>(at);
    EXPECT_NEAR(answers[1].nats[i], -shares[ids[i + 1]].item<double>(), kScoreTolerance) << at;
    EXPECT_EQ(answers[1].likeliest[i], shares.argmax().item<int64_t>()) << at;
  }
}

TEST(Memory, LabelsAreReadFromTheTokensThatTellThem) {
  const at::NoGradGuard no_grad;
  model::Transformer model =
      MakeModel("t5-relu-tied", {{"vocab_size", kVocab}, {"d_model", 8}, {"d_ff", 16}});
  task::TaskSpec spec;
  spec.name = "labels";
  spec.kind = task::TaskKind::kClassification;
  spec.prompt = "say {text}";
  spec.labels = {{"0", "good"}, {"1", "bad"}};
  const task::Dataset dataset = OfTexts(std::vector<std::string>(600, "a b"), "text");
  const tests::WordTokenizer tokenizer({"say", "a", "b", "good", "bad"});
  const model::GenerationOptions generation;
  for (const bool whole_labels : {false, true}) {
    spec.length_normalized = whole_labels;
    const auto prepared = PrepareTask(spec, dataset, model.config(), tokenizer, generation);
    std::vector<Answer> answers;
    const int64_t peak = PeakTensorBytes([&] { answers = prepared->Ask(model, SilentProgress()); });
    EXPECT_LT(peak, 250 * kMegabyte) << "600 MB are the logits of one token of each text";
    EXPECT_EQ(answers.size(), 600u);
  }
}

// Two runs over the halves of a text, which are short enough to be computed at once.
at::Tensor DecodeHalves(model::Transformer& model, const model::ForwardInputs& inputs,
                        const at::Tensor& ids) {
  const auto state = model.StartDecoding(inputs);
  model.Decode(*state, ids.narrow(1, 0, ids.size(1) / 2));
  return model.Decode(*state, ids.narrow(1, ids.size(1) / 2, ids.size(1) - ids.size(1) / 2));
}

TEST(Memory, AttentionOfALongTextIsComputedInBlocks) {
  const at::NoGradGuard no_grad;
  struct Case {
    const char* pico;
    Json changes;
  };
  constexpr int64_t kTokens = 5000;  // 4 heads: 100 million scores; one block has 67 million
  for (const Case& given :
       {Case{"llama-llama3-rope-scaling", Json::object()},
        Case{"mistral-gqa", {{"sliding_window", 700}}}, Case{"t5-relu-tied", {{"num_heads", 4}}}}) {
    SCOPED_TRACE(given.pico);
    model::Transformer model = MakeModel(given.pico, given.changes);
    const at::Tensor ids = at::arange(kTokens, at::kLong).remainder(190).add(5).unsqueeze(0);
    model::ForwardInputs inputs;
    inputs.input_ids = ids.narrow(1, 0, 7);
    at::Tensor whole;
    const int64_t peak = PeakTensorBytes([&] {
      const auto state = model.StartDecoding(inputs);
      whole = model.Decode(*state, ids);
    });
    // Scores, shares and biases of a block are 256 MB each; of the whole, 400.
    EXPECT_LT(peak, 3 * 256 * kMegabyte + 60 * kMegabyte);
    EXPECT_TRUE(at::allclose(whole, DecodeHalves(model, inputs, ids), 1e-3, 1e-3));
  }
}

// The output for a text alone, in one block, and beside a longer one, in two.
void ExpectBlocksGiveWhatTheWholeGives(model::Transformer model) {
  const bool decodes = model.config().decoder.num_layers > 0;
  model::ForwardInputs alone, both;
  alone.input_ids = at::arange(3000, at::kLong).remainder(120).add(5).unsqueeze(0);
  // 4 heads x 2 texts x 4,000^2 scores.
  both.input_ids = at::full({2, 4000}, 7, at::kLong);
  both.input_ids[0].narrow(0, 0, 3000).copy_(alone.input_ids[0]);
  both.attention_mask = at::ones({2, 4000}, at::kLong);
  both.attention_mask[0].narrow(0, 3000, 1000).fill_(0);
  if (decodes) {
    alone.decoder_input_ids = at::full({1, 1}, 3, at::kLong);
    both.decoder_input_ids = at::full({2, 1}, 3, at::kLong);
  }
  EXPECT_TRUE(
      at::allclose(model.Forward(alone).logits[0], model.Forward(both).logits[0], 1e-3, 1e-3));
}

// An encoder sees padding, and relative positions on both sides.
TEST(Memory, BlocksOfAnEncoderGiveWhatTheWholeGives) {
  const at::NoGradGuard no_grad;
  ExpectBlocksGiveWhatTheWholeGives(MakeModel("t5-relu-tied", {{"num_heads", 4}}));
  ExpectBlocksGiveWhatTheWholeGives(
      MakeModel({{"architectures", {"DebertaV2ForSequenceClassification"}},
                 {"model_type", "deberta-v2"},
                 {"vocab_size", 131},
                 {"hidden_size", 40},
                 {"intermediate_size", 84},
                 {"num_hidden_layers", 2},
                 {"num_attention_heads", 4},
                 {"max_position_embeddings", 5000},
                 {"max_relative_positions", -1},
                 {"position_buckets", 6},
                 {"relative_attention", true},
                 {"position_biased_input", false},
                 {"share_att_key", true},
                 {"pos_att_type", {"p2c", "c2p"}},
                 {"norm_rel_ebd", "layer_norm"},
                 {"layer_norm_eps", 1e-7},
                 {"type_vocab_size", 0},
                 {"pooler_hidden_size", 40},
                 {"pooler_hidden_act", "gelu"},
                 {"hidden_act", "gelu"},
                 {"pad_token_id", 0}}));
}

}  // namespace
}  // namespace moefy::ask
