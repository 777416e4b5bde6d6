#include "vocabulary.h"

#include <sentencepiece_trainer.h>

#include "base/json.h"
#include "corpus.h"
#include "moefy/base/error.h"
#include "prompts.h"

namespace moefy::example {
namespace {

constexpr size_t kRows = 4000;  // of each task
constexpr uint64_t kSeed = 1;
constexpr int kMaxPieces = 320;  // enough for every word to be one piece

// The library finds a word as a candidate only if different things follow it, the end of a line
// among them: so the words of a text, whose order means nothing here, are told in random order.
std::string ShuffleWords(const std::string& text, Random& random) {
  std::vector<std::string> words = Split(text, ' ');
  random.Shuffle(words);
  return Join(words, " ");
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

}  // namespace

std::string TrainVocabulary(const std::vector<task::TaskSpec>& specs) {
  Random random(kSeed);
  std::vector<std::string> texts;
  for (size_t i = 0; i < specs.size(); ++i) {
    const Corpus& corpus = Corpora()[i];
    for (const auto& row : MakeRows(corpus, Subset::kTrain, kRows, kSeed)) {
      const std::string text = PromptOf(specs[i], corpus, row) + " " + WordOf(specs[i], row.back());
      texts.push_back(ShuffleWords(text, random));
    }
  }
  const std::string arguments =
      StrCat("--model_type=unigram --vocab_size=", kMaxPieces,
             " --hard_vocab_limit=false --character_coverage=1.0 --num_threads=1 --minloglevel=2"
             " --pad_id=0 --eos_id=1 --unk_id=2 --bos_id=-1");
  TextIterator iterator(texts);
  std::string model;
  const auto status = sentencepiece::SentencePieceTrainer::Train(arguments, &iterator, &model);
  if (!status.ok()) throw InputError("training the vocabulary: ", status.ToString());
  return model;
}

std::string TokenizerConfig() {
  return FormatJson({{"tokenizer_class", "T5Tokenizer"},
                     {"eos_token", "</s>"},
                     {"unk_token", "<unk>"},
                     {"pad_token", "<pad>"},
                     {"extra_ids", 0},
                     {"legacy", false},
                     {"model_max_length", 512}});
}

}  // namespace moefy::example
