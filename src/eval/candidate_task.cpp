// Labels and choices by the log likelihood of each as a whole (Brown et al. 2020, section 2.4).
#include <algorithm>

#include "eval/task_inputs.h"
#include "moefy/base/error.h"
#include "moefy/text/words.h"

namespace moefy::eval {
namespace {

// What a model would say of each label or choice.
std::vector<std::string> Texts(const task::TaskSpec& spec, const task::Example& example) {
  std::vector<std::string> texts;
  if (spec.kind == task::TaskKind::kClassification) {
    for (const task::Label& label : spec.labels) texts.push_back(label.word);
    return texts;
  }
  if (!spec.answer_by_letter) return example.choices;
  for (size_t i = 0; i < example.choices.size(); ++i) {
    texts.push_back(LabelName(spec, static_cast<int64_t>(i)));
  }
  return texts;
}

bool EachIsOneToken(const Continued& continued) {
  return std::all_of(continued.targets.begin(), continued.targets.end(),
                     [](const auto& target) { return target.size() == 1; });
}

// One run of the model: the score of one candidate, or, where each is one token and so no run
// differs from another, of all of them.
struct Run {
  size_t example_idx = 0;
  size_t candidate_idx = 0;
  std::vector<int64_t> alternatives;  // a token per candidate; empty: one candidate
};

class CandidateTask final : public PreparedTask {
 public:
  explicit CandidateTask(const TaskInputs& inputs) : inputs_(inputs) {
    const bool closed = inputs.spec.kind == task::TaskKind::kClassification ||
                        inputs.spec.answer_by_letter;  // words of the task, not of the data
    for (size_t i = 0; i < inputs.dataset.examples.size(); ++i) {
      const task::Example& example = inputs.dataset.examples[i];
      const std::vector<std::string> texts = Texts(inputs.spec, example);
      // Only texts of several tokens need an end: "good" begins like "good enough".
      Continued continued = Continue(inputs, example, texts, /*end=*/false);
      if (!inputs.causal() && !EachIsOneToken(continued)) {
        continued = Continue(inputs, example, texts, /*end=*/true);
      }
      for (size_t k = 0; k < texts.size(); ++k) {
        CheckTarget(i, texts[k], continued.targets[k], closed);
      }
      Add(i, std::move(continued));
    }
    batches_ = MakeScoredBatches(inputs, sequences_);
  }

  std::vector<Answer> Ask(model::Transformer& model, Progress& progress) const override {
    const at::NoGradGuard no_grad;
    std::vector<at::Tensor> scores;  // per example [candidates]
    for (const task::Example& example : inputs_.dataset.examples) {
      scores.push_back(at::zeros({NumCandidates(example)}, at::kDouble));
    }
    const auto use = [&](size_t sequence_idx, const at::Tensor& logits, const at::Tensor& targets) {
      const Run& run = runs_[sequence_idx];
      const at::Tensor& of_example = scores[run.example_idx];
      const at::Tensor log_shares = at::log_softmax(logits, 1).to(at::kDouble);
      if (!run.alternatives.empty()) {
        of_example.copy_(log_shares[0].index_select(0, at::tensor(run.alternatives, at::kLong)));
        return;
      }
      const at::Tensor each = log_shares.gather(1, targets.unsqueeze(1));  // [targets, 1]
      const auto count = static_cast<double>(sequences_[sequence_idx].target.size());
      of_example[static_cast<int64_t>(run.candidate_idx)] +=
          inputs_.spec.length_normalized ? each.sum() / count : each.sum();
    };
    ForEachTarget(model, batches_, use, progress);
    std::vector<Answer> answers;
    for (const at::Tensor& of_example : scores) {
      answers.push_back(AnswerByScores(inputs_.spec, of_example));
    }
    return answers;
  }

  uint64_t num_steps() const override { return sequences_.size(); }

  std::vector<Sequence> RightSequences() const override {
    std::vector<Sequence> right;
    for (size_t i = 0; i < runs_.size(); ++i) {
      const auto label_idx =
          static_cast<size_t>(inputs_.dataset.examples[runs_[i].example_idx].label_idx);
      if (!runs_[i].alternatives.empty()) {
        right.push_back({sequences_[i].input, {runs_[i].alternatives.at(label_idx)}});
      } else if (runs_[i].candidate_idx == label_idx) {
        right.push_back(sequences_[i]);
      }
    }
    return right;
  }

 private:
  int64_t NumCandidates(const task::Example& example) const {
    return static_cast<int64_t>(inputs_.spec.kind == task::TaskKind::kClassification
                                    ? inputs_.spec.labels.size()
                                    : example.choices.size());
  }

  void CheckTarget(size_t example_idx, const std::string& text, const std::vector<int64_t>& target,
                   bool closed) const {
    if (target.empty()) {
      throw InputError("task ", Quoted(inputs_.spec.name), ", example ", example_idx,
                       ": the answer ", Quoted(text), " has no tokens");
    }
    if (!closed || example_idx > 0) return;
    const std::string decoded = Trim(inputs_.tokenizer.Decode(target));
    // A tokenizer that lowers case reads the same word all the same.
    if (text::LowerCase(decoded) == text::LowerCase(text)) return;
    throw InputError("task ", Quoted(inputs_.spec.name), " does not fit this model: the word ",
                     Quoted(text), " is not in the model's vocabulary",
                     decoded.empty() ? "" : " (it reads " + Quoted(decoded) + ")");
  }

  void Add(size_t example_idx, Continued continued) {
    if (EachIsOneToken(continued)) {
      Run& run = runs_.emplace_back(Run{example_idx, 0, {}});
      for (const auto& target : continued.targets) run.alternatives.push_back(target.front());
      sequences_.push_back({std::move(continued.prompt), continued.targets.front()});
      return;
    }
    for (size_t k = 0; k < continued.targets.size(); ++k) {
      runs_.push_back({example_idx, k, {}});
      sequences_.push_back({continued.prompt, std::move(continued.targets[k])});
    }
  }

  TaskInputs inputs_;
  std::vector<Sequence> sequences_;
  std::vector<Run> runs_;  // one per sequence
  std::vector<Batch> batches_;
};

}  // namespace

std::unique_ptr<PreparedTask> PrepareCandidates(const TaskInputs& inputs) {
  return std::make_unique<CandidateTask>(inputs);
}

}  // namespace moefy::eval
