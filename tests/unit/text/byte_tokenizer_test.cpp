#include "text/tokenizer_kinds.h"

#include <gtest/gtest.h>

#include "support/expect_error.h"
#include "support/temp_dir.h"

namespace moefy::text {
namespace {

using Ids = std::vector<int64_t>;

std::unique_ptr<Tokenizer> LoadBytes(
    std::string_view config = R"({"tokenizer_class": "ByT5Tokenizer"})") {
  const tests::TempDir dir;
  dir.Write("tokenizer_config.json", config);
  return LoadTokenizer(dir.path());
}

TEST(ByteTokenizer, ATokenPerByte) {
  const auto tokenizer = LoadBytes();
  EXPECT_EQ(tokenizer->Encode("The abé").ids, (Ids{87, 107, 104, 35, 100, 101, 198, 172, 1}));
  EXPECT_EQ(tokenizer->Encode("a</s>b<unk> z").ids, (Ids{100, 1, 101, 2, 125, 1}));
  EXPECT_EQ(tokenizer->Encode("a</s>").ids, (Ids{100, 1}));  // not a second one
  EXPECT_EQ(tokenizer->EncodePair("a", "b").ids, (Ids{100, 1, 101, 1}));
  EXPECT_EQ(tokenizer->Encode("<extra_id_0>").ids, (Ids{259, 1}));
  EXPECT_EQ(tokenizer->vocab_size(), 384);
  EXPECT_EQ(tokenizer->eos_id(), 1);
}

TEST(ByteTokenizer, Decodes) {
  const auto tokenizer = LoadBytes();
  EXPECT_EQ(tokenizer->Decode({87, 107, 104, 35, 100, 101, 198, 172, 1}), "The abé");
  EXPECT_EQ(tokenizer->Decode({100, 1, 101}, false), "a</s>b");
  EXPECT_EQ(tokenizer->Decode({100, 198, 101}), "ab");  // half a character is left out
  tests::ExpectError(ErrorKind::kInput, {"token id 384"}, [&] { tokenizer->Decode({384}); });
}

TEST(ByteTokenizer, OnlyWhereItIsNamed) {
  EXPECT_EQ(LoadBytes(R"({"tokenizer_class": "ByT5Tokenizer", "extra_ids": 2})")->vocab_size(),
            261);
  tests::ExpectError(ErrorKind::kInput, {"no tokenizer found"}, [] { LoadBytes("{}"); });
}

}  // namespace
}  // namespace moefy::text
