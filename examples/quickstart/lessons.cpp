#include "lessons.h"

#include "moefy/base/error.h"
#include "prompts.h"

namespace moefy::example {
namespace {

// A label's word must be one piece, or its first piece would not tell it from all others.
int64_t IdOf(const std::string& word, const text::Tokenizer& tokenizer) {
  const std::vector<int64_t> ids =
      tokenizer.Encode(word, {.add_special_tokens = false, .max_tokens = 0}).ids;
  if (ids.size() != 1) {
    throw InputError("the label word ", Quoted(word), " is ", ids.size(),
                     " pieces of the vocabulary; expected 1");
  }
  return ids.front();
}

at::Tensor ToTensor(const std::vector<int64_t>& values, int64_t rows) {
  return at::tensor(values, at::kLong).view({rows, -1});
}

}  // namespace

Lessons::Lessons(const std::vector<task::TaskSpec>& specs, const text::Tokenizer& tokenizer,
                 int64_t decoder_start_id, int64_t tokens_per_batch, uint64_t seed)
    : specs_(specs),
      tokenizer_(tokenizer),
      decoder_start_id_(decoder_start_id),
      tokens_per_batch_(tokens_per_batch),
      random_(seed) {
  for (size_t i = 0; i < specs.size(); ++i) {
    std::vector<int64_t> ids;
    for (const std::string& label : Corpora()[i].labels) {
      ids.push_back(IdOf(WordOf(specs[i], label), tokenizer));
    }
    answer_ids_.push_back(std::move(ids));
  }
}

Lessons::Prompt Lessons::DrawPrompt(int64_t num_candidates) {
  const size_t corpus_idx = random_.Below(specs_.size());
  const Corpus& corpus = Corpora()[corpus_idx];
  const size_t label_idx = random_.Below(corpus.labels.size());
  std::vector<std::string> row;
  for (int64_t i = 0; i < num_candidates; ++i) {
    auto candidate = DrawRow(corpus, Subset::kTrain, label_idx, random_);
    if (row.empty() || candidate.front().size() < row.front().size()) row = std::move(candidate);
  }
  return {tokenizer_.Encode(PromptOf(specs_[corpus_idx], corpus, row)).ids,
          answer_ids_[corpus_idx][label_idx]};
}

Lesson Lessons::Next(int64_t num_candidates) {
  for (;;) {
    Prompt prompt = DrawPrompt(num_candidates);
    const size_t length = prompt.ids.size();
    std::vector<Prompt>& waiting = by_length_[length];
    waiting.push_back(std::move(prompt));
    if (static_cast<int64_t>(waiting.size() * length) < tokens_per_batch_) continue;
    Lesson lesson = ToLesson(waiting);
    waiting.clear();
    return lesson;
  }
}

Lesson Lessons::ToLesson(const std::vector<Prompt>& prompts) const {
  std::vector<int64_t> ids, decoder_ids, targets;
  for (const Prompt& prompt : prompts) {
    ids.insert(ids.end(), prompt.ids.begin(), prompt.ids.end());
    decoder_ids.insert(decoder_ids.end(), {decoder_start_id_, prompt.answer_id});
    targets.insert(targets.end(), {prompt.answer_id, *tokenizer_.eos_id()});
  }
  const auto rows = static_cast<int64_t>(prompts.size());
  Lesson lesson;
  lesson.inputs.input_ids = ToTensor(ids, rows);
  lesson.inputs.decoder_input_ids = ToTensor(decoder_ids, rows);
  lesson.targets = ToTensor(targets, rows);
  return lesson;
}

}  // namespace moefy::example
