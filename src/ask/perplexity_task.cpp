// Perplexity: every token but the first of each text is predicted from the ones before it, as many
// as a window holds. Windows as in https://huggingface.co/docs/transformers/perplexity.
#include <algorithm>
#include <iterator>

#include "ask/task_inputs.h"
#include "moefy/base/error.h"

namespace moefy::ask {
namespace {

struct TextWindow {
  size_t example_idx = 0;
  int64_t num_kept = 0;  // so many of its first distributions are kept
};

class PerplexityTask final : public PreparedTask {
 public:
  explicit PerplexityTask(const TaskInputs& inputs) : inputs_(inputs) {
    for (size_t i = 0; i < inputs.dataset.examples.size(); ++i) {
      AddWindows(i, inputs.tokenizer.Encode(inputs.dataset.examples[i].fields.at("text")).ids);
    }
    const int64_t most = std::max<int64_t>(1, kMaxKeptScores / inputs.config.vocab_size);
    int64_t num_targets = 0;
    for (size_t i = 0; i < windows_.size(); ++i) {
      const auto size = static_cast<int64_t>(sequences_[i].target.size());
      num_targets += size;
      windows_[i].num_kept = num_targets <= most ? size : i == 0 ? most : 0;
    }
    if (windows_.empty()) {
      throw InputError("task ", Quoted(inputs.spec.name),
                       ": no text has two tokens, so there is nothing to predict");
    }
    batches_ = MakeScoredBatches(inputs, sequences_);
  }

  std::vector<Answer> Ask(model::Transformer& model, Progress& progress) const override {
    const at::NoGradGuard no_grad;
    std::vector<Answer> of_windows(windows_.size());
    std::vector<std::vector<at::Tensor>> kept(windows_.size());
    const auto use = [&](size_t idx, const at::Tensor& logits, const at::Tensor& targets) {
      Answer& answer = of_windows[idx];
      const at::Tensor nats =
          -at::log_softmax(logits, 1).gather(1, targets.unsqueeze(1)).to(at::kDouble).contiguous();
      const at::Tensor likeliest = logits.argmax(1).contiguous();
      const int64_t num_kept = windows_[idx].num_kept - static_cast<int64_t>(answer.nats.size());
      if (num_kept > 0) {
        kept[idx].push_back(logits.narrow(0, 0, std::min(num_kept, logits.size(0))).clone());
      }
      answer.nats.insert(answer.nats.end(), nats.data_ptr<double>(),
                         nats.data_ptr<double>() + nats.numel());
      answer.likeliest.insert(answer.likeliest.end(), likeliest.data_ptr<int64_t>(),
                              likeliest.data_ptr<int64_t>() + likeliest.numel());
    };
    ForEachTarget(model, batches_, use, progress);
    return Joined(of_windows, kept);
  }

  uint64_t num_steps() const override { return sequences_.size(); }
  std::vector<Sequence> RightSequences() const override { return sequences_; }

 private:
  void AddWindows(size_t example_idx, const std::vector<int64_t>& ids) {
    const auto size = static_cast<int64_t>(ids.size());
    const int64_t length = inputs_.MaxTokens();
    // A window shares at least one token with the one before it, from which it predicts its first.
    const int64_t stride =
        inputs_.spec.stride > 0 ? std::min(inputs_.spec.stride, length - 1) : length - 1;
    for (int64_t begin = 0, next = 1; next < size && !Full(); begin += stride) {
      const int64_t end = std::min(size, begin + length);
      Sequence& sequence = sequences_.emplace_back();
      sequence.input.ids.assign(ids.begin() + begin, ids.begin() + next);
      sequence.input.token_type_ids.assign(sequence.input.ids.size(), 0);
      sequence.target.assign(ids.begin() + next, ids.begin() + end);
      windows_.push_back({example_idx, false});
      next = end;
    }
  }

  bool Full() const {
    const int64_t most = inputs_.dataset.max_windows;
    return most > 0 && static_cast<int64_t>(windows_.size()) >= most;
  }

  // Windows of a text stand one after the other.
  std::vector<Answer> Joined(std::vector<Answer>& of_windows,
                             std::vector<std::vector<at::Tensor>>& kept) const {
    std::vector<Answer> answers(inputs_.dataset.examples.size());
    std::vector<std::vector<at::Tensor>> scores(answers.size());
    for (size_t i = 0; i < windows_.size(); ++i) {
      Answer &answer = answers[windows_[i].example_idx], &window = of_windows[i];
      answer.nats.insert(answer.nats.end(), window.nats.begin(), window.nats.end());
      answer.likeliest.insert(answer.likeliest.end(), window.likeliest.begin(),
                              window.likeliest.end());
      std::vector<at::Tensor>& of_example = scores[windows_[i].example_idx];
      std::move(kept[i].begin(), kept[i].end(), std::back_inserter(of_example));
    }
    for (size_t i = 0; i < answers.size(); ++i) {
      if (!scores[i].empty()) answers[i].scores = at::cat(scores[i]);
      scores[i].clear();
    }
    return answers;
  }

  TaskInputs inputs_;
  std::vector<Sequence> sequences_;
  std::vector<TextWindow> windows_;  // one per sequence
  std::vector<Batch> batches_;
};

}  // namespace

std::unique_ptr<PreparedTask> PreparePerplexity(const TaskInputs& inputs) {
  return std::make_unique<PerplexityTask>(inputs);
}

}  // namespace moefy::ask
