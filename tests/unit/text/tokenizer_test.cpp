#include "moefy/text/tokenizer.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <functional>

#include "support/expect_error.h"
#include "support/temp_dir.h"
#include "tiny_models.h"

namespace moefy::text {
namespace {

TEST(LoadTokenizer, RecognisesWhatLiesThere) {
  const tests::TempDir t5, bert, config;
  t5.Write("spiece.model", tests::FormatSentencePieceModel(TinyModel()));
  bert.Write("vocab.txt", kTinyVocabulary);
  config.Write("tokenizer_config.json", R"({"tokenizer_class": "BertTokenizerFast"})");
  EXPECT_TRUE(LoadTokenizer(t5.path())->eos_id());
  EXPECT_FALSE(LoadTokenizer(bert.path())->eos_id());
  EXPECT_FALSE(LoadTokenizer(config.path(), bert.path())->eos_id());  // vocabulary elsewhere
  tests::ExpectError(ErrorKind::kInput,
                     {"tokenizer_config.json", "'BertTokenizer' is not supported with spiece.model",
                      "T5Tokenizer"},
                     [&] { LoadTokenizer(config.path(), t5.path()); });
}

TEST(LoadTokenizer, SaysWhatItLookedFor) {
  const tests::TempDir dir;
  tests::ExpectError(ErrorKind::kInput, {"looked for", "spiece.model", "vocab.txt"},
                     [&] { LoadTokenizer(dir.path()); });
  tests::ExpectError(ErrorKind::kInput, {"looked for"}, [&] { LoadTokenizer(dir / "absent"); });
}

TEST(LoadTokenizer, NamesTheFileAtFault) {
  const tests::TempDir dir;
  dir.Write("spiece.model", "garbage");
  tests::ExpectError(ErrorKind::kInput, {(dir / "spiece.model").string()},
                     [&] { LoadTokenizer(dir.path()); });
  dir.Write("spiece.model", tests::FormatSentencePieceModel(TinyModel()));
  dir.Write("added_tokens.json", R"({"<new>": 20})");
  EXPECT_EQ(LoadTokenizer(dir.path())->Encode("<new>", {.add_special_tokens = false}).ids,
            std::vector<int64_t>{20});
  dir.Write("added_tokens.json", R"({"<new>": -20})");
  tests::ExpectError(ErrorKind::kInput, {"added_tokens.json", "-20"},
                     [&] { LoadTokenizer(dir.path()); });
}

// The family tells how a file is read where the class is not named.
TEST(LoadTokenizer, IsChosenByFamily) {
  const tests::TempDir dir;
  dir.Write("spiece.model", tests::FormatSentencePieceModel(TinyModel()));
  const auto encode = [&](const char* model_type) {
    dir.Write("config.json", StrCat(R"({"model_type": ")", model_type, "\"}"));
    return LoadTokenizer(dir.path())->Encode("the cat").ids;
  };
  EXPECT_EQ(encode("t5"), (std::vector<int64_t>{4, 5, 1}));
  EXPECT_EQ(encode("mt5"), (std::vector<int64_t>{4, 5, 1}));
  EXPECT_EQ(encode("pegasus"), (std::vector<int64_t>{107, 108, 1}));
  tests::ExpectError(
      ErrorKind::kInput,
      {"tokenizer_class is missing", "'xlnet'", "spiece.model", "T5Tokenizer, Pegas"},
      [&] { encode("xlnet"); });
  tests::ExpectError(ErrorKind::kInput, {"'BertTokenizer' is not supported with spiece.model"},
                     [&] { encode("bert"); });
  // The class goes before the family.
  dir.Write("tokenizer_config.json", R"({"tokenizer_class": "PegasusTokenizer"})");
  EXPECT_EQ(encode("t5"), (std::vector<int64_t>{107, 108, 1}));
}

// With neither class nor family a file is read as the first class of its row.
TEST(LoadTokenizer, FilesOfNoKnownClass) {
  const tests::TempDir xlmr, deberta;
  SentencePieceModel model = TinyModel();
  xlmr.Write("sentencepiece.bpe.model", tests::FormatSentencePieceModel(model));
  EXPECT_EQ(LoadTokenizer(xlmr.path())->Encode("the cat").ids, (std::vector<int64_t>{0, 5, 6, 2}));
  model.pieces[0].text = "[CLS]";
  model.pieces[1].text = "[SEP]";
  model.pieces[2].text = "[UNK]";
  deberta.Write("spm.model", tests::FormatSentencePieceModel(model));
  EXPECT_EQ(LoadTokenizer(deberta.path())->Encode("the cat").ids,
            (std::vector<int64_t>{0, 4, 5, 1}));
}

TEST(LoadTokenizer, OldSpellings) {
  const tests::TempDir dir;
  dir.Write("tokenizer.model", tests::FormatSentencePieceModel(TinyBpeModel()));
  dir.Write("tokenizer_config.json", R"({"tokenizer_class": "LLaMATokenizer"})");
  EXPECT_EQ(LoadTokenizer(dir.path())->Encode("ab").ids, (std::vector<int64_t>{1, 260}));
  const tests::TempDir mt5;
  mt5.Write("spiece.model", tests::FormatSentencePieceModel(TinyModel()));
  mt5.Write("tokenizer_config.json", R"({"tokenizer_class": "MT5TokenizerFast"})");
  EXPECT_EQ(LoadTokenizer(mt5.path())->vocab_size(), 114);
}

// tokenizer.json says how words are cut, vocab.json and merges.txt beside it do not.
TEST(LoadTokenizer, TokenizerJsonGoesBeforeVocabJson) {
  const tests::TempDir dir;
  dir.Write("vocab.json", R"({"1": 0, "2": 1, "12": 2, "<|endoftext|>": 3})");
  dir.Write("merges.txt", "1 2\n");
  dir.Write("tokenizer_config.json", R"({"tokenizer_class": "GPT2Tokenizer"})");
  EXPECT_EQ(LoadTokenizer(dir.path())->Encode("12").ids, (std::vector<int64_t>{2}));
  dir.Write("tokenizer.json", R"({"model": {"type": "BPE", "merges": ["1 2"],
      "vocab": {"1": 0, "2": 1, "12": 2, "<|endoftext|>": 3}},
      "pre_tokenizer": {"type": "Digits", "individual_digits": true}})");
  EXPECT_EQ(LoadTokenizer(dir.path())->Encode("12").ids, (std::vector<int64_t>{0, 1}));
}

TEST(LoadTokenizer, TokensThatTheModelLacks) {
  const tests::TempDir dir;
  dir.Write("vocab.json", R"({"a": 0, "b": 1, "<|endoftext|>": 2})");
  dir.Write("merges.txt", "");
  dir.Write("config.json", R"({"model_type": "gpt2", "vocab_size": 3})");
  dir.Write("added_tokens.json", R"({"[PAD]": 3, "<extra>": 8})");
  dir.Write("tokenizer_config.json", R"({"pad_token": "[PAD]"})");
  const auto tokenizer = LoadTokenizer(dir.path());
  EXPECT_EQ(tokenizer->Encode("ab").ids, (std::vector<int64_t>{0, 1}));
  EXPECT_EQ(tokenizer->pad_id(), 2);  // not 3: padding is masked, but must have a row
  for (const auto& encode : {std::function<void()>([&] { tokenizer->Encode("a<extra>"); }),
                             std::function<void()>([&] { tokenizer->EncodePair("a", "<extra>"); }),
                             std::function<void()>([&] { tokenizer->EncodeTarget("<extra>"); })}) {
    tests::ExpectError(ErrorKind::kInput, {"'<extra>' has id 8", "vocab_size is 3"}, encode);
  }
  dir.Write("config.json", R"({"model_type": "gpt2", "vocab_size": 9})");
  EXPECT_EQ(LoadTokenizer(dir.path())->Encode("a<extra>").ids, (std::vector<int64_t>{0, 8}));
  EXPECT_EQ(LoadTokenizer(dir.path())->pad_id(), 3);
}

TEST(LoadTokenizer, MergesWithAndWithoutVersion) {
  const tests::TempDir dir;
  dir.Write("vocab.json", R"({"a": 0, "b": 1, "ab": 2, "<|endoftext|>": 9})");  // with a hole
  for (const char* merges : {"a b\n", "a b\n\n", "#version: 0.2\na b\n", "#version: 0.2\r\na b"}) {
    dir.Write("merges.txt", merges);
    EXPECT_EQ(LoadTokenizer(dir.path())->Encode("ab").ids, (std::vector<int64_t>{2})) << merges;
  }
  dir.Write("merges.txt", "a b\nno space but one more\n");
  tests::ExpectError(ErrorKind::kInput, {"merges.txt", "line 2"},
                     [&] { LoadTokenizer(dir.path()); });
}

TEST(LoadTokenizer, RefusesLanguagesWhereThereAreNone) {
  const tests::TempDir dir;
  dir.Write("spiece.model", tests::FormatSentencePieceModel(TinyModel()));
  EXPECT_TRUE(LoadTokenizer(dir.path())->LanguageCodes().empty());
  tests::ExpectError(ErrorKind::kUsage, {"source-language is 'en'", "no tokens for languages"},
                     [&] {
                       LoadTokenizer(dir.path(), {}, {"en", ""});
                     });
}

TEST(TokenizerFileNames, HasWhatWeRead) {
  for (const char* name :
       {"spiece.model", "spm.model", "vocab.txt", "tokenizer_config.json", "source.spm",
        "target.spm", "target_vocab.json", "sentencepiece.bpe.model"}) {
    const auto& names = TokenizerFileNames();
    EXPECT_NE(std::find(names.begin(), names.end(), name), names.end()) << name;
  }
}

}  // namespace
}  // namespace moefy::text
