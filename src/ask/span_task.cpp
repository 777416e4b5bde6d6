// Cuts answers out of the context by a question answering head. A context that does not fit is read
// in windows that move on by the task's stride (Devlin et al. 2019, section 4.2). The rule for
// questions without an answer is that of the released run_squad.py.
#include <algorithm>
#include <cmath>
#include <limits>

#include "ask/answer_span.h"
#include "ask/task_inputs.h"
#include "moefy/base/error.h"

namespace moefy::ask {
namespace {

constexpr size_t kNumBest = 20;

struct Window {
  size_t example_idx = 0;
  ContextTokens context;
};

class SpanTask final : public PreparedTask {
 public:
  explicit SpanTask(const TaskInputs& inputs) : inputs_(inputs) {
    for (size_t i = 0; i < inputs.dataset.examples.size(); ++i) {
      WithContext(StrCat("task ", Quoted(inputs.spec.name), ", example ", i),
                  [&] { AddWindows(i); });
    }
    batches_ = MakeBatches(sequences_, inputs.config, inputs.tokenizer.pad_id());
  }

  std::vector<Answer> Ask(model::Transformer& model, Progress& progress) const override {
    const at::NoGradGuard no_grad;
    const size_t num_examples = inputs_.dataset.examples.size();
    std::vector<std::vector<Span>> spans(num_examples);
    // The first token stands for "no answer"; the window that is the surest of it decides.
    std::vector<double> none(num_examples, std::numeric_limits<double>::infinity());
    for (const Batch& batch : batches_) {
      const model::ForwardOutputs outputs = model.Forward(batch.inputs);
      for (size_t row = 0; row < batch.example_idxs.size(); ++row) {
        const Window& window = windows_[static_cast<size_t>(batch.example_idxs[row])];
        const at::Tensor start = outputs.start_logits[static_cast<int64_t>(row)];
        const at::Tensor end = outputs.end_logits[static_cast<int64_t>(row)];
        std::vector<Span>& of_example = spans[window.example_idx];
        for (const Span& span : BestSpans(start, end, window.context, kNumBest)) {
          of_example.push_back(span);
        }
        double& least = none[window.example_idx];
        least = std::min(least, (start[0] + end[0]).item<double>());
      }
      progress.Advance(batch.example_idxs.size());
    }
    std::vector<Answer> answers;
    for (size_t i = 0; i < num_examples; ++i) answers.push_back(Choose(i, spans[i], none[i]));
    return answers;
  }

  uint64_t num_steps() const override { return sequences_.size(); }
  std::vector<Sequence> RightSequences() const override { return sequences_; }

 private:
  const std::string& Field(size_t example_idx, size_t input_idx) const {
    return inputs_.dataset.examples[example_idx].fields.at(inputs_.spec.inputs[input_idx]);
  }

  void AddWindows(size_t example_idx) {
    const std::string &question = Field(example_idx, 0), &context = Field(example_idx, 1);
    const text::Encoding whole = inputs_.tokenizer.EncodePair(question, context);
    const ContextTokens tokens = LocateContext(inputs_.tokenizer, question, context, whole.ids);
    const auto count = static_cast<int64_t>(tokens.bytes.size());
    const auto first = static_cast<int64_t>(tokens.first);
    const auto num_others = static_cast<int64_t>(whole.ids.size()) - count;
    const int64_t room = inputs_.MaxTokens() - num_others;
    if (room < 1) {
      throw InputError("the question and special tokens are ", num_others,
                       " tokens, which leaves no room for the context in ", inputs_.MaxTokens());
    }
    const int64_t stride = inputs_.spec.stride > 0 ? std::min(inputs_.spec.stride, room) : room;
    for (int64_t begin = 0;; begin += stride) {
      const int64_t end = std::min(count, begin + room);
      Sequence& sequence = sequences_.emplace_back();
      sequence.input = whole;
      for (auto* ids : {&sequence.input.ids, &sequence.input.token_type_ids}) {
        ids->erase(ids->begin() + first + end, ids->begin() + first + count);
        ids->erase(ids->begin() + first, ids->begin() + first + begin);
      }
      windows_.push_back(
          {example_idx,
           {tokens.first, {tokens.bytes.begin() + begin, tokens.bytes.begin() + end}}});
      sequence.target = RightSpan(example_idx, windows_.back().context);
      if (end == count) break;
    }
  }

  // The columns of the first accepted answer where it first stands in the context, or the first
  // token if the window does not hold all of it.
  std::vector<int64_t> RightSpan(size_t example_idx, const ContextTokens& window) const {
    const std::vector<std::string>& answers = inputs_.dataset.examples[example_idx].answers;
    const size_t begin = answers.empty() || answers.front().empty()
                             ? std::string::npos
                             : Field(example_idx, 1).find(answers.front());
    if (begin == std::string::npos) return {0, 0};
    const size_t end = begin + answers.front().size();
    int64_t first = -1, last = -1;
    for (size_t i = 0; i < window.bytes.size(); ++i) {
      const auto column = static_cast<int64_t>(window.first + i);
      if (window.bytes[i].first <= begin && begin < window.bytes[i].second && first < 0) {
        first = column;
      }
      if (window.bytes[i].first < end && end <= window.bytes[i].second) last = column;
    }
    return first < 0 || last < 0 ? std::vector<int64_t>{0, 0} : std::vector<int64_t>{first, last};
  }

  // Returns the best spans of all windows; a span that overlapping windows share counts once.
  Answer Choose(size_t example_idx, std::vector<Span> spans, double none) const {
    const std::string& context = Field(example_idx, 1);
    std::stable_sort(spans.begin(), spans.end(),
                     [](const Span& a, const Span& b) { return a.score > b.score; });
    std::vector<std::pair<std::string, double>> best;  // text, score
    std::vector<std::pair<size_t, size_t>> seen;
    for (const Span& span : spans) {
      const std::pair bytes{span.begin, span.end};
      if (best.size() == kNumBest || std::find(seen.begin(), seen.end(), bytes) != seen.end()) {
        continue;
      }
      seen.push_back(bytes);
      best.emplace_back(context.substr(span.begin, span.end - span.begin), span.score);
    }
    if (inputs_.spec.no_answer || best.empty()) best.emplace_back("", none);
    std::stable_sort(best.begin(), best.end(),
                     [](const auto& a, const auto& b) { return a.second > b.second; });
    double total = 0;
    for (const auto& [text, score] : best) total += std::exp(score - best.front().second);
    const double largest = best.front().second;
    for (auto& [text, score] : best) score = std::exp(score - largest) / total;
    Answer answer;
    answer.text = best.front().first;
    answer.best = std::move(best);
    return answer;
  }

  TaskInputs inputs_;
  std::vector<Sequence> sequences_;
  std::vector<Window> windows_;  // one per sequence
  std::vector<Batch> batches_;
};

}  // namespace

std::unique_ptr<PreparedTask> PrepareSpans(const TaskInputs& inputs) {
  return std::make_unique<SpanTask>(inputs);
}

}  // namespace moefy::ask
