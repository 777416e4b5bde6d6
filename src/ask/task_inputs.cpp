#include "ask/task_inputs.h"

#include <algorithm>

#include "model/input_check.h"
#include "moefy/base/error.h"
#include "text/words.h"

namespace moefy::ask {
namespace {

using Ids = std::vector<int64_t>;

constexpr text::EncodeOptions kPlain{.add_special_tokens = false};

Continued ContinueCausal(const TaskInputs& inputs, const std::string& prompt,
                         const std::vector<std::string>& texts, bool end) {
  Continued out;
  Ids ids = inputs.tokenizer.Encode(prompt).ids;
  std::vector<Ids> joined;
  size_t num_common = ids.size();
  for (const std::string& text : texts) {
    Ids& whole = joined.emplace_back(inputs.tokenizer.Encode(prompt + " " + text).ids);
    const auto common = std::mismatch(whole.begin(), whole.end(), ids.begin(), ids.end());
    num_common = std::min(num_common, static_cast<size_t>(common.first - whole.begin()));
  }
  if (num_common == 0) throw InputError("the prompt has no tokens that the model could go on with");
  ids.resize(num_common);
  size_t longest = 0;
  for (Ids& whole : joined) {
    Ids& target = out.targets.emplace_back(whole.begin() + static_cast<std::ptrdiff_t>(num_common),
                                           whole.end());
    if (end && inputs.tokenizer.eos_id()) target.push_back(*inputs.tokenizer.eos_id());
    longest = std::max(longest, target.size());
  }
  const auto limit = static_cast<size_t>(inputs.MaxTokens());
  CutFront(ids, limit > longest ? limit - longest : 1, inputs.tokenizer);
  out.prompt.token_type_ids.assign(ids.size(), 0);
  out.prompt.ids = std::move(ids);
  return out;
}

// The model must have every token that it is to read or say; a causal one reads both.
void CheckContinued(const TaskInputs& inputs, const Continued& continued) {
  model::CheckTokens(continued.prompt.ids, inputs.config);
  for (const Ids& target : continued.targets) {
    Ids read = target;
    if (inputs.causal()) {
      if (!read.empty()) read.pop_back();
      read.insert(read.begin(), continued.prompt.ids.begin(), continued.prompt.ids.end());
    }
    const auto unknown = std::find_if(target.begin(), target.end(), [&](int64_t id) {
      return id < 0 || id >= inputs.config.vocab_size;
    });
    if (unknown != target.end()) {
      throw InputError("the answer has token ", *unknown, "; the model has ",
                       inputs.config.vocab_size);
    }
    if (inputs.causal()) model::CheckTokens(read, inputs.config);
  }
}

}  // namespace

std::string ExampleName(const task::TaskSpec& spec, size_t example_idx) {
  return StrCat("task ", Quoted(spec.name), ", example ", example_idx);
}

void CutFront(Ids& ids, size_t num_kept, const text::Tokenizer& tokenizer) {
  if (ids.size() <= num_kept) return;
  const Ids special = tokenizer.Encode("a").ids, plain = tokenizer.Encode("a", kPlain).ids;
  const bool begins = !special.empty() && !plain.empty() && special.front() != plain.front();
  const auto first = ids.begin() + (begins && num_kept > 1 ? 1 : 0);
  ids.erase(first, first + static_cast<std::ptrdiff_t>(ids.size() - num_kept));
}

std::string LabelName(const task::TaskSpec& spec, int64_t label_idx) {
  return spec.kind == task::TaskKind::kClassification
             ? spec.labels[static_cast<size_t>(label_idx)].value
             : std::string(1, static_cast<char>('A' + label_idx));
}

std::string WordProblem(const TaskInputs& inputs, const std::string& word, const Ids& ids) {
  const std::string decoded = Trim(inputs.tokenizer.Decode(ids));
  // A tokenizer that lowers case reads the same word all the same.
  if (!ids.empty() && text::LowerCase(decoded) == text::LowerCase(word)) return "";
  return StrCat("the word ", Quoted(word), " is not in the model's vocabulary",
                decoded.empty() ? "" : " (it reads " + Quoted(decoded) + ")");
}

Answer AnswerByScores(const task::TaskSpec& spec, const at::Tensor& scores) {
  Answer answer;
  answer.label_idx = scores.argmax().item<int64_t>();
  answer.text = LabelName(spec, answer.label_idx);
  answer.scores = scores.to(at::kFloat).unsqueeze(0).clone();
  return answer;
}

Continued Continue(const TaskInputs& inputs, const task::Example& example,
                   const std::vector<std::string>& texts, bool end) {
  const std::string prompt = task::FormatPrompt(inputs.spec, example);
  // The space before a text that follows belongs to the text.
  Continued out;
  if (inputs.causal()) {
    out = ContinueCausal(inputs, prompt.substr(0, prompt.find_last_not_of(" \t\r\n") + 1), texts,
                         end);
    CheckContinued(inputs, out);
    return out;
  }
  out.prompt = inputs.tokenizer.Encode(prompt, {.max_tokens = inputs.MaxTokens()});
  for (const std::string& text : texts) {
    out.targets.push_back(inputs.tokenizer.EncodeTarget(text, {.add_special_tokens = end}).ids);
  }
  CheckContinued(inputs, out);
  return out;
}

std::vector<Batch> MakeScoredBatches(const TaskInputs& inputs,
                                     const std::vector<Sequence>& sequences) {
  constexpr int64_t kTokens = 1024;  // of long texts; attention's scores stay out of mmap
  return MakeBatches(sequences, inputs.config, inputs.tokenizer.pad_id(), kTokens);
}

void ForEachTarget(model::Transformer& model, const std::vector<Batch>& batches,
                   const TargetSink& use, Progress& progress) {
  for (const Batch& batch : batches) {
    const at::Tensor hidden = model.ForwardHidden(batch.inputs).flatten(0, 1);
    const at::Tensor all = batch.targets.flatten();
    const at::Tensor asked = (all != kNoTarget).nonzero().squeeze(1);  // [targets of the batch]
    const at::Tensor targets = all.index_select(0, asked);
    const at::Tensor rows = asked.div(batch.targets.size(1), "floor").contiguous();
    const auto* const row_of = rows.data_ptr<int64_t>();
    model.LogitsInBlocks(hidden.index_select(0, asked), [&](int64_t first,
                                                            const at::Tensor& logits) {
      const int64_t end = first + logits.size(0);
      for (int64_t begin = first, next; begin < end; begin = next) {
        const int64_t row = row_of[begin];
        for (next = begin + 1; next < end && row_of[next] == row;) ++next;
        use(static_cast<size_t>(batch.example_idxs[static_cast<size_t>(row)]),
            logits.narrow(0, begin - first, next - begin), targets.narrow(0, begin, next - begin));
      }
    });
    progress.Advance(batch.example_idxs.size());
  }
}

}  // namespace moefy::ask
