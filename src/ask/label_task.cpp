// Tells labels apart in one step: by a classification head, or by the first token generated.
#include <utility>

#include "ask/task_inputs.h"
#include "model/input_check.h"
#include "moefy/base/error.h"

namespace moefy::ask {
namespace {

class LabelTask final : public PreparedTask {
 public:
  LabelTask(const TaskInputs& inputs, std::vector<int64_t> label_ids)
      : inputs_(inputs), label_ids_(std::move(label_ids)) {
    for (size_t i = 0; i < inputs.dataset.examples.size(); ++i) {
      WithContext(ExampleName(inputs.spec, i), [&] {
        encodings_.push_back(Encode(inputs.dataset.examples[i]));
        model::CheckTokens(encodings_.back().ids, inputs.config);
      });
    }
    batches_ = MakeBatches(encodings_, inputs.config, inputs.tokenizer.pad_id());
  }

  std::vector<Answer> Ask(model::Transformer& model, Progress& progress) const override {
    const at::NoGradGuard no_grad;
    std::vector<Answer> answers(encodings_.size());
    for (const Batch& batch : batches_) {
      const at::Tensor scores = LabelScores(model, batch.inputs);  // [batch, labels]
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
      const int64_t label_idx = inputs_.dataset.examples[i].label_idx;
      sequences.push_back(
          {encodings_[i],
           {generates() ? label_ids_.at(static_cast<size_t>(label_idx)) : label_idx}});
    }
    return sequences;
  }

 private:
  bool generates() const { return inputs_.config.head == model::Head::kLanguageModel; }

  text::Encoding Encode(const task::Example& example) const {
    const text::EncodeOptions options{.max_tokens = inputs_.MaxTokens()};
    const task::TaskSpec& spec = inputs_.spec;
    if (generates()) return inputs_.tokenizer.Encode(task::FormatPrompt(spec, example), options);
    const std::string& first = example.fields.at(spec.inputs[0]);
    return spec.inputs.size() == 1
               ? inputs_.tokenizer.Encode(first, options)
               : inputs_.tokenizer.EncodePair(first, example.fields.at(spec.inputs[1]), options);
  }

  // The logits of the classes, or of the label words as the decoder's first token.
  at::Tensor LabelScores(model::Transformer& model, const model::ForwardInputs& inputs) const {
    if (!generates()) return model.Forward(inputs).logits;
    const at::Tensor hidden = model.ForwardHidden(inputs);  // [batch, tokens, width]
    const at::Tensor columns = at::tensor(label_ids_, at::kLong);
    std::vector<at::Tensor> scores;
    model.LogitsInBlocks(hidden.select(1, 0), [&](int64_t, const at::Tensor& logits) {
      scores.push_back(logits.index_select(1, columns));
    });
    return at::cat(scores);
  }

  TaskInputs inputs_;
  std::vector<int64_t> label_ids_;
  std::vector<text::Encoding> encodings_;  // one per example
  std::vector<Batch> batches_;
};

}  // namespace

std::unique_ptr<PreparedTask> PrepareLabels(const TaskInputs& inputs,
                                            std::vector<int64_t> label_ids) {
  return std::make_unique<LabelTask>(inputs, std::move(label_ids));
}

}  // namespace moefy::ask
