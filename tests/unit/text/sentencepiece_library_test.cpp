// Our SentencePiece against the library's, on a model the library trains here, on random text, and
// on real models and text where they are. This program must not link LibTorch
// (docs/decisions/0002-own-sentencepiece.md).
#include <gtest/gtest.h>
#include <sentencepiece_processor.h>
#include <sentencepiece_trainer.h>

#include <algorithm>
#include <random>

#include "base/output.h"
#include "moefy/base/strings.h"
#include "support/shared_data.h"
#include "text/sentencepiece/sentencepiece.h"
#include "text/unicode.h"
#include "tiny_models.h"

namespace sentencepiece::logging {
void SetMinLogLevel(int level);  // in the library, but in no installed header
}

namespace moefy::text {
namespace {

const char* const kWords[] = {"the",  "cat",     "Cats",     "sat",   "on",    "a",
                              "mat",  "and",     "then",     "café",  "naïve", "Zürich",
                              "日本", "мир",     "ﬁne",      "Ⅳ",     "½",     "x²",
                              "😀",    "e\u0301", "Ｆｕｌｌ", "don't", "3.14",  "--"};

std::string RandomText(std::mt19937& random) {
  const auto below = [&](uint32_t limit) { return static_cast<uint32_t>(random() % limit); };
  std::string text;
  for (uint32_t i = below(12); i > 0; --i) {
    switch (below(8)) {
      case 0:
        text += std::string(below(4), ' ');
        break;
      case 1:
        AppendCodePoint(text, 0x20 + below(0x60));
        break;
      case 2:
        AppendCodePoint(text, 0xa0 + below(0x2000));
        break;
      case 3:
        AppendCodePoint(text, 0xf900 + below(0x600));
        break;
      case 4:
        text += below(2) ? "\t\n" : "▁";
        break;
      default:
        text += kWords[below(std::size(kWords))];
        text += below(3) ? " " : "";
    }
  }
  return text;
}

class TextIterator final : public sentencepiece::SentenceIterator {
 public:
  explicit TextIterator(const std::vector<std::string>& texts) : texts_(texts) {}
  bool done() const override { return next_ == texts_.size(); }
  void Next() override { ++next_; }
  const std::string& value() const override { return texts_[next_]; }
  sentencepiece::util::Status status() const override { return {}; }

 private:
  const std::vector<std::string>& texts_;
  size_t next_ = 0;
};

std::string TrainTinyModel(const std::string& normalization) {
  std::mt19937 random(7);
  std::vector<std::string> sentences;
  for (int i = 0; i < 3000; ++i) {
    std::string sentence;
    for (int k = 0; k < 6; ++k) sentence += StrCat(kWords[random() % std::size(kWords)], " ");
    sentences.push_back(sentence);
  }
  std::string model;
  TextIterator iterator(sentences);
  const auto status = sentencepiece::SentencePieceTrainer::Train(
      StrCat("--vocab_size=120 --model_type=unigram --pad_id=0 --eos_id=1 --unk_id=2 --bos_id=-1 "
             "--user_defined_symbols=<sep>,then --hard_vocab_limit=false --num_threads=1 "
             "--minloglevel=3 --normalization_rule_name=",
             normalization),
      &iterator, &model);
  EXPECT_TRUE(status.ok()) << status.ToString();
  return model;
}

void Compare(const std::string& model, const std::vector<std::string>& texts) {
  sentencepiece::logging::SetMinLogLevel(3);
  sentencepiece::SentencePieceProcessor library;
  ASSERT_TRUE(library.LoadFromSerializedProto(model).ok());
  const SentencePiece ours(ParseSentencePieceModel(model));
  ASSERT_EQ(ours.num_pieces(), library.GetPieceSize());
  for (const std::string& text : texts) {
    const std::vector<std::string> pieces = library.EncodeAsPieces(text);
    ASSERT_EQ(ours.EncodeAsPieces(text), pieces) << Quoted(text);
    ASSERT_EQ(ours.DecodePieces(pieces), library.DecodePieces(pieces)) << Quoted(text);
    for (const std::string& piece : pieces) {
      ASSERT_EQ(ours.PieceToId(piece), library.PieceToId(piece)) << piece;
    }
  }
}

std::vector<std::string> RandomTexts() {
  std::mt19937 random(11);
  std::vector<std::string> texts;
  for (int i = 0; i < 4000; ++i) texts.push_back(RandomText(random));
  texts.push_back("<sep>then<sep> a");
  return texts;
}

TEST(SentencePieceLibrary, AgreesOnTrainedModels) {
  for (const char* normalization : {"nmt_nfkc", "nfkc_cf", "identity"}) {
    SCOPED_TRACE(normalization);
    Compare(TrainTinyModel(normalization), RandomTexts());
  }
}

TEST(SentencePieceLibrary, ReadsWhatWeWrite) {
  Compare(tests::FormatSentencePieceModel(TinyModel()), RandomTexts());
  SentencePieceModel mapped = TinyModel();
  mapped.precompiled_charsmap = TinyCharsmap();
  mapped.pieces.push_back({"<sep>", 0, PieceType::kUserDefined});
  mapped.add_dummy_prefix = false;
  mapped.remove_extra_whitespaces = false;
  Compare(tests::FormatSentencePieceModel(mapped), RandomTexts());
}

TEST(SentencePieceLibrary, AgreesOnRealModels) {
  MOEFY_SKIP_WITHOUT(tests::SharedData());
  std::vector<std::string> texts = RandomTexts();
  for (const std::string& line :
       Split(ReadTextFile(tests::SharedData() / "data" / "sst2" / "train.tsv"), '\n')) {
    if (texts.size() >= 24000) break;
    texts.push_back(line);
  }
  for (const char* model :
       {"goldens/tokenizers/t5/spiece.model", "checkpoints/t5-relu-reviews/spiece.model"}) {
    SCOPED_TRACE(model);
    Compare(ReadTextFile(tests::SharedData() / model), texts);
  }
}

}  // namespace
}  // namespace moefy::text
