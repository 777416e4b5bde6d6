#include "text/tokenizer_kinds.h"

#include <gtest/gtest.h>

#include "support/expect_error.h"
#include "support/temp_dir.h"
#include "tiny_models.h"

namespace moefy::text {
namespace {

using Ids = std::vector<int64_t>;
constexpr const char* kTwoSentinels = R"({"extra_ids": 2})";
constexpr const char* kNotLegacy = R"({"extra_ids": 2, "legacy": false})";

std::unique_ptr<Tokenizer> LoadT5(std::string_view config = kTwoSentinels,
                                  const SentencePieceModel& model = TinyModel()) {
  const tests::TempDir dir;
  dir.Write("spiece.model", tests::FormatSentencePieceModel(model));
  dir.Write("tokenizer_config.json", config);
  return LoadTokenizer(dir.path());
}

TEST(T5Tokenizer, EndsWithEos) {
  const auto tokenizer = LoadT5();
  EXPECT_EQ(tokenizer->Encode("the cats").ids, (Ids{4, 5, 6, 1}));
  EXPECT_EQ(tokenizer->Encode("the cats").token_type_ids, (Ids{0, 0, 0, 0}));
  EXPECT_EQ(tokenizer->Encode("the</s>").ids, (Ids{4, 1}));  // not a second one
  EXPECT_EQ(tokenizer->Encode("").ids, (Ids{1}));
  EXPECT_EQ(tokenizer->EncodePair("the", "").ids, (Ids{4, 1, 1}));
  EXPECT_EQ(tokenizer->Encode("the cats", {.max_tokens = 3}).ids, (Ids{4, 5, 1}));
  EXPECT_EQ(tokenizer->eos_id(), 1);
  EXPECT_EQ(tokenizer->pad_id(), 0);
}

TEST(T5Tokenizer, SentinelsCountDownFromTheHighestId) {
  const auto tokenizer = LoadT5();
  EXPECT_EQ(tokenizer->vocab_size(), 16);
  EXPECT_EQ(tokenizer->Encode("the <extra_id_0> cat <extra_id_1>").ids, (Ids{4, 15, 5, 14, 1}));
  EXPECT_EQ(tokenizer->Decode({4, 15, 5, 14, 1}, false), "the <extra_id_0> cat <extra_id_1> </s>");
  EXPECT_EQ(tokenizer->Decode({4, 15, 5, 14, 1}), "the cat");
  EXPECT_EQ(LoadT5("{}")->vocab_size(), 114);
  EXPECT_EQ(LoadT5(R"({"extra_ids": 0})")->vocab_size(), 14);
}

TEST(T5Tokenizer, LegacyDiffersAfterSpecialTokens) {
  // Legacy puts a space before every stretch of text; the newer way only where there is one.
  EXPECT_EQ(LoadT5()->Encode("the</s>a").ids, (Ids{4, 1, 3, 7, 1}));
  EXPECT_EQ(LoadT5(kNotLegacy)->Encode("the</s>a").ids, (Ids{4, 1, 7, 1}));
  EXPECT_EQ(LoadT5(kNotLegacy)->Encode("the</s> a").ids, (Ids{4, 1, 3, 7, 1}));
  EXPECT_EQ(LoadT5(kNotLegacy)->Encode("the cat").ids, (Ids{4, 5, 1}));
  EXPECT_EQ(LoadT5(kNotLegacy)->Encode("<extra_id_0>").ids, (Ids{15, 1}));
  EXPECT_EQ(LoadT5(kNotLegacy)->Decode({4, 5, 1}), "the cat");
}

TEST(T5Tokenizer, UnknownAndInvalidText) {
  const auto tokenizer = LoadT5();
  EXPECT_EQ(tokenizer->Encode("z\xff").ids, (Ids{3, 2, 1}));
  EXPECT_EQ(tokenizer->Decode({4, 2}, false), "the<unk>");
  EXPECT_EQ(tokenizer->Decode({4, 2}), "the");
}

TEST(T5Tokenizer, Options) {
  EXPECT_EQ(
      LoadT5(R"({"additional_special_tokens": ["<x>"], "extra_ids": 1})")->Encode("the<x>").ids,
      (Ids{4, 15, 1}));
  EXPECT_EQ(LoadT5(R"({"eos_token": {"content": "s"}})")->Encode("the").ids, (Ids{4, 6}));
}

TEST(T5Tokenizer, RefusesBadConfigurations) {
  struct Bad {
    const char* config;
    const char* fragment;
  };
  for (const Bad& bad :
       {Bad{R"({"extra_ids": -1})", "extra_ids is -1"},
        Bad{R"({"extra_ids": 2, "additional_special_tokens": ["<extra_id_0>"]})", "2, but 1"},
        Bad{R"({"eos_token": "<end>"})", "eos_token '<end>' is not in the vocabulary"},
        Bad{R"({"legacy": "yes"})", "legacy is \"yes\"; expected true or false"},
        Bad{R"({"sp_model_kwargs": {"enable_sampling": true}})", "not supported"},
        Bad{R"({"added_tokens_decoder": {"x": {"content": "a"}}})", "'x' is not a token id"},
        Bad{R"({"additional_special_tokens": "a"})", "expected an array"},
        Bad{"[]", "expected an object"}}) {
    tests::ExpectError(ErrorKind::kInput, {bad.fragment}, [&] { LoadT5(bad.config); });
  }
}

}  // namespace
}  // namespace moefy::text
