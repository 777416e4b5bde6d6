#include "moefy/model/generation.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <map>

#include "base/output.h"
#include "model/family.h"
#include "model/sampling.h"
#include "support/expect_error.h"
#include "support/shared_data.h"
#include "support/temp_dir.h"
#include "unit/model/load_pico.h"

namespace moefy::model {
namespace {

using testing::ElementsAre;
using testing::IsEmpty;
using tests::ExpectError;

std::string ConfigText(const std::filesystem::path& directory) {
  return ReadTextFile(directory / "config.json");
}
using Texts = std::vector<std::vector<int64_t>>;

// Greedy and without a cache: the whole text again for every token.
std::vector<int64_t> Slowly(Transformer& model, std::vector<int64_t> prompt, int64_t count) {
  const at::NoGradGuard no_grad;
  const bool two_stacks = model.config().architecture == Architecture::kEncoderDecoder;
  std::vector<int64_t> text;
  if (two_stacks) text.push_back(model.config().decoder_start_id);
  for (int64_t i = 0; i < count; ++i) {
    ForwardInputs inputs;
    inputs.input_ids = at::tensor(prompt, at::kLong).unsqueeze(0);
    if (two_stacks) inputs.decoder_input_ids = at::tensor(text, at::kLong).unsqueeze(0);
    const at::Tensor logits = model.Forward(inputs).logits[0];
    const int64_t token = logits[logits.size(0) - 1].argmax().item<int64_t>();
    (two_stacks ? text : prompt).push_back(token);
    if (!two_stacks) text.push_back(token);
  }
  if (two_stacks) text.erase(text.begin());
  return text;
}

TEST(Generation, WhatIsKeptBetweenStepsChangesNothing) {
  const Texts prompts = {{5, 6, 7, 8}, {9}, {10, 11}};
  GenerationOptions options;
  options.max_new_tokens = 80;  // more than the first room for keys and values
  for (const char* name : {"llama-llama3-rope-scaling", "gemma-mqa", "t5-relu-tied"}) {
    SCOPED_TRACE(name);
    Transformer model = LoadPico(name);
    const Texts texts = Generate(model, prompts, options);
    for (size_t i = 0; i < prompts.size(); ++i) {
      EXPECT_EQ(texts[i], Slowly(model, prompts[i], 80)) << i;
    }
  }
}

TEST(Generation, EndsTextsOneByOneAndComputesOnlyTheRest) {
  class Counting final : public FeedForward {
   public:
    Counting(std::unique_ptr<FeedForward> inner, std::vector<int64_t>& rows)
        : inner_(std::move(inner)), rows_(rows) {}
    at::Tensor Forward(const at::Tensor& x) override {
      rows_.push_back(x.size(0));
      return inner_->Forward(x);
    }

   private:
    std::unique_ptr<FeedForward> inner_;
    std::vector<int64_t>& rows_;
  };
  Transformer model = LoadPico("gpt2-relu-ninner");
  std::vector<int64_t> rows;
  model.ExchangeFeedForward(
      0, std::make_unique<Counting>(model.ExchangeFeedForward(0, nullptr), rows));
  GenerationOptions options;
  options.max_new_tokens = 4;
  std::vector<int64_t> heard;
  const Texts texts = Generate(model, {{5, 6, 7}, {8}}, options, [&](size_t i, int64_t token) {
    if (i == 1) heard.push_back(token);
    return i == 0 || heard.size() < 2;
  });
  EXPECT_EQ(texts[0].size(), 4u);
  EXPECT_EQ(texts[1], heard);
  EXPECT_EQ(heard.size(), 2u);
  EXPECT_THAT(rows, ElementsAre(4, 2, 1, 1));  // three and one token, two texts, then one
  options.eos_ids = {texts[0][1]};
  EXPECT_EQ(Generate(model, {{5, 6, 7}}, options)[0].back(), texts[0][1]);
}

TEST(Generation, ForcedAndBannedTokens) {
  Transformer model = LoadPico("bart-gelu");
  GenerationOptions options;
  options.max_new_tokens = 5;
  options.forced_bos_id = 17;
  options.forced_eos_id = 18;
  const std::vector<int64_t> forced = Generate(model, {{5, 6, 7}}, options)[0];
  EXPECT_EQ(forced.front(), 17);
  EXPECT_EQ(forced.back(), 18);
  options.banned_ids = {forced[1]};
  const std::vector<int64_t> banned = Generate(model, {{5, 6, 7}}, options)[0];
  EXPECT_THAT(banned, testing::Not(testing::Contains(forced[1])));
}

TEST(Generation, ASeedGivesTheSameTextInAnyCompany) {
  Transformer model = LoadPico("llama-llama3-rope-scaling");
  GenerationOptions options;
  options.max_new_tokens = 12;
  options.temperature = 1.5;
  options.seed = 3;
  const Texts alone = Generate(model, {{5, 6, 7}}, options);
  EXPECT_EQ(Generate(model, {{5, 6, 7}, {9}}, options)[0], alone[0]);
  options.seed = 4;
  EXPECT_NE(Generate(model, {{5, 6, 7}}, options), alone);
}

TEST(Sampling, FollowsTheSharesWithinTopKAndTopP) {
  const float logits[] = {std::log(0.1f), std::log(0.6f), std::log(0.05f), std::log(0.25f)};
  GenerationOptions options;
  options.seed = 1;
  Sampler sampler(options, 1);
  const auto shares = [&] {
    std::map<int64_t, double> found;
    constexpr int kDraws = 20000;
    for (int i = 0; i < kDraws; ++i) found[sampler.Choose(0, logits)] += 1.0 / kDraws;
    return found;
  };
  EXPECT_EQ(sampler.Choose(0, logits), 1);
  options.temperature = 1;
  const auto all = shares();
  EXPECT_NEAR(all.at(1), 0.6, 0.02);  // six standard deviations
  EXPECT_NEAR(all.at(2), 0.05, 0.01);
  options.top_k = 2;
  const auto two = shares();
  EXPECT_EQ(two.size(), 2u);
  EXPECT_NEAR(two.at(3), 0.25 / 0.85, 0.02);
  options.top_k = 0;
  options.top_p = 0.9;  // 0.6 + 0.25 falls short
  EXPECT_EQ(shares().size(), 3u);
  options.top_p = 0.01;
  EXPECT_EQ(shares().size(), 1u);
  options.top_p = 1;
  options.temperature = 0.5;  // squares the odds
  EXPECT_NEAR(shares().at(1), 0.36 / (0.36 + 0.0625 + 0.01 + 0.0025), 0.02);
}

// A text goes on to the token that the last position gives, and its neighbours beyond that.
TEST(Generation, EndsAtTheLastPosition) {
  Transformer model = LoadPico("gpt2-relu-ninner");  // 64 positions
  const GenerationOptions options{.max_new_tokens = 100};
  const std::vector<int64_t> long_prompt(62, 5), full(64, 5);
  const auto texts = Generate(model, {long_prompt, {7, 9}, full}, options);
  EXPECT_EQ(texts[0].size(), 3u);
  EXPECT_EQ(texts[1].size(), 63u);
  EXPECT_EQ(texts[2].size(), 1u);
  // The same as alone.
  EXPECT_EQ(Generate(model, {long_prompt}, options)[0], texts[0]);
  EXPECT_EQ(Generate(model, {{7, 9}}, options)[0], texts[1]);
  Transformer bart = LoadPico("bart-gelu");  // the decoder's positions are what counts
  const int64_t positions = bart.config().max_positions - bart.config().position_offset;
  EXPECT_EQ(Generate(bart, {{5, 6}}, {.max_new_tokens = 1000})[0].size(),
            static_cast<size_t>(positions));
}

TEST(Generation, BadOptionsAndPromptsAreRefused) {
  Transformer model = LoadPico("gpt2-relu-ninner");  // 64 positions, 163 tokens
  const GenerationOptions good{.max_new_tokens = 3};
  EXPECT_EQ(Generate(model, {{5}}, good)[0].size(), 3u);
  EXPECT_THAT(Generate(model, {}, good), IsEmpty());
  const auto refuses = [&](std::initializer_list<std::string_view> fragments, auto change) {
    GenerationOptions bad = good;
    change(bad);
    ExpectError(ErrorKind::kUsage, fragments, [&] { Generate(model, {{5}}, bad); });
  };
  refuses({"temperature", "-1"}, [](auto& o) { o.temperature = -1; });
  refuses({"top-p", "1.5"}, [](auto& o) { o.top_p = 1.5; });
  refuses({"top-k", "-2"}, [](auto& o) { o.top_k = -2; });
  refuses({"max-new-tokens", "0"}, [](auto& o) { o.max_new_tokens = 0; });
  refuses({"banned token", "163", "162"}, [](auto& o) { o.banned_ids = {163}; });
  ExpectError(ErrorKind::kInput, {"prompt 1", "no tokens"}, [&] {
    Generate(model, {{5}, {}}, good);
  });
  ExpectError(ErrorKind::kInput, {"163", "0 to 162"}, [&] { Generate(model, {{163}}, good); });
  ExpectError(ErrorKind::kInput, {"65 tokens", "64 positions"},
              [&] { Generate(model, {std::vector<int64_t>(65, 5)}, good); });
  Transformer bert = LoadPico("bert-cls-relu");
  ExpectError(ErrorKind::kUsage, {"bert", "cannot generate"}, [&] { Generate(bert, {{5}}, good); });
}

TEST(GenerationOptions, GenerationConfigGoesBeforeConfig) {
  const tests::TempDir dir;
  const ModelConfig config =
      ReadModelConfig(tests::TestData() / "pico" / "bart-gelu" / "config.json");
  dir.Write("config.json", R"({"forced_bos_token_id": 7, "eos_token_id": 4})");
  dir.Write(
      "generation_config.json",
      R"({"eos_token_id": [2, 3], "bad_words_ids": [[9], [1, 2]], "forced_eos_token_id": 2})");
  std::vector<std::string> warnings;
  const GenerationOptions options =
      ReadGenerationOptions(dir.path(), ConfigText(dir.path()), config, &warnings);
  EXPECT_THAT(options.eos_ids, ElementsAre(2, 3));
  EXPECT_EQ(options.forced_bos_id, 7);
  EXPECT_EQ(options.forced_eos_id, 2);
  EXPECT_EQ(options.decoder_start_id, 2);
  EXPECT_THAT(options.banned_ids, ElementsAre(9));
  EXPECT_THAT(warnings, ElementsAre(testing::HasSubstr("several tokens")));
  // None is none in either file, and hides what comes after it.
  for (const char* none : {"null", "[]", "-1"}) {
    dir.Write("generation_config.json", StrCat(R"({"eos_token_id": )", none, "}"));
    EXPECT_THAT(ReadGenerationOptions(dir.path(), ConfigText(dir.path()), config).eos_ids,
                testing::IsEmpty())
        << none;
  }
  dir.Write("generation_config.json", "{}");
  EXPECT_THAT(ReadGenerationOptions(dir.path(), ConfigText(dir.path()), config).eos_ids,
              ElementsAre(4));
  dir.Write("config.json", R"({"eos_token_id": null})");
  EXPECT_THAT(ReadGenerationOptions(dir.path(), ConfigText(dir.path()), config).eos_ids,
              testing::IsEmpty());
  dir.Write("config.json", "{}");  // the family's own
  EXPECT_THAT(ReadGenerationOptions(dir.path(), ConfigText(dir.path()), config).eos_ids,
              ElementsAre(2));
  dir.Write("generation_config.json", R"({"eos_token_id": 203})");
  ExpectError(ErrorKind::kInput, {"generation_config.json", "eos_token_id", "203", "202"},
              [&] { ReadGenerationOptions(dir.path(), ConfigText(dir.path()), config); });
}

// As BartConfig of transformers 4.44 does, whose generation reads config.json only where there is
// no generation_config.json.
TEST(GenerationOptions, AnOldBartForcesItsFirstToken) {
  const tests::TempDir dir;
  ModelConfig config = ReadModelConfig(tests::TestData() / "pico" / "bart-gelu" / "config.json");
  const auto forced = [&] {
    return ReadGenerationOptions(dir.path(), ConfigText(dir.path()), config).forced_bos_id;
  };
  dir.Write("config.json", R"({"force_bos_token_to_be_generated": true, "bos_token_id": 5})");
  EXPECT_EQ(forced(), 5);
  dir.Write("generation_config.json", "{}");
  EXPECT_EQ(forced(), -1);
  std::filesystem::remove(dir / "generation_config.json");
  dir.Write("config.json", R"({"force_bos_token_to_be_generated": true})");
  EXPECT_EQ(forced(), 0);
  config.family = "pegasus";  // whose class does not look at the key
  EXPECT_EQ(forced(), -1);
  config.family = "bart";
  dir.Write("config.json", R"({"force_bos_token_to_be_generated": false})");
  EXPECT_EQ(forced(), -1);
  dir.Write("config.json",
            R"({"force_bos_token_to_be_generated": true, "forced_bos_token_id": 7})");
  EXPECT_EQ(forced(), 7);
}

}  // namespace
}  // namespace moefy::model
