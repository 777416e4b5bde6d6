// Measures how likely the right answer is after the prompt, and whether the model would say it, as
// lm-evaluation-harness asks LAMBADA (Paperno et al. 2016, https://arxiv.org/abs/1606.06031).
#include <algorithm>

#include "ask/task_inputs.h"
#include "moefy/base/error.h"

namespace moefy::ask {
namespace {

class CompletionTask final : public PreparedTask {
 public:
  explicit CompletionTask(const TaskInputs& inputs) : inputs_(inputs) {
    for (const task::Example& example : inputs.dataset.examples) {
      WithContext(ExampleName(inputs.spec, sequences_.size()), [&] {
        const std::string& answer = example.answers.front();
        Continued continued = Continue(inputs, example, {answer}, /*end=*/false);
        if (continued.targets.front().empty() || Trim(answer).empty()) {
          throw InputError("the answer ", Quoted(answer), " has no tokens");
        }
        sequences_.push_back({std::move(continued.prompt), std::move(continued.targets.front())});
      });
    }
    batches_ = MakeScoredBatches(inputs, sequences_);
  }

  std::vector<Answer> Ask(model::Transformer& model, Progress& progress) const override {
    const at::NoGradGuard no_grad;
    std::vector<Answer> answers(sequences_.size());
    std::vector<std::vector<at::Tensor>> kept(answers.size());
    int64_t num_scores = 0;
    const auto use = [&](size_t idx, const at::Tensor& logits, const at::Tensor& targets) {
      Answer& answer = answers[idx];
      const at::Tensor nats =
          -at::log_softmax(logits, 1).gather(1, targets.unsqueeze(1)).to(at::kDouble);
      const at::Tensor likeliest = logits.argmax(1);
      for (int64_t i = 0; i < targets.size(0); ++i) {
        answer.nats.push_back(nats[i][0].item<double>());
        answer.likeliest.push_back(likeliest[i].item<int64_t>());
      }
      num_scores += logits.numel();
      if (num_scores <= kMaxKeptScores) kept[idx].push_back(logits.clone());
    };
    ForEachTarget(model, batches_, use, progress);
    for (size_t i = 0; i < answers.size(); ++i) {
      answers[i].all_likeliest = answers[i].likeliest == sequences_[i].target;
      answers[i].text = Trim(inputs_.tokenizer.Decode(answers[i].likeliest));
      if (!kept[i].empty()) answers[i].scores = at::cat(kept[i]);
    }
    return answers;
  }

  uint64_t num_steps() const override { return sequences_.size(); }
  std::vector<Sequence> RightSequences() const override { return sequences_; }

 private:
  TaskInputs inputs_;
  std::vector<Sequence> sequences_;  // one per example
  std::vector<Batch> batches_;
};

}  // namespace

std::unique_ptr<PreparedTask> PrepareCompletion(const TaskInputs& inputs) {
  return std::make_unique<CompletionTask>(inputs);
}

}  // namespace moefy::ask
