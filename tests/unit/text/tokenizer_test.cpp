#include "moefy/text/tokenizer.h"

#include <gtest/gtest.h>

#include <algorithm>

#include "support/expect_error.h"
#include "support/temp_dir.h"
#include "tiny_models.h"

namespace moefy::text {
namespace {

TEST(LoadTokenizer, RecognisesWhatLiesThere) {
  const tests::TempDir t5, bert, config;
  t5.Write("spiece.model", FormatSentencePieceModel(TinyModel()));
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
  dir.Write("spiece.model", FormatSentencePieceModel(TinyModel()));
  dir.Write("added_tokens.json", R"({"<new>": 20})");
  EXPECT_EQ(LoadTokenizer(dir.path())->Encode("<new>", {.add_special_tokens = false}).ids,
            std::vector<int64_t>{20});
  dir.Write("added_tokens.json", R"({"<new>": -20})");
  tests::ExpectError(ErrorKind::kInput, {"added_tokens.json", "-20"},
                     [&] { LoadTokenizer(dir.path()); });
}

TEST(TokenizerFileNames, HasWhatWeRead) {
  for (const char* name : {"spiece.model", "vocab.txt", "tokenizer_config.json"}) {
    const auto& names = TokenizerFileNames();
    EXPECT_NE(std::find(names.begin(), names.end(), name), names.end()) << name;
  }
}

}  // namespace
}  // namespace moefy::text
