#include "moefy/eval/batches.h"

#include <algorithm>
#include <numeric>

#include "moefy/base/error.h"
#include "moefy/base/output.h"

namespace moefy::eval {

using model::Head;

std::vector<Batch> MakeBatches(const std::vector<text::Encoding>& encodings,
                               const model::ModelConfig& config, int64_t pad_id,
                               int64_t batch_tokens) {
  std::vector<int64_t> order(encodings.size());
  std::iota(order.begin(), order.end(), 0);
  const auto length = [&](int64_t i) { return static_cast<int64_t>(encodings[i].ids.size()); };
  std::stable_sort(order.begin(), order.end(),
                   [&](int64_t a, int64_t b) { return length(a) > length(b); });
  std::vector<Batch> batches;
  for (size_t begin = 0; begin < order.size();) {
    const int64_t tokens = std::max<int64_t>(1, length(order[begin]));
    const auto rows = static_cast<size_t>(std::max<int64_t>(1, batch_tokens / tokens));
    const size_t end = std::min(order.size(), begin + rows);
    Batch batch;
    batch.example_idxs.assign(order.begin() + static_cast<int64_t>(begin),
                              order.begin() + static_cast<int64_t>(end));
    const auto batch_size = static_cast<int64_t>(end - begin);
    at::Tensor ids = at::full({batch_size, tokens}, pad_id, at::kLong);
    at::Tensor mask = at::zeros({batch_size, tokens}, at::kLong);
    at::Tensor types = at::zeros({batch_size, tokens}, at::kLong);
    // Texts that a decoder goes on with end together: their padding is on the left.
    const bool left = config.architecture == model::Architecture::kDecoder;
    for (int64_t row = 0; row < batch_size; ++row) {
      const text::Encoding& encoding = encodings[batch.example_idxs[row]];
      const int64_t count = length(batch.example_idxs[row]), first = left ? tokens - count : 0;
      std::copy(encoding.ids.begin(), encoding.ids.end(), ids[row].data_ptr<int64_t>() + first);
      std::copy(encoding.token_type_ids.begin(), encoding.token_type_ids.end(),
                types[row].data_ptr<int64_t>() + first);
      mask[row].narrow(0, first, count).fill_(1);
    }
    batch.inputs.input_ids = ids;
    batch.inputs.attention_mask = mask;
    if (config.num_token_types > 0) batch.inputs.token_type_ids = types;
    if (config.architecture == model::Architecture::kEncoderDecoder) {
      batch.inputs.decoder_input_ids =
          at::full({batch_size, 1}, config.decoder_start_id, at::kLong);
    }
    batches.push_back(std::move(batch));
    begin = end;
  }
  return batches;
}

namespace {

// The first token of each label word; a text-to-text model is read by these.
std::vector<int64_t> LabelIds(const task::TaskSpec& spec, const text::Tokenizer& tokenizer) {
  const text::EncodeOptions plain{.add_special_tokens = false, .max_tokens = 0};
  std::vector<std::string> problems;
  std::vector<int64_t> ids;
  for (const task::Label& label : spec.labels) {
    const std::vector<int64_t> pieces = tokenizer.Encode(label.word, plain).ids;
    const std::string decoded = Trim(tokenizer.Decode(pieces, /*skip_special_tokens=*/true));
    if (pieces.empty() || decoded != label.word) {
      problems.push_back(StrCat("the word ", Quoted(label.word), " of label ", Quoted(label.value),
                                " is not in the model's vocabulary",
                                decoded.empty() ? "" : " (it reads " + Quoted(decoded) + ")"));
      continue;
    }
    const auto same = std::find(ids.begin(), ids.end(), pieces.front());
    if (same != ids.end()) {
      problems.push_back(StrCat("labels ", Quoted(spec.labels[same - ids.begin()].word), " and ",
                                Quoted(label.word), " begin with the same token ", pieces.front(),
                                ", so the first decoder step cannot tell them apart"));
    }
    ids.push_back(pieces.front());
  }
  if (!problems.empty()) {
    throw InputError("task ", Quoted(spec.name),
                     " does not fit this model: ", Join(problems, "; "));
  }
  return ids;
}

}  // namespace

TaskReader::TaskReader(const task::TaskSpec& spec, const model::ModelConfig& config,
                       const text::Tokenizer& tokenizer)
    : spec_(spec), config_(config), tokenizer_(tokenizer) {
  if (spec.kind != task::TaskKind::kClassification) {
    throw InputError("task ", Quoted(spec.name), " is not of kind classification, the only one ",
                     "that models can be given so far");
  }
  switch (config.head) {
    case Head::kLanguageModel:
      if (spec.prompt.empty()) {
        throw InputError("task ", Quoted(spec.name), " has no prompt, which a ", config.family,
                         " model needs; add \"prompt\" to the task file");
      }
      label_ids_ = LabelIds(spec, tokenizer);
      break;
    case Head::kSequenceClassification:
      if (spec.inputs.empty()) {
        throw InputError("task ", Quoted(spec.name), " has no inputs, which a classification head ",
                         "needs; add \"inputs\": [fields] to the task file");
      }
      if (static_cast<int64_t>(spec.labels.size()) != config.num_labels) {
        throw InputError("task ", Quoted(spec.name), " has ", spec.labels.size(),
                         " labels; the model's head has ", config.num_labels);
      }
      break;
    case Head::kQuestionAnswering:
      throw InputError("a question answering head cannot answer the classification task ",
                       Quoted(spec.name));
  }
}

std::vector<text::Encoding> TaskReader::Encode(const task::Dataset& dataset) const {
  const text::EncodeOptions options{.add_special_tokens = true, .max_tokens = spec_.max_tokens};
  std::vector<text::Encoding> encodings;
  encodings.reserve(dataset.examples.size());
  for (const task::Example& example : dataset.examples) {
    if (config_.head == Head::kLanguageModel) {
      encodings.push_back(tokenizer_.Encode(task::FormatPrompt(spec_, example), options));
    } else if (spec_.inputs.size() == 1) {
      encodings.push_back(tokenizer_.Encode(example.fields.at(spec_.inputs[0]), options));
    } else {
      encodings.push_back(tokenizer_.EncodePair(example.fields.at(spec_.inputs[0]),
                                                example.fields.at(spec_.inputs[1]), options));
    }
  }
  return encodings;
}

at::Tensor TaskReader::LabelScores(const model::ForwardOutputs& outputs) const {
  if (config_.head == Head::kSequenceClassification) return outputs.logits;
  // What comes after the decoder's start, or after the whole prompt.
  const bool causal = config_.architecture == model::Architecture::kDecoder;
  const int64_t column = causal ? outputs.logits.size(1) - 1 : 0;
  return outputs.logits.select(1, column).index_select(1, at::tensor(label_ids_, at::kLong));
}

std::vector<text::Encoding> EncodeTextFile(const std::filesystem::path& path,
                                           const text::Tokenizer& tokenizer, int64_t max_tokens,
                                           int64_t limit) {
  const text::EncodeOptions options{.add_special_tokens = true, .max_tokens = max_tokens};
  std::vector<text::Encoding> encodings;
  for (const std::string& line : Split(ReadTextFile(path), '\n')) {
    if (limit > 0 && static_cast<int64_t>(encodings.size()) == limit) break;
    if (!Trim(line).empty()) encodings.push_back(tokenizer.Encode(line, options));
  }
  if (encodings.empty()) throw InputError(path, ": no text in it");
  return encodings;
}

}  // namespace moefy::eval
