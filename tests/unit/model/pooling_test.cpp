#include "model/pooling.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>

#include "base/json.h"
#include "support/expect_error.h"
#include "support/temp_dir.h"

namespace moefy::model {
namespace {

using testing::ElementsAre;
using tests::ExpectError;

// The files of a sentence-transformers model without the model.
struct Files {
  Json modules = {{{"type", "sentence_transformers.models.Transformer"}, {"path", ""}},
                  {{"type", "sentence_transformers.models.Pooling"}, {"path", "1_Pooling"}},
                  {{"type", "sentence_transformers.models.Normalize"}, {"path", "2_Normalize"}}};
  Json pooling = {{"word_embedding_dimension", 3}, {"pooling_mode_mean_tokens", true}};
  Json transformer = {{"max_seq_length", 7}, {"do_lower_case", true}};
  Json prompts = {{"prompts", {{"query", "query: "}}}, {"default_prompt_name", nullptr}};

  TextEmbedding Read() const {
    const tests::TempDir dir;
    dir.Make("1_Pooling");
    dir.Write("modules.json", modules.dump());
    dir.Write("1_Pooling/config.json", pooling.dump());
    dir.Write("sentence_bert_config.json", transformer.dump());
    dir.Write("config_sentence_transformers.json", prompts.dump());
    return ReadTextEmbedding(dir.path());
  }
};

TEST(Pooling, IsReadFromTheFilesBesideTheModel) {
  Files files;
  const TextEmbedding read = files.Read();
  EXPECT_THAT(read.pooling, ElementsAre(Pooling::kMean));
  EXPECT_TRUE(read.normalize);
  EXPECT_TRUE(read.lower_case);
  EXPECT_EQ(read.max_tokens, 7);
  EXPECT_EQ(read.prompt, "");
  files.modules.erase(2);
  files.pooling = {{"pooling_mode_lasttoken", true}, {"pooling_mode_cls_token", true}};
  files.prompts["default_prompt_name"] = "query";
  const TextEmbedding other = files.Read();
  EXPECT_THAT(other.pooling, ElementsAre(Pooling::kFirst, Pooling::kLast));
  EXPECT_FALSE(other.normalize);
  EXPECT_EQ(other.prompt, "query: ");
  files.pooling = {{"pooling_mode", "weightedmean"}};
  EXPECT_THAT(files.Read().pooling, ElementsAre(Pooling::kWeightedMean));
}

TEST(Pooling, WithoutTheFilesIsTheMeanAndSaysSo) {
  const tests::TempDir dir;
  std::vector<std::string> warnings;
  const TextEmbedding read = ReadTextEmbedding(dir.path(), &warnings);
  EXPECT_THAT(read.pooling, ElementsAre(Pooling::kMean));
  EXPECT_FALSE(read.normalize);
  EXPECT_THAT(warnings, ElementsAre(testing::HasSubstr("mean over its tokens")));
}

TEST(Pooling, WhatWouldComputeSomethingElseIsRefused) {
  const auto refused = [](std::initializer_list<std::string_view> fragments, const auto& change) {
    Files files;
    EXPECT_NO_THROW(files.Read());
    change(files);
    ExpectError(ErrorKind::kInput, fragments, [&] { files.Read(); });
  };
  refused({"'sentence_transformers.models.Dense'", "Normalize"},
          [](Files& files) { files.modules[2]["type"] = "sentence_transformers.models.Dense"; });
  refused({"pooling_mode_attention", "does not know"},
          [](Files& files) { files.pooling["pooling_mode_attention"] = true; });
  refused({"no pooling"}, [](Files& files) { files.pooling["pooling_mode_mean_tokens"] = false; });
  refused({"'meen'", "did you mean 'mean'"},
          [](Files& files) { files.pooling["pooling_mode"] = "meen"; });
  refused({"no Pooling"}, [](Files& files) {
    files.modules.erase(2);
    files.modules.erase(1);
  });
  refused({"include_prompt", "'query: '"}, [](Files& files) {
    files.prompts["default_prompt_name"] = "query";
    files.pooling["include_prompt"] = false;
  });
}

TEST(Pooling, IsOverRealTokensOnly) {
  // Two texts of two and three tokens; what stands at padding must not matter.
  const at::Tensor states = at::tensor({1., 4., 3., -2., 99., 99.,  //
                                        5., 1., 0., 2., 4., 6.})
                                .to(at::kFloat)
                                .view({2, 3, 2});
  const at::Tensor mask = at::tensor({1, 1, 0, 1, 1, 1}, at::kLong).view({2, 3});
  const auto pooled = [&](std::vector<Pooling> pooling) {
    TextEmbedding embedding;
    embedding.pooling = std::move(pooling);
    return EmbedTexts(embedding, states, mask);
  };
  const auto expect = [](const at::Tensor& got, std::vector<float> want) {
    const at::Tensor wanted = at::tensor(want).view_as(got);
    EXPECT_TRUE(at::allclose(got, wanted, 1e-6, 1e-6)) << got << wanted;
  };
  expect(pooled({Pooling::kFirst}), {1, 4, 5, 1});
  expect(pooled({Pooling::kMax}), {3, 4, 5, 6});
  expect(pooled({Pooling::kMean}), {2, 1, 3, 3});
  expect(pooled({Pooling::kMeanSqrt}),
         {4 / std::sqrt(2.f), 2 / std::sqrt(2.f), 9 / std::sqrt(3.f), 9 / std::sqrt(3.f)});
  expect(pooled({Pooling::kWeightedMean}), {7 / 3.f, 0, 17 / 6.f, 23 / 6.f});
  expect(pooled({Pooling::kLast}), {3, -2, 4, 6});
  expect(pooled({Pooling::kFirst, Pooling::kMean}), {1, 4, 2, 1, 5, 1, 3, 3});
  TextEmbedding normed;
  normed.normalize = true;
  expect(EmbedTexts(normed, states, mask).norm(2, {1}), {1, 1});
}

}  // namespace
}  // namespace moefy::model
