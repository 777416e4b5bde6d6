// Expected ids: transformers 4.44's slow tokenizers on the same tiny models.
#include "text/tokenizer_kinds.h"

#include <gtest/gtest.h>

#include "support/expect_error.h"
#include "support/temp_dir.h"
#include "tiny_models.h"

namespace moefy::text {
namespace {

using Ids = std::vector<int64_t>;

constexpr std::string_view kVocabulary =
    R"({"</s>": 0, "<unk>": 1, "▁": 2, "▁the": 3, "▁cat": 4, "s": 5, "a": 6, "b": 7, "c": 8,
        "t": 9, "ab": 10, "x": 11, "y": 12, "<pad>": 13})";
constexpr std::string_view kManyTargets =
    R"({"</s>": 0, "<unk>": 1, "▁": 2, "▁the": 3, "▁cat": 4, "s": 5, "a": 6, "b": 7, "c": 8,
        "t": 9, "ab": 10, "x": 11, "y": 12, ">>fra<<": 14, ">>deu<<": 15, "<pad>": 16})";
constexpr const char* kClass = R"({"tokenizer_class": "MarianTokenizer"})";

struct Files {
  std::string_view vocabulary = kVocabulary;
  std::string_view config = kClass;
  std::string_view target_vocabulary = "";
};

std::unique_ptr<Tokenizer> LoadMarian(const Files& files = {}, const Languages& languages = {}) {
  const tests::TempDir dir;
  dir.Write("source.spm", tests::FormatSentencePieceModel(TinyModel()));
  SentencePieceModel target = TinyModel();
  target.pieces[5].text = "▁dog";  // not "▁cat"
  dir.Write("target.spm", tests::FormatSentencePieceModel(target));
  dir.Write("vocab.json", files.vocabulary);
  dir.Write("tokenizer_config.json", files.config);
  if (!files.target_vocabulary.empty()) dir.Write("target_vocab.json", files.target_vocabulary);
  return LoadTokenizer(dir.path(), {}, languages);
}

TEST(MarianTokenizer, IdsAreOfVocabJson) {
  const auto tokenizer = LoadMarian();
  EXPECT_EQ(tokenizer->Encode("the cats").ids, (Ids{3, 4, 5, 0}));
  EXPECT_EQ(tokenizer->Encode("a</s>b<unk> z").ids, (Ids{2, 6, 0, 2, 7, 1, 2, 1, 0}));
  EXPECT_EQ(tokenizer->EncodePair("a", "b").ids, (Ids{2, 6, 2, 7, 0}));
  EXPECT_EQ(tokenizer->Encode("the cats", {.max_tokens = 3}).ids, (Ids{3, 4, 0}));
  EXPECT_EQ(tokenizer->Decode({3, 4, 5, 0}), "the cats");
  EXPECT_EQ(tokenizer->Decode({2, 6, 0, 2, 7, 1}, false), "a</s> b<unk>");
  EXPECT_EQ(tokenizer->vocab_size(), 14);
  EXPECT_EQ(tokenizer->pad_id(), 13);
  EXPECT_EQ(tokenizer->eos_id(), 0);
  // Each side cuts with its own model.
  EXPECT_EQ(tokenizer->EncodeTarget("cat").ids, (Ids{2, 8, 6, 9, 0}));
}

TEST(MarianTokenizer, CodesTellTheTargetLanguage) {
  const Files files{.vocabulary = kManyTargets};
  const auto tokenizer = LoadMarian(files, {"", "deu"});
  EXPECT_EQ(tokenizer->Encode("the cat").ids, (Ids{15, 3, 4, 0}));
  EXPECT_EQ(tokenizer->Encode(">>fra<< the cat").ids, (Ids{14, 3, 4, 0}));  // the text's own first
  EXPECT_EQ(tokenizer->EncodeTarget("the").ids, (Ids{3, 0}));
  EXPECT_EQ(tokenizer->LanguageCodes(), (std::vector<std::string>{"fra", "deu"}));
  const auto without = LoadMarian(files);
  EXPECT_EQ(without->Encode(">>fra<< the cat").ids, (Ids{14, 3, 4, 0}));
  // Only in front is it a token; elsewhere it is dropped.
  EXPECT_EQ(without->Encode(">>fra<<the >>deu<< cat").ids, (Ids{1, 4, 0}));
  EXPECT_EQ(LoadMarian()->Encode("ab >>fra<<").ids, (Ids{2, 10, 0}));
  tests::ExpectError(ErrorKind::kUsage, {"2 languages", "target-language", ">>fra<<", "fra deu"},
                     [&] { without->Encode("the cat"); });
  tests::ExpectError(ErrorKind::kUsage, {"'fre' is not one of", "did you mean 'fra'?"}, [&] {
    LoadMarian(files, {"", "fre"});
  });
  tests::ExpectError(ErrorKind::kUsage, {"source-language is 'eng'", "only the target"}, [&] {
    LoadMarian(files, {"eng", "fra"});
  });
  tests::ExpectError(ErrorKind::kUsage, {"target-language is 'fra'", "no tokens for languages"},
                     [] {
                       LoadMarian({}, {"", "fra"});
                     });
}

TEST(MarianTokenizer, SeparateVocabularies) {
  const Files files{.config = R"({"tokenizer_class": "MarianTokenizer", "separate_vocabs": true})",
                    .target_vocabulary = R"({"</s>": 0, "<unk>": 1, "<pad>": 2, "▁the": 3})"};
  const auto tokenizer = LoadMarian(files);
  EXPECT_EQ(tokenizer->Encode("the cat").ids, (Ids{3, 4, 0}));
  EXPECT_EQ(tokenizer->EncodeTarget("the cat").ids, (Ids{3, 1, 1, 1, 1, 0}));
  EXPECT_EQ(tokenizer->Decode({3, 0}), "the");
}

TEST(MarianTokenizer, NamesTheFileAtFault) {
  tests::ExpectError(ErrorKind::kInput, {"vocab.json", "pad_token '<pad>' is not in the voc"},
                     [] { LoadMarian({.vocabulary = R"({"</s>": 0, "<unk>": 1})"}); });
  tests::ExpectError(ErrorKind::kInput, {"vocab.json", "line 1"},
                     [] { LoadMarian({.vocabulary = "{\"</s>\" 0}"}); });
  const tests::TempDir dir;
  dir.Write("source.spm", tests::FormatSentencePieceModel(TinyModel()));
  tests::ExpectError(ErrorKind::kInput, {"target.spm"}, [&] { LoadTokenizer(dir.path()); });
}

}  // namespace
}  // namespace moefy::text
