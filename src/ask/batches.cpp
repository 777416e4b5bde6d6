#include "ask/batches.h"

#include <algorithm>
#include <numeric>

#include "model/input_check.h"
#include "moefy/base/error.h"
#include "task/text_file.h"

namespace moefy::ask {

using model::Head;

namespace {

int64_t Size(const std::vector<int64_t>& ids) { return static_cast<int64_t>(ids.size()); }
int64_t Length(const Sequence& sequence) {
  return Size(sequence.input.ids) + Size(sequence.target);
}

// What the model reads of a target: all but its last token.
int64_t NumRead(const Sequence& sequence) {
  return std::max<int64_t>(0, Size(sequence.target) - 1);
}

// Copies `ids` into a row of an [n, tokens] tensor.
void Put(const std::vector<int64_t>& ids, int64_t count, const at::Tensor& row, int64_t first) {
  std::copy_n(ids.begin(), count, row.data_ptr<int64_t>() + first);
}

using Rows = std::vector<const Sequence*>;

// The longest by `length`, at least `at_least`.
template <typename LengthOf>
int64_t Longest(const Rows& rows, int64_t at_least, const LengthOf& length) {
  for (const Sequence* row : rows) at_least = std::max(at_least, length(*row));
  return at_least;
}

// Inputs on the right or the left of the padding; a causal model's go on with the target.
void FillInputs(const Rows& rows, const model::ModelConfig& config, int64_t pad_id, Batch& batch) {
  const auto num_rows = static_cast<int64_t>(rows.size());
  // Texts that a decoder goes on with end together: their padding is on the left.
  const bool causal = config.architecture == model::Architecture::kDecoder;
  const bool continues = causal && config.head == Head::kLanguageModel;
  const auto num_read = [&](const Sequence& row) { return continues ? NumRead(row) : 0; };
  const int64_t tokens =
      Longest(rows, 0, [&](const Sequence& row) { return Size(row.input.ids) + num_read(row); });
  const at::Tensor ids = at::full({num_rows, tokens}, pad_id, at::kLong);
  const at::Tensor mask = at::zeros({num_rows, tokens}, at::kLong);
  const at::Tensor types = at::zeros({num_rows, tokens}, at::kLong);
  if (continues) batch.targets = at::full({num_rows, tokens}, kNoTarget, at::kLong);
  for (int64_t i = 0; i < num_rows; ++i) {
    const Sequence& row = *rows[static_cast<size_t>(i)];
    const int64_t num_input = Size(row.input.ids), count = num_input + num_read(row);
    const int64_t first = causal ? tokens - count : 0;
    Put(row.input.ids, num_input, ids[i], first);
    Put(row.input.token_type_ids, Size(row.input.token_type_ids), types[i], first);
    mask[i].narrow(0, first, count).fill_(1);
    if (!continues || row.target.empty()) continue;
    Put(row.target, num_read(row), ids[i], first + num_input);
    // The last token of the input tells the first of the target.
    Put(row.target, Size(row.target), batch.targets[i], first + num_input - 1);
  }
  batch.inputs.input_ids = ids;
  batch.inputs.attention_mask = mask;
  if (config.num_token_types > 0) batch.inputs.token_type_ids = types;
}

// Makes batches for heads that generate nothing; rows have equally many targets.
void FillTargets(const Rows& rows, Batch& batch) {
  const int64_t count = Size(rows.front()->target);
  if (count == 0) return;
  batch.targets = at::empty({static_cast<int64_t>(rows.size()), count}, at::kLong);
  for (size_t i = 0; i < rows.size(); ++i) {
    MOEFY_CHECK(Size(rows[i]->target) == count);
    Put(rows[i]->target, count, batch.targets[static_cast<int64_t>(i)], 0);
  }
}

void FillDecoder(const Rows& rows, const model::ModelConfig& config, int64_t pad_id, Batch& batch) {
  const auto num_rows = static_cast<int64_t>(rows.size());
  const int64_t tokens = 1 + Longest(rows, 0, NumRead);
  const at::Tensor ids = at::full({num_rows, tokens}, pad_id, at::kLong);
  const at::Tensor mask = at::zeros({num_rows, tokens}, at::kLong);
  batch.targets = at::full({num_rows, tokens}, kNoTarget, at::kLong);
  ids.select(1, 0).fill_(config.decoder_start_id);
  for (int64_t i = 0; i < num_rows; ++i) {
    const Sequence& row = *rows[static_cast<size_t>(i)];
    Put(row.target, NumRead(row), ids[i], 1);
    Put(row.target, Size(row.target), batch.targets[i], 0);
    mask[i].narrow(0, 0, 1 + NumRead(row)).fill_(1);
  }
  batch.inputs.decoder_input_ids = ids;
  if (tokens > 1) batch.inputs.decoder_attention_mask = mask;
}

}  // namespace

std::vector<Batch> MakeBatches(const std::vector<Sequence>& sequences,
                               const model::ModelConfig& config, int64_t pad_id,
                               int64_t batch_tokens) {
  std::vector<int64_t> order(sequences.size());
  std::iota(order.begin(), order.end(), 0);
  const auto length = [&](int64_t i) { return Length(sequences[static_cast<size_t>(i)]); };
  std::stable_sort(order.begin(), order.end(),
                   [&](int64_t a, int64_t b) { return length(a) > length(b); });
  std::vector<Batch> batches;
  for (size_t begin = 0; begin < order.size();) {
    const int64_t tokens = std::max<int64_t>(1, length(order[begin]));
    const auto num_rows = static_cast<size_t>(std::max<int64_t>(1, batch_tokens / tokens));
    const size_t end = std::min(order.size(), begin + num_rows);
    Batch batch;
    Rows rows;
    for (; begin < end; ++begin) {
      batch.example_idxs.push_back(order[begin]);
      rows.push_back(&sequences[static_cast<size_t>(order[begin])]);
    }
    FillInputs(rows, config, pad_id, batch);
    if (config.head != Head::kLanguageModel) {
      FillTargets(rows, batch);
    } else if (config.architecture == model::Architecture::kEncoderDecoder) {
      FillDecoder(rows, config, pad_id, batch);
    }
    batches.push_back(std::move(batch));
  }
  return batches;
}

std::vector<Batch> MakeBatches(const std::vector<text::Encoding>& encodings,
                               const model::ModelConfig& config, int64_t pad_id,
                               int64_t batch_tokens) {
  std::vector<Sequence> sequences;
  for (const text::Encoding& encoding : encodings) sequences.push_back({encoding, {}});
  return MakeBatches(sequences, config, pad_id, batch_tokens);
}

int64_t MaxTokens(const task::TaskSpec& spec, const model::ModelConfig& config) {
  return model::FitTextLength(spec.max_tokens, config);
}

std::vector<text::Encoding> EncodeTextFile(const std::filesystem::path& path,
                                           const std::string& field,
                                           const text::Tokenizer& tokenizer,
                                           const model::ModelConfig& config, int64_t max_tokens,
                                           int64_t limit) {
  const text::EncodeOptions options{.add_special_tokens = true, .max_tokens = max_tokens};
  std::vector<text::Encoding> encodings;
  for (const task::FileText& text : task::ReadTexts(path, field, limit)) {
    encodings.push_back(tokenizer.Encode(text.text, options));
    WithContext(StrCat(path.string(), ": line ", text.line),
                [&] { model::CheckTokens(encodings.back().ids, config); });
  }
  return encodings;
}

}  // namespace moefy::ask
