// Lets the model answer in its own words, taking the likeliest token at every step.
#include <algorithm>
#include <numeric>

#include "ask/task_inputs.h"
#include "model/input_check.h"
#include "moefy/base/error.h"

namespace moefy::ask {
namespace {

class GenerationTask final : public PreparedTask {
 public:
  explicit GenerationTask(const TaskInputs& inputs) : inputs_(inputs) {
    options_ = inputs.generation;
    options_.max_new_tokens = inputs.spec.max_new_tokens;
    for (const task::Example& example : inputs.dataset.examples) {
      WithContext(ExampleName(inputs.spec, prompts_.size()), [&] {
        prompts_.push_back(Continue(inputs, example, {}, /*end=*/false).prompt.ids);
      });
    }
    MakeRoom();
  }

  std::vector<Answer> Ask(model::Transformer& model, Progress& progress) const override {
    std::vector<size_t> order(prompts_.size());
    std::iota(order.begin(), order.end(), 0);
    std::stable_sort(order.begin(), order.end(),
                     [&](size_t a, size_t b) { return prompts_[a].size() > prompts_[b].size(); });
    std::vector<Answer> answers(prompts_.size());
    for (size_t begin = 0; begin < order.size();) {
      const auto tokens =
          static_cast<int64_t>(prompts_[order[begin]].size()) + options_.max_new_tokens;
      const auto num_rows = static_cast<size_t>(std::max<int64_t>(1, kDefaultBatchTokens / tokens));
      const size_t end = std::min(order.size(), begin + num_rows);
      std::vector<std::vector<int64_t>> prompts;
      for (size_t i = begin; i < end; ++i) prompts.push_back(prompts_[order[i]]);
      const auto texts = model::Generate(model, prompts, options_, [](size_t, int64_t) {
        ThrowIfInterrupted();
        return true;
      });
      for (size_t i = begin; i < end; ++i) answers[order[i]].text = ToText(texts[i - begin]);
      progress.Advance(end - begin);
      begin = end;
    }
    return answers;
  }

  uint64_t num_steps() const override { return prompts_.size(); }

  std::vector<Sequence> RightSequences() const override {
    std::vector<Sequence> sequences;
    for (const task::Example& example : inputs_.dataset.examples) {
      const std::string answer = example.answers.empty() ? "" : example.answers.front();
      Continued continued = Continue(inputs_, example, {answer}, /*end=*/true);
      sequences.push_back({std::move(continued.prompt), std::move(continued.targets.front())});
    }
    return sequences;
  }

 private:
  // Where positions run out, prompts leave room for the answer.
  void MakeRoom() {
    const int64_t length = model::TextLength(inputs_.config);
    if (!inputs_.causal() || length == 0) return;
    const int64_t room = length - options_.max_new_tokens;
    if (room < 1) {
      throw InputError("task ", Quoted(inputs_.spec.name), " has max_new_tokens ",
                       options_.max_new_tokens, "; the model has ", length, " positions");
    }
    for (auto& prompt : prompts_) {
      CutFront(prompt, static_cast<size_t>(room), inputs_.tokenizer);
    }
  }

  std::string ToText(const std::vector<int64_t>& ids) const {
    std::string text = inputs_.tokenizer.Decode(ids);
    const std::string& stop = inputs_.spec.stop;
    // Before the first word there is nothing to stop.
    const size_t first = text.find_first_not_of(" \t\r\n");
    if (!stop.empty() && first != std::string::npos)
      text.resize(std::min(text.size(), text.find(stop, first)));
    return Trim(text);
  }

  TaskInputs inputs_;
  model::GenerationOptions options_;
  std::vector<std::vector<int64_t>> prompts_;
};

}  // namespace

std::unique_ptr<PreparedTask> PrepareGeneration(const TaskInputs& inputs) {
  return std::make_unique<GenerationTask>(inputs);
}

}  // namespace moefy::ask
