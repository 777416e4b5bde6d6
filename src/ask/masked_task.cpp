// Measures how well a masked language model guesses tokens from both sides of them. By default one
// token is hidden at a time, and the mean of -log p over all tokens is the logarithm of the
// pseudo-perplexity of Salazar et al., "Masked language model scoring", arXiv 1910.14659. With
// `mask_every` N the tokens i, i + N, i + 2N, ... of a window are hidden together, which takes N
// passes over it.
#include <algorithm>

#include "ask/task_inputs.h"
#include "moefy/base/error.h"

namespace moefy::ask {
namespace {

using Ids = std::vector<int64_t>;

// A stretch of a text with the special tokens of a whole one around it.
struct MaskedWindow {
  size_t example_idx = 0;
  Ids ids;
};

class MaskedTask final : public PreparedTask {
 public:
  explicit MaskedTask(const TaskInputs& inputs) : inputs_(inputs) {
    if (!inputs.tokenizer.mask_id()) {
      throw InputError("task ", Quoted(inputs.spec.name),
                       " hides tokens, and the model's tokenizer has no mask token");
    }
    FindAround();
    for (size_t i = 0; i < inputs.dataset.examples.size(); ++i) {
      AddWindows(i,
                 inputs.tokenizer.Encode(inputs.dataset.examples[i].fields.at("text"), kPlain).ids);
    }
    if (windows_.empty()) {
      throw InputError("task ", Quoted(inputs.spec.name), ": no text has a token to hide");
    }
  }

  std::vector<Answer> Ask(model::Transformer& model, Progress& progress) const override {
    const at::NoGradGuard no_grad;
    std::vector<Answer> answers(inputs_.dataset.examples.size());
    for (const MaskedWindow& window : windows_) {
      AskWindow(model, window, answers[window.example_idx]);
      progress.Advance(1);
    }
    return answers;
  }

  uint64_t num_steps() const override { return windows_.size(); }

  // The texts are kept as they are, with nothing hidden.
  std::vector<Sequence> RightSequences() const override {
    std::vector<Sequence> sequences;
    for (const MaskedWindow& window : windows_) {
      Sequence& sequence = sequences.emplace_back();
      sequence.input = {window.ids, Ids(window.ids.size(), 0)};
    }
    return sequences;
  }

 private:
  static constexpr text::EncodeOptions kPlain{.add_special_tokens = false};

  // What stands before and after a text.
  void FindAround() {
    const Ids whole = inputs_.tokenizer.Encode("a").ids;
    const Ids plain = inputs_.tokenizer.Encode("a", kPlain).ids;
    const auto at = std::search(whole.begin(), whole.end(), plain.begin(), plain.end());
    before_.assign(whole.begin(), at);
    if (at != whole.end()) {
      after_.assign(at + static_cast<std::ptrdiff_t>(plain.size()), whole.end());
    }
  }

  void AddWindows(size_t example_idx, const Ids& ids) {
    const auto around = static_cast<int64_t>(before_.size() + after_.size());
    const auto length = static_cast<size_t>(std::max<int64_t>(1, inputs_.MaxTokens() - around));
    for (size_t begin = 0; begin < ids.size() && !Full(); begin += length) {
      const size_t end = std::min(ids.size(), begin + length);
      MaskedWindow& window = windows_.emplace_back();
      window.example_idx = example_idx;
      window.ids = before_;
      window.ids.insert(window.ids.end(), ids.begin() + static_cast<std::ptrdiff_t>(begin),
                        ids.begin() + static_cast<std::ptrdiff_t>(end));
      window.ids.insert(window.ids.end(), after_.begin(), after_.end());
    }
  }

  bool Full() const {
    const int64_t most = inputs_.dataset.max_windows;
    return most > 0 && static_cast<int64_t>(windows_.size()) >= most;
  }

  // Every pass is a row of a batch, in which the tokens of its turn are hidden.
  void AskWindow(model::Transformer& model, const MaskedWindow& window, Answer& answer) const {
    const auto tokens = static_cast<int64_t>(window.ids.size());
    const auto first = static_cast<int64_t>(before_.size());
    const int64_t count = tokens - first - static_cast<int64_t>(after_.size());
    const int64_t passes =
        inputs_.spec.mask_every > 0 ? std::min(inputs_.spec.mask_every, count) : count;
    const int64_t most_rows = std::max<int64_t>(1, kDefaultBatchTokens / tokens);
    const size_t offset = answer.nats.size();
    answer.nats.resize(offset + static_cast<size_t>(count));
    answer.likeliest.resize(answer.nats.size());
    answer.targets.resize(answer.nats.size());
    const at::Tensor ids = at::tensor(window.ids, at::kLong);
    for (int64_t begin = 0; begin < passes; begin += most_rows) {
      const int64_t rows = std::min(most_rows, passes - begin);
      model::ForwardInputs batch;
      batch.input_ids = ids.repeat({rows, 1});
      std::vector<int64_t> hidden, places;  // places in the flattened batch; in the window
      for (int64_t row = 0; row < rows; ++row) {
        for (int64_t place = begin + row; place < count; place += passes) {
          hidden.push_back(row * tokens + first + place);
          places.push_back(place);
        }
      }
      const at::Tensor where = at::tensor(hidden, at::kLong);
      const at::Tensor targets = batch.input_ids.flatten().index_select(0, where);
      batch.input_ids.view({-1}).index_fill_(0, where, *inputs_.tokenizer.mask_id());
      if (inputs_.config.num_token_types > 0) {
        batch.token_type_ids = at::zeros_like(batch.input_ids);
      }
      const at::Tensor states = model.ForwardHidden(batch).flatten(0, 1).index_select(0, where);
      model.LogitsInBlocks(states, [&](int64_t block, const at::Tensor& logits) {
        const at::Tensor right = targets.narrow(0, block, logits.size(0));
        const at::Tensor nats =
            -at::log_softmax(logits, 1).gather(1, right.unsqueeze(1)).to(at::kDouble).flatten();
        const at::Tensor likeliest = logits.argmax(1);
        for (int64_t i = 0; i < logits.size(0); ++i) {
          const auto at = offset + static_cast<size_t>(places[static_cast<size_t>(block + i)]);
          answer.nats[at] = nats[i].item<double>();
          answer.likeliest[at] = likeliest[i].item<int64_t>();
          answer.targets[at] = right[i].item<int64_t>();
        }
      });
    }
  }

  TaskInputs inputs_;
  Ids before_, after_;
  std::vector<MaskedWindow> windows_;
};

}  // namespace

std::unique_ptr<PreparedTask> PrepareMasked(const TaskInputs& inputs) {
  return std::make_unique<MaskedTask>(inputs);
}

}  // namespace moefy::ask
