// A task and an interruption for tests of the loop.
#pragma once

#include <vector>

#include "ask/prepared_task.h"
#include "moefy/base/error.h"

namespace moefy::train {

// A classification that is easy to learn: which of two tokens stands in the text.
class TokenTask final : public ask::PreparedTask {
 public:
  explicit TokenTask(const task::Dataset& dataset, const model::ModelConfig& config)
      : dataset_(dataset), config_(config) {}

  std::vector<ask::Answer> Ask(model::Transformer& model, Progress&) const override {
    const at::NoGradGuard no_grad;
    std::vector<ask::Answer> answers(dataset_.examples.size());
    for (const ask::Batch& batch : ask::MakeBatches(RightSequences(), config_, 0)) {
      const at::Tensor best = model.Forward(batch.inputs).logits.flatten(1).argmax(1);
      for (size_t i = 0; i < batch.example_idxs.size(); ++i) {
        answers[static_cast<size_t>(batch.example_idxs[i])].label_idx =
            best[static_cast<int64_t>(i)].item<int64_t>();
      }
    }
    return answers;
  }
  uint64_t num_steps() const override { return dataset_.examples.size(); }
  std::vector<ask::Sequence> RightSequences() const override {
    std::vector<ask::Sequence> sequences;
    for (size_t i = 0; i < dataset_.examples.size(); ++i) {
      ask::Sequence sequence;
      for (int64_t k = 0; k < 6; ++k) {
        sequence.input.ids.push_back(20 + (static_cast<int64_t>(i) * 5 + k) % 10);
      }
      sequence.input.ids[2] = 5 + dataset_.examples[i].label_idx;
      sequence.input.token_type_ids.assign(6, 0);
      sequence.target = {dataset_.examples[i].label_idx};
      sequences.push_back(std::move(sequence));
    }
    return sequences;
  }

 private:
  const task::Dataset& dataset_;
  const model::ModelConfig& config_;
};

// Asks to stop after so many steps.
class StopAfter final : public Progress {
 public:
  explicit StopAfter(int64_t steps) : left_(steps) {}
  void Section(std::string_view) override {}
  void Begin(std::string_view, uint64_t, std::string_view) override {}
  void Advance(uint64_t steps) override {
    if (steps > 0 && --left_ == 0) throw Error(ErrorKind::kInterrupted, "interrupted");
  }
  void End(std::string_view) override {}

 private:
  int64_t left_;
};

}  // namespace moefy::train
