// Real trained models of the shared data: what they are published to reach, reached again. Skipped
// without the shared data.
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <cstdio>

#include "base/output.h"
#include "golden.h"
#include "model/pooling.h"
#include "moefy/base/strings.h"
#include "moefy/model/generation.h"
#include "moefy/text/tokenizer.h"
#include "support/shared_data.h"
#include "task/answers.h"
#include "task/metrics.h"

namespace moefy {
namespace {

namespace fs = std::filesystem;

std::vector<std::string> Lines(const fs::path& path) {
  std::vector<std::string> lines = Split(ReadTextFile(path), '\n');
  while (!lines.empty() && lines.back().empty()) lines.pop_back();
  return lines;
}

TEST(TrainedModels, TransliterationReachesItsPublishedAccuracy) {
  const fs::path directory = tests::SharedData() / "checkpoints" / "aren-transliteration";
  const fs::path data = tests::SharedData() / "data" / "ar2en" / "ar2en-test.txt";
  if (!fs::exists(directory) || !fs::exists(data)) GTEST_SKIP() << "no " << directory;
  const at::NoGradGuard no_grad;
  model::Transformer transformer = model::LoadTransformer(io::Checkpoint::Open(directory));
  const auto tokenizer = text::LoadTokenizer(directory);
  const int64_t end = *tokenizer->eos_id();
  std::vector<std::vector<int64_t>> prompts, wanted;
  std::vector<std::string> words;
  for (const std::string& line : Lines(data)) {
    const std::vector<std::string> pair = Split(line, '\t');
    prompts.push_back(tokenizer->Encode(pair.at(0)).ids);
    wanted.push_back(tokenizer->EncodeTarget(pair.at(1)).ids);
    words.push_back(pair.at(1));
  }
  model::GenerationOptions options;
  options.max_new_tokens = 40;
  options.eos_ids = {end};
  std::vector<task::Ratio> errors;
  size_t right = 0, predicted = 0;
  double exact = 0;
  constexpr size_t kBatch = 64;
  for (size_t begin = 0; begin < prompts.size(); begin += kBatch) {
    const auto first = static_cast<std::ptrdiff_t>(begin);
    const auto last = static_cast<std::ptrdiff_t>(std::min(prompts.size(), begin + kBatch));
    const std::vector<std::vector<int64_t>> batch(prompts.begin() + first, prompts.begin() + last);
    const auto texts = model::Generate(transformer, batch, options);
    for (size_t i = 0; i < texts.size(); ++i) {
      const std::string got = tokenizer->Decode(texts[i]);
      exact += task::TextExactMatch(got, {words[begin + i]});
      const task::CharacterErrors counted = task::CountCharacterErrors(got, {words[begin + i]});
      errors.push_back({static_cast<double>(counted.edits), static_cast<double>(counted.length)});
      // The next character, given the right ones before it.
      const std::vector<int64_t>& labels = wanted[begin + i];
      std::vector<int64_t> decoder = {transformer.config().decoder_start_id};
      decoder.insert(decoder.end(), labels.begin(), labels.end() - 1);
      model::ForwardInputs inputs;
      inputs.input_ids = at::tensor(batch[i], at::kLong).unsqueeze(0);
      inputs.decoder_input_ids = at::tensor(decoder, at::kLong).unsqueeze(0);
      const at::Tensor best = transformer.Forward(inputs).logits[0].argmax(1);
      right += static_cast<size_t>((best == at::tensor(labels, at::kLong)).sum().item<int64_t>());
      predicted += labels.size();
    }
  }
  const double count = static_cast<double>(words.size());
  const double exact_percent = 100 * exact / count;
  const double error_percent = 100 * task::RatioFigure(errors).value;
  const double next_percent = 100 * static_cast<double>(right) / static_cast<double>(predicted);
  std::printf("%zu words: exact %.2f %%, character error rate %.2f %%, next character %.2f %%\n",
              words.size(), exact_percent, error_percent, next_percent);
  constexpr double kTolerance = 0.06;  // published with one decimal
  EXPECT_NEAR(exact_percent, 22.1, kTolerance);
  EXPECT_NEAR(error_percent, 22.6, kTolerance);
  EXPECT_NEAR(next_percent, 80.9, kTolerance);
}

TEST(TrainedModels, StoriesContinueAsRecorded) {
  const fs::path directory = tests::SharedData() / "checkpoints" / "stories260k";
  if (!fs::exists(directory)) GTEST_SKIP() << "no " << directory;
  const io::Checkpoint checkpoint = io::Checkpoint::Open(directory);
  model::Transformer transformer = model::LoadTransformer(checkpoint);
  EXPECT_EQ(tests::CompareWithGolden(transformer, checkpoint, directory / "golden.safetensors"), 1);
  const at::Tensor recorded = tests::ReadGolden(directory / "golden.safetensors").at("greedy")[0];
  const std::vector<int64_t> text(recorded.data_ptr<int64_t>(),
                                  recorded.data_ptr<int64_t>() + recorded.numel());
  constexpr int64_t kNew = 60;
  const std::vector<int64_t> prompt(text.begin(), text.end() - kNew);
  const auto texts = model::Generate(transformer, {prompt}, {.max_new_tokens = kNew});
  EXPECT_EQ(texts[0], std::vector<int64_t>(text.end() - kNew, text.end()));
}

TEST(TrainedModels, StoriesCostWhatIsPublished) {
  const fs::path directory = tests::SharedData() / "checkpoints" / "stories260k";
  const fs::path data = tests::SharedData() / "data" / "tinystories" / "tinystories_sample.txt";
  if (!fs::exists(directory) || !fs::exists(data)) GTEST_SKIP() << "no " << directory;
  const auto tokenizer = text::LoadTokenizer(directory);
  const at::NoGradGuard no_grad;
  model::Transformer transformer = model::LoadTransformer(io::Checkpoint::Open(directory));
  double nats = 0;
  int64_t tokens = 0;
  const std::string separator = "<|endoftext|>";
  for (const std::string& part : Split(ReplaceAll(ReadTextFile(data), separator, "\f"), '\f')) {
    const std::string story = Trim(part);
    if (story.empty()) continue;
    const std::vector<int64_t> ids = tokenizer->Encode(story, {.max_tokens = 512}).ids;
    model::ForwardInputs inputs;
    inputs.input_ids = at::tensor(ids, at::kLong).unsqueeze(0);
    const auto count = static_cast<int64_t>(ids.size()) - 1;
    const at::Tensor loss =
        tests::Loss(transformer.Forward(inputs).logits, inputs.input_ids, /*causal=*/true);
    nats += loss.item<double>() * static_cast<double>(count);
    tokens += count;
  }
  EXPECT_EQ(tokens, 1804);
  EXPECT_NEAR(nats / static_cast<double>(tokens), 1.2664, 5e-5);
}

// As the model's card computes it: mean of the tokens, norm 1. The numbers are those of the same
// sums in numpy, F64; the first ones and the product are also what its library publishes.
TEST(TrainedModels, MiniLmGivesTheEmbeddingsOfSentenceTransformers) {
  const fs::path models = tests::PretrainedModels();
  if (models.empty()) GTEST_SKIP() << "MOEFY_MODELS is not set";
  const fs::path directory = models / "all-minilm-l6-v2";
  if (!fs::exists(directory)) GTEST_SKIP() << "no " << directory;
  const at::NoGradGuard no_grad;
  model::Transformer transformer = model::LoadTransformer(io::Checkpoint::Open(directory));
  const auto tokenizer = text::LoadTokenizer(directory);
  const model::TextEmbedding embedding = model::ReadTextEmbedding(directory);
  EXPECT_EQ(embedding.max_tokens, 256);
  const auto embed = [&](const std::string& text) {
    model::ForwardInputs inputs;
    inputs.input_ids = at::tensor(tokenizer->Encode(text).ids, at::kLong).unsqueeze(0);
    return model::EmbedTexts(embedding, transformer.Forward(inputs).last_hidden_state, {})[0];
  };
  struct Row {
    const char* text;
    std::vector<double> first;
    double last;
  };
  for (const Row& row : {Row{"The cat sits outside",
                             {0.139191, 0.003029, 0.047015, 0.039574, -0.047999, -0.006812},
                             0.0636209},
                         Row{"A man is playing guitar",
                             {0.022661, -0.001389, -0.005613, -0.067022, -0.155601, -0.002702},
                             -0.0282607},
                         Row{"The new movie is awesome",
                             {-0.100443, -0.077393, -0.001374, -0.048461, 0.004557, -0.052317},
                             0.0220547}}) {
    const at::Tensor vector = embed(row.text);
    ASSERT_EQ(vector.numel(), 384);
    for (size_t i = 0; i < row.first.size(); ++i) {
      EXPECT_NEAR(vector[static_cast<int64_t>(i)].item<double>(), row.first[i], 2e-6) << row.text;
    }
    EXPECT_NEAR(vector[383].item<double>(), row.last, 2e-6) << row.text;
  }
  EXPECT_NEAR(
      embed("The cat sits outside").dot(embed("The dog plays in the garden")).item<double>(),
      0.283755, 2e-6);
}

TEST(TrainedModels, WikiTextCostsSmolLm2WhatIsPublished) {
  const fs::path models = tests::PretrainedModels();
  if (models.empty()) GTEST_SKIP() << "MOEFY_MODELS is not set";
  const fs::path directory = models / "smollm2-135m-instruct";
  const fs::path data = tests::SharedData() / "data" / "wikitext2" / "test.txt";
  if (!fs::exists(directory) || !fs::exists(data)) GTEST_SKIP() << "no " << directory;
  const auto tokenizer = text::LoadTokenizer(directory);
  const at::NoGradGuard no_grad;
  model::Transformer transformer = model::LoadTransformer(io::Checkpoint::Open(directory));
  constexpr int64_t kWindows = 4, kTokens = 512;
  const std::vector<int64_t> ids = tokenizer->Encode(ReadTextFile(data).substr(0, 40000)).ids;
  ASSERT_GE(ids.size(), static_cast<size_t>(kWindows * kTokens));
  double nats = 0;
  for (int64_t window = 0; window < kWindows; ++window) {
    model::ForwardInputs inputs;
    inputs.input_ids = at::tensor(ids, at::kLong).narrow(0, window * kTokens, kTokens).unsqueeze(0);
    const at::Tensor loss =
        tests::Loss(transformer.Forward(inputs).logits, inputs.input_ids, /*causal=*/true);
    std::printf("window %d: %.5f nats per token\n", static_cast<int>(window), loss.item<double>());
    nats += loss.item<double>();
  }
  const double perplexity = std::exp(nats / kWindows);
  std::printf("perplexity %.3f\n", perplexity);
  // Published as 25.4, the first decimals of it; plain loops in another language agree to six
  // digits.
  EXPECT_NEAR(perplexity, 25.494, 0.005);
}

}  // namespace
}  // namespace moefy
