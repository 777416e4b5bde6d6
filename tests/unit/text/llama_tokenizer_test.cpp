#include "text/tokenizer_kinds.h"

#include <gtest/gtest.h>

#include "support/expect_error.h"
#include "support/temp_dir.h"
#include "text/stream_decoder.h"
#include "tiny_models.h"

namespace moefy::text {
namespace {

using Ids = std::vector<int64_t>;

std::unique_ptr<Tokenizer> LoadLlama(std::string_view config = "{}",
                                     const SentencePieceModel& model = TinyBpeModel()) {
  const tests::TempDir dir;
  dir.Write("tokenizer.model", tests::FormatSentencePieceModel(model));
  dir.Write("tokenizer_config.json", config);
  return LoadTokenizer(dir.path());
}

// ab 259, ▁ab 260, abc 261, ▁ 262, a 263, b 264, c 265
TEST(LlamaTokenizer, BeginsWithBos) {
  const auto tokenizer = LoadLlama();
  EXPECT_EQ(tokenizer->Encode("ab abc").ids, (Ids{1, 260, 260, 265}));
  EXPECT_EQ(tokenizer->EncodePair("a", "b").ids, (Ids{1, 262, 263, 1, 262, 264}));
  EXPECT_EQ(tokenizer->Encode("é").ids, (Ids{1, 262, 3 + 0xC3, 3 + 0xA9}));
  EXPECT_EQ(tokenizer->Encode("").ids, Ids{1});
  EXPECT_EQ(tokenizer->Decode({1, 260, 260, 265}), "ab abc");
  EXPECT_EQ(tokenizer->Decode({1, 260}, false), "<s>ab");
  EXPECT_EQ(tokenizer->eos_id(), 2);
  EXPECT_EQ(tokenizer->pad_id(), 2);
  EXPECT_EQ(tokenizer->vocab_size(), 266);
}

TEST(LlamaTokenizer, Options) {
  EXPECT_EQ(LoadLlama(R"({"add_eos_token": true, "add_bos_token": false})")->Encode("ab").ids,
            (Ids{260, 2}));
  const auto padded = LoadLlama(R"({"pad_token": "<pad>"})");
  EXPECT_EQ(padded->pad_id(), 266);
  EXPECT_EQ(padded->vocab_size(), 267);
  EXPECT_EQ(LoadLlama(R"({"legacy": false})")->Encode("ab</s>a").ids, (Ids{1, 260, 2, 263}));
  EXPECT_EQ(LoadLlama(R"({"legacy": true})")->Encode("ab</s>a").ids, (Ids{1, 260, 2, 262, 263}));
  EXPECT_EQ(LoadLlama(R"({"legacy": false, "add_prefix_space": false})")->Encode("ab").ids,
            (Ids{1, 259}));
  tests::ExpectError(ErrorKind::kInput, {"tokenizer.model", "bos_token '<bos>' is not in the voc"},
                     [&] { LoadLlama(R"({"bos_token": "<bos>"})"); });
}

TEST(LlamaTokenizer, LongWords) {
  SentencePieceModel model = TinyBpeModel();
  model.pieces.push_back({"aa", -1, PieceType::kNormal});
  model.pieces.push_back({std::string(4096, 'a'), -2, PieceType::kNormal});
  EXPECT_EQ(LoadLlama("{}", model)->Encode(std::string(1 << 18, 'a')).ids.size(), 2u + (1 << 17));
}

TEST(StreamDecoder, GivesOnlyWhatIsCertain) {
  const auto tokenizer = LoadLlama();
  StreamDecoder decoder(*tokenizer);
  EXPECT_EQ(decoder.Push(1), "");  // left out
  EXPECT_EQ(decoder.Push(260), "ab");
  EXPECT_EQ(decoder.Push(262), "");       // a space that punctuation might take away
  EXPECT_EQ(decoder.Push(3 + 0xC3), "");  // half a character
  EXPECT_EQ(decoder.Push(3 + 0xA9), " é");
  EXPECT_EQ(decoder.Push(3 + 0xE6), "");
  EXPECT_EQ(decoder.Push(3 + 0x97), "");
  EXPECT_EQ(decoder.Push(3 + 0xA5), "日");
  EXPECT_EQ(decoder.Push(260), " ab");
  EXPECT_EQ(decoder.Push(3 + 0xE6), "");
  EXPECT_EQ(decoder.Finish(), "\uFFFD");  // never completed
  EXPECT_EQ(decoder.Push(260), "ab");     // a new text
  EXPECT_EQ(decoder.Finish(), "");
}

TEST(StreamDecoder, IsDecodeWhateverComes) {
  const auto tokenizer = LoadLlama();
  uint32_t random = 1;
  for (int round = 0; round < 50; ++round) {
    Ids ids;
    for (int i = 0; i < 30; ++i) {
      random = random * 1664525 + 1013904223;
      const uint32_t high = random >> 16;
      ids.push_back(high % 3 ? 259 + high % 7 : 3 + high % 256);
    }
    StreamDecoder decoder(*tokenizer);
    std::string text;
    for (const int64_t id : ids) text += decoder.Push(id);
    EXPECT_EQ(text + decoder.Finish(), tokenizer->Decode(ids));
  }
}

// Held back for ever, it would take quadratic time and all memory.
TEST(StreamDecoder, DoesNotWaitForEver) {
  const auto tokenizer = LoadLlama();
  StreamDecoder decoder(*tokenizer);
  size_t num_bytes = 0;
  for (int i = 0; i < 1000; ++i) num_bytes += decoder.Push(3 + 0x80).size();
  EXPECT_GT(num_bytes, 900u * 3);
}

}  // namespace
}  // namespace moefy::text
