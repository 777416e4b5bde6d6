#include "lessons.h"

#include <algorithm>
#include <set>

#include "moefy/base/error.h"
#include "prompts.h"

namespace moefy::example {
namespace {

constexpr int64_t kIgnored = -100;  // as cross_entropy_loss has it

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
      random_(seed) {}

Lessons::Prompt Lessons::DrawPrompt(int64_t num_candidates) {
  const size_t corpus_idx = random_.Below(3) == 0 ? 0 : 1;  // stories are harder to learn
  const Corpus& corpus = Corpora()[corpus_idx];
  const size_t label_idx = random_.Below(corpus.labels.size());
  Row row;
  for (int64_t i = 0; i < num_candidates; ++i) {
    Row candidate = DrawRow(corpus, Subset::kTrain, label_idx, random_);
    if (i == 0 || candidate.cells.front().size() < row.cells.front().size()) {
      row = std::move(candidate);
    }
  }
  const task::TaskSpec& spec = specs_[corpus_idx];
  Prompt prompt;
  prompt.ids = tokenizer_.Encode(PromptOf(spec, corpus, row.cells)).ids;
  prompt.standings = PlaceStandings(prompt.ids, row.standings, spec);
  prompt.decoder_ids = {decoder_start_id_};
  prompt.targets = {IdOf(WordOf(spec, corpus.labels[label_idx]), tokenizer_)};
  random_.Shuffle(row.hints);
  for (const Hint& hint : row.hints) {
    prompt.decoder_ids.push_back(IdOf(hint.about, tokenizer_));
    prompt.targets.push_back(IdOf(WordOf(spec, hint.answer), tokenizer_));
  }
  return prompt;
}

std::vector<int64_t> Lessons::PlaceStandings(const std::vector<int64_t>& ids,
                                             const std::vector<Standing>& standings,
                                             const task::TaskSpec& spec) const {
  std::vector<int64_t> out(ids.size(), kIgnored);
  if (standings.empty()) return out;
  std::set<int64_t> places;
  for (const task::Label& label : spec.labels) places.insert(IdOf(label.word, tokenizer_));
  size_t next = 0;
  for (size_t i = 0; i < ids.size() && next < standings.size(); ++i) {
    if (!places.contains(ids[i])) continue;
    const Standing standing = standings[next++];
    if (standing != Standing::kSaysNothing) out[i] = standing == Standing::kHolds ? 1 : 0;
  }
  return out;
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
  size_t longest = 0;
  for (const Prompt& prompt : prompts) longest = std::max(longest, prompt.targets.size());
  std::vector<int64_t> ids, decoder_ids, targets, standings;
  for (const Prompt& prompt : prompts) {
    const size_t padding = longest - prompt.targets.size();
    ids.insert(ids.end(), prompt.ids.begin(), prompt.ids.end());
    standings.insert(standings.end(), prompt.standings.begin(), prompt.standings.end());
    decoder_ids.insert(decoder_ids.end(), prompt.decoder_ids.begin(), prompt.decoder_ids.end());
    decoder_ids.insert(decoder_ids.end(), padding, decoder_start_id_);
    targets.insert(targets.end(), prompt.targets.begin(), prompt.targets.end());
    targets.insert(targets.end(), padding, kIgnored);
  }
  const auto rows = static_cast<int64_t>(prompts.size());
  Lesson lesson;
  lesson.inputs.input_ids = ToTensor(ids, rows);
  lesson.inputs.decoder_input_ids = ToTensor(decoder_ids, rows);
  lesson.targets = ToTensor(targets, rows);
  if (std::any_of(standings.begin(), standings.end(), [](int64_t s) { return s != kIgnored; })) {
    lesson.standings = ToTensor(standings, rows);
  }
  return lesson;
}

}  // namespace moefy::example
