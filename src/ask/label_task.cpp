// Labels told apart in one step: by a classification head, or by the first token generated.
#include "ask/task_inputs.h"

namespace moefy::ask {
namespace {

class LabelTask final : public PreparedTask {
 public:
  explicit LabelTask(const TaskInputs& inputs)
      : inputs_(inputs),
        reader_(inputs_.spec, inputs_.config, inputs_.tokenizer),
        encodings_(reader_.Encode(inputs.dataset)),
        batches_(MakeBatches(encodings_, inputs.config, inputs.tokenizer.pad_id())) {}

  std::vector<Answer> Ask(model::Transformer& model, Progress& progress) const override {
    const at::NoGradGuard no_grad;
    std::vector<Answer> answers(encodings_.size());
    for (const Batch& batch : batches_) {
      const at::Tensor scores = reader_.Ask(model, batch.inputs);  // [batch, labels]
      for (size_t row = 0; row < batch.example_idxs.size(); ++row) {
        answers[static_cast<size_t>(batch.example_idxs[row])] =
            AnswerByScores(inputs_.spec, scores[static_cast<int64_t>(row)]);
      }
      progress.Advance(batch.example_idxs.size());
    }
    return answers;
  }

  uint64_t num_steps() const override { return encodings_.size(); }

  std::vector<Sequence> RightSequences() const override {
    std::vector<Sequence> sequences;
    for (size_t i = 0; i < encodings_.size(); ++i) {
      Sequence& sequence = sequences.emplace_back();
      sequence.input = encodings_[i];
      const int64_t label_idx = inputs_.dataset.examples[i].label_idx;
      sequence.target = {inputs_.config.head == model::Head::kLanguageModel
                             ? reader_.label_ids().at(static_cast<size_t>(label_idx))
                             : label_idx};
    }
    return sequences;
  }

 private:
  TaskInputs inputs_;
  TaskReader reader_;
  std::vector<text::Encoding> encodings_;
  std::vector<Batch> batches_;
};

}  // namespace

std::unique_ptr<PreparedTask> PrepareLabels(const TaskInputs& inputs) {
  return std::make_unique<LabelTask>(inputs);
}

}  // namespace moefy::ask
