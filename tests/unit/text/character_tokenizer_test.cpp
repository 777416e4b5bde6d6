#include "text/tokenizer_kinds.h"

#include <gtest/gtest.h>

#include "support/expect_error.h"
#include "support/temp_dir.h"

namespace moefy::text {
namespace {

using Ids = std::vector<int64_t>;

TEST(CharacterTokenizer, HasTwoVocabularies) {
  const tests::TempDir dir;
  dir.Write("source_vocab.txt", "<blank>\n<s>\n</s>\nא\nב\nג\n");
  dir.Write("target_vocab.txt", "<blank>\n<s>\n</s>\na\nb\n");
  const auto tokenizer = LoadTokenizer(dir.path());
  EXPECT_EQ(tokenizer->Encode("גאa").ids, (Ids{5, 3, 6}));  // unknown ones come last
  EXPECT_EQ(tokenizer->EncodeTarget("ba").ids, (Ids{4, 3, 2}));
  EXPECT_EQ(tokenizer->Decode({4, 3, 2}), "ba");
  EXPECT_EQ(tokenizer->Decode({1, 4, 5, 2}, false), "<s>b<unk></s>");
  EXPECT_EQ(tokenizer->vocab_size(), 7);
  EXPECT_EQ(tokenizer->pad_id(), 0);
  EXPECT_EQ(tokenizer->eos_id(), 2);
  tests::ExpectError(ErrorKind::kInput, {"token id 6"}, [&] { tokenizer->Decode({6}); });
  dir.Write("tokenizer_config.json", R"({"add_eos_token": true})");
  EXPECT_EQ(LoadTokenizer(dir.path())->Encode("ג").ids, (Ids{5, 2}));
}

TEST(CharacterTokenizer, RefusesBadVocabularies) {
  const tests::TempDir dir;
  dir.Write("source_vocab.txt", "<blank>\n<s>\n</s>\nא\n");
  tests::ExpectError(ErrorKind::kInput, {"target_vocab.txt"}, [&] { LoadTokenizer(dir.path()); });
  dir.Write("target_vocab.txt", "<blank>\n<s>\n</s>\na\na\n");
  tests::ExpectError(ErrorKind::kInput, {"target_vocab.txt", "line 5: token 'a' stands on line 4"},
                     [&] { LoadTokenizer(dir.path()); });
  dir.Write("target_vocab.txt", "<blank>\n<s>\na\n");
  tests::ExpectError(ErrorKind::kInput, {"target_vocab.txt", "eos_token '</s>' is not in the"},
                     [&] { LoadTokenizer(dir.path()); });
}

}  // namespace
}  // namespace moefy::text
