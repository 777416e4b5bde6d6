// Chooses among labels or choices by the log likelihood of each as a whole (Brown et al. 2020,
// section 2.4).
#include <algorithm>

#include "ask/task_inputs.h"
#include "moefy/base/error.h"
#include "text/words.h"

namespace moefy::ask {
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

// One run of the model scores one candidate. Where each candidate is one token, no run would differ
// from another, and one run scores all of them.
struct Run {
  size_t example_idx = 0;
  size_t candidate_idx = 0;
  std::vector<int64_t> alternatives;  // a token per candidate; empty: one candidate
};

class CandidateTask final : public PreparedTask {
 public:
  explicit CandidateTask(const TaskInputs& inputs) : inputs_(inputs) {
    const bool closed = inputs.spec.kind == task::TaskKind::kClassification ||
                        inputs.spec.answer_by_letter;  // the words are the task's, not the data's
    for (size_t i = 0; i < inputs.dataset.examples.size(); ++i) {
      const task::Example& example = inputs.dataset.examples[i];
      WithContext(ExampleName(inputs.spec, i), [&] {
        inputs.spec.continuation.empty() ? AddTexts(i, example, closed) : AddContexts(i, example);
      });
    }
    batches_ = MakeScoredBatches(inputs, sequences_);
  }

  std::vector<Answer> Ask(model::Transformer& model, Progress& progress) const override {
    const at::NoGradGuard no_grad;
    std::vector<at::Tensor> scores;  // per example [candidates]: log likelihoods
    for (const std::vector<Length>& lengths : lengths_) {
      scores.push_back(at::zeros({static_cast<int64_t>(lengths.size())}, at::kDouble));
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
      of_example[static_cast<int64_t>(run.candidate_idx)] += each.sum();
    };
    ForEachTarget(model, batches_, use, progress);
    std::vector<Answer> answers;
    for (size_t i = 0; i < scores.size(); ++i) {
      const auto by = [&](int64_t Length::*unit) {
        at::Tensor divided = scores[i].clone();
        for (size_t k = 0; k < lengths_[i].size(); ++k) {
          divided[static_cast<int64_t>(k)] /= static_cast<double>(lengths_[i][k].*unit);
        }
        return divided;
      };
      answers.push_back(AnswerByScores(
          inputs_.spec, inputs_.spec.length_normalized ? by(&Length::tokens) : scores[i]));
      answers.back().normalized_idx = by(&Length::characters).argmax().item<int64_t>();
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
  // The lengths of one candidate, both at least 1.
  struct Length {
    int64_t tokens = 1;
    int64_t characters = 1;  // counts code points of the text, as lm-evaluation-harness does
  };

  static Length LengthOf(const std::string& text, const std::vector<int64_t>& target) {
    const size_t characters = text::SplitCharacters(text).size();
    return {static_cast<int64_t>(std::max<size_t>(1, target.size())),
            static_cast<int64_t>(std::max<size_t>(1, characters))};
  }

  // Puts one prompt, and after it each of several texts.
  void AddTexts(size_t example_idx, const task::Example& example, bool closed) {
    const std::vector<std::string> texts = Texts(inputs_.spec, example);
    // Only texts of several tokens need an end: "good" begins like "good enough".
    Continued continued = Continue(inputs_, example, texts, /*end=*/false);
    if (!inputs_.causal() && !EachIsOneToken(continued)) {
      continued = Continue(inputs_, example, texts, /*end=*/true);
    }
    std::vector<Length>& lengths = lengths_.emplace_back();
    for (size_t k = 0; k < texts.size(); ++k) {
      CheckTarget(example_idx, texts[k], continued.targets[k], closed);
      lengths.push_back(LengthOf(texts[k], continued.targets[k]));
    }
    Add(example_idx, std::move(continued));
  }

  // Puts prompts that hold a choice each, and the same text after every one of them (Trinh and Le
  // 2018, https://arxiv.org/abs/1806.02847, partial evaluation).
  void AddContexts(size_t example_idx, const task::Example& example) {
    std::vector<Length>& lengths = lengths_.emplace_back();
    const std::string text = task::FormatContinuation(inputs_.spec, example);
    for (size_t k = 0; k < example.choices.size(); ++k) {
      task::Example with_choice = example;
      with_choice.fields["choice"] = example.choices[k];
      Continued continued = Continue(inputs_, with_choice, {text}, /*end=*/false);
      CheckTarget(example_idx, text, continued.targets.front(), /*closed=*/false);
      lengths.push_back(LengthOf(text, continued.targets.front()));
      runs_.push_back({example_idx, k, {}});
      sequences_.push_back({std::move(continued.prompt), std::move(continued.targets.front())});
    }
  }

  void CheckTarget(size_t example_idx, const std::string& text, const std::vector<int64_t>& target,
                   bool closed) const {
    if (target.empty() || Trim(text).empty()) {
      throw InputError("the answer ", Quoted(text), " has no tokens");
    }
    if (!closed || example_idx > 0) return;
    const std::string problem = WordProblem(inputs_, text, target);
    if (!problem.empty()) throw InputError("the task does not fit this model: ", problem);
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
  std::vector<Run> runs_;                     // one per sequence
  std::vector<std::vector<Length>> lengths_;  // per example and candidate
  std::vector<Batch> batches_;
};

}  // namespace

std::unique_ptr<PreparedTask> PrepareCandidates(const TaskInputs& inputs) {
  return std::make_unique<CandidateTask>(inputs);
}

}  // namespace moefy::ask
