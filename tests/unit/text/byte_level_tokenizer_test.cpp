#include "text/tokenizer_kinds.h"

#include <gtest/gtest.h>

#include "support/expect_error.h"
#include "support/temp_dir.h"
#include "tiny_models.h"

namespace moefy::text {
namespace {

using Ids = std::vector<int64_t>;

std::unique_ptr<Tokenizer> LoadByteLevel(std::string_view config = "{}",
                                         std::string_view vocab = kTinyVocabJson,
                                         std::string_view merges = kTinyMerges) {
  const tests::TempDir dir;
  dir.Write("vocab.json", vocab);
  dir.Write("merges.txt", merges);
  dir.Write("tokenizer_config.json", config);
  return LoadTokenizer(dir.path());
}

TEST(ByteLevelTokenizer, Gpt2) {
  const auto tokenizer = LoadByteLevel(R"({"tokenizer_class": "GPT2Tokenizer"})");
  EXPECT_EQ(tokenizer->Encode("ab abc").ids, (Ids{9, 10, 8}));
  EXPECT_EQ(tokenizer->Encode("é").ids, (Ids{12, 13}));
  EXPECT_EQ(tokenizer->Encode("z").ids, Ids{14});
  EXPECT_EQ(tokenizer->Encode("a<|endoftext|>b").ids, (Ids{6, 14, 7}));
  EXPECT_EQ(tokenizer->EncodePair("a", "b").ids, (Ids{6, 7}));
  EXPECT_EQ(tokenizer->Decode({9, 10, 12, 13, 14}), "ab abé");
  EXPECT_EQ(tokenizer->Decode({12, 6, 13}, false), "\uFFFDa\uFFFD");
  EXPECT_EQ(tokenizer->eos_id(), 14);
  EXPECT_EQ(tokenizer->pad_id(), 14);
  EXPECT_EQ(tokenizer->vocab_size(), 18);
}

TEST(ByteLevelTokenizer, OptionsOfGpt2) {
  const auto tokenizer =
      LoadByteLevel(R"({"add_bos_token": true, "bos_token": "</s>", "eos_token": "</s>",
                                  "unk_token": "</s>", "pad_token": "<pad>"})");
  EXPECT_EQ(tokenizer->Encode("ab").ids, (Ids{2, 9}));  // as OPT has it
  EXPECT_EQ(tokenizer->EncodePair("a", "b").ids, (Ids{2, 6, 2, 7}));
  EXPECT_EQ(tokenizer->Encode("ab", {.add_special_tokens = false}).ids, Ids{9});
  EXPECT_EQ(tokenizer->Encode("abcc", {.max_tokens = 2}).ids, (Ids{2, 11}));
  EXPECT_EQ(tokenizer->pad_id(), 1);
  EXPECT_EQ(LoadByteLevel(R"({"add_prefix_space": true})")->Encode("ab").ids, Ids{10});
  EXPECT_EQ(LoadByteLevel(R"({"clean_up_tokenization_spaces": false})")->Decode({6, 5, 17}), "a .");
  EXPECT_EQ(LoadByteLevel()->Decode({6, 5, 17}), "a.");
}

TEST(ByteLevelTokenizer, Roberta) {
  const auto tokenizer = LoadByteLevel(R"({"tokenizer_class": "RobertaTokenizerFast"})");
  EXPECT_EQ(tokenizer->Encode("ab").ids, (Ids{0, 9, 2}));
  EXPECT_EQ(tokenizer->EncodePair("a", "b").ids, (Ids{0, 6, 2, 2, 7, 2}));
  EXPECT_EQ(tokenizer->EncodePair("a", "b").token_type_ids, Ids(6, 0));
  EXPECT_EQ(tokenizer->Encode("ab <mask>").ids, (Ids{0, 9, 4, 2}));  // eats the space before it
  EXPECT_EQ(tokenizer->Encode("z").ids, (Ids{0, 3, 2}));
  EXPECT_EQ(tokenizer->pad_id(), 1);
  const auto prefixed =
      LoadByteLevel(R"({"tokenizer_class": "RobertaTokenizer", "add_prefix_space": true})");
  EXPECT_EQ(prefixed->Encode("ab").ids, (Ids{0, 10, 2}));
  EXPECT_EQ(prefixed->Encode(" ab").ids, (Ids{0, 10, 2}));
  EXPECT_EQ(prefixed->Encode("").ids, (Ids{0, 2}));
}

TEST(ByteLevelTokenizer, Qwen2) {
  const auto tokenizer = LoadByteLevel(R"({"tokenizer_class": "Qwen2Tokenizer",
      "added_tokens_decoder": {"20": {"content": "<|im_start|>", "special": true}}})");
  EXPECT_EQ(tokenizer->Encode("11").ids, (Ids{15, 15}));
  EXPECT_EQ(tokenizer->Encode("e\u0301").ids, (Ids{12, 13}));  // composed first
  EXPECT_EQ(tokenizer->Encode("<|im_start|>a").ids, (Ids{20, 6}));
  EXPECT_EQ(tokenizer->Decode({20, 6}, false), "<|im_start|>a");
  EXPECT_EQ(tokenizer->vocab_size(), 21);
}

TEST(ByteLevelTokenizer, ClassFromTheModelsConfig) {
  const tests::TempDir dir;
  dir.Write("vocab.json", kTinyVocabJson);
  dir.Write("merges.txt", kTinyMerges);
  EXPECT_EQ(LoadTokenizer(dir.path())->Encode("ab").ids, Ids{9});
  dir.Write("config.json", R"({"model_type": "roberta"})");
  EXPECT_EQ(LoadTokenizer(dir.path())->Encode("ab").ids, (Ids{0, 9, 2}));
  // Old directories keep the special tokens in a file of their own.
  dir.Write("config.json", R"({"model_type": "opt"})");
  dir.Write("tokenizer_config.json", R"({"add_bos_token": true})");
  dir.Write("special_tokens_map.json", R"({"bos_token": {"content": "</s>"}})");
  EXPECT_EQ(LoadTokenizer(dir.path())->Encode("ab").ids, (Ids{2, 9}));
}

TEST(ByteLevelTokenizer, RefusesBadFiles) {
  struct Bad {
    const char* vocab;
    const char* merges;
    const char* fragment;
  };
  EXPECT_NO_THROW(LoadByteLevel("{}", R"({"a": 0, "aa": 1})", "a a\n"));
  for (const Bad& bad :
       {Bad{R"({"a": 0, "a": 1})", "a a\n", "vocab.json: key 'a' appears twice"},
        Bad{R"({"a": 0, "aa": 0})", "a a\n", "tokens 'a' and 'aa' have the same id, 0"},
        Bad{R"({"a": 0)", "a a\n", "vocab.json: not valid JSON"},
        Bad{R"({"a": 0, "aa": 99999999})", "a a\n", "token 'aa' has id 99999999"},
        Bad{R"({"a": 0})", "a a\n", "merges.txt: merge 1, 'a' with 'a': 'aa' is not in"},
        Bad{R"({"a": 0, "aa": 1})", "aa\n", "merges.txt: line 1 is 'aa'"}}) {
    tests::ExpectError(ErrorKind::kInput, {bad.fragment},
                       [&] { LoadByteLevel("{}", bad.vocab, bad.merges); });
  }
  tests::ExpectError(ErrorKind::kInput, {"'MarianTokenizer' is not supported with vocab.json"},
                     [&] { LoadByteLevel(R"({"tokenizer_class": "MarianTokenizer"})"); });
  tests::ExpectError(ErrorKind::kInput, {"token id 18 is not in 0..17"},
                     [&] { LoadByteLevel()->Decode({18}); });
}

TEST(ByteLevelTokenizer, LongWords) {
  EXPECT_EQ(LoadByteLevel()->Encode(std::string(1 << 20, 'a')).ids, Ids(1 << 19, 16));
}

}  // namespace
}  // namespace moefy::text
