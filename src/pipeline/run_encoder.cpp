#include "pipeline/run_encoder.h"

#include <algorithm>
#include <cstddef>

#include "moefy/base/error.h"
#include "moefy/base/strings.h"
#include "pipeline/run_task.h"
#include "text/words.h"

namespace moefy::pipeline {
namespace {

std::vector<std::string> NamesOfLabels(const model::ModelConfig& config) {
  std::vector<std::string> names = config.label_names;
  for (int64_t i = static_cast<int64_t>(names.size()); i < config.num_labels; ++i) {
    names.push_back(StrCat("LABEL_", i));
  }
  return names;
}

// Makes keys of which no two are equal: classes of one name are told apart by their numbers.
std::vector<std::string> KeysOfLabels(const model::ModelConfig& config) {
  const std::vector<std::string> names = NamesOfLabels(config);
  std::vector<std::string> keys = names;
  for (size_t i = 0; i < names.size(); ++i) {
    if (std::ranges::count(names, names[i]) > 1) keys[i] += StrCat(" (LABEL_", i, ")");
  }
  return keys;
}

// One text, or a pair of them.
text::Encoding EncodeInput(const Asked& asked, const RunInput& input, int64_t max_tokens) {
  const text::EncodeOptions options{.max_tokens = max_tokens};
  const std::string& first = input.Get("text");
  const auto second = input.fields.find("text_pair");
  return second == input.fields.end() ? asked.tokenizer.Encode(first, options)
                                      : asked.tokenizer.EncodePair(first, second->second, options);
}

Encoded EncodeInputs(const Asked& asked) {
  return EncodeAll(asked, asked.MaxTokens(), [&](const RunInput& input, int64_t max_tokens) {
    return EncodeInput(asked, input, max_tokens);
  });
}

// Tells each label by itself, from logits [labels].
Json LabelsAnswer(const at::Tensor& scores, const std::vector<std::string>& names) {
  constexpr double kHeld = 0.5;  // more likely than not
  const at::Tensor shares = at::sigmoid(scores.to(at::kDouble));
  Json labels = Json::array(), by_name = Json::object();
  for (size_t i = 0; i < names.size(); ++i) {
    const double share = shares[static_cast<int64_t>(i)].item<double>();
    by_name[names[i]] = share;
    if (share >= kHeld) labels.push_back(names[i]);
  }
  return {{"labels", labels}, {"scores", by_name}};
}

Json ValuesAnswer(const at::Tensor& values, const std::vector<std::string>& names) {
  if (values.numel() == 1) return {{"score", values[0].item<double>()}};
  Json by_name = Json::object();
  for (size_t i = 0; i < names.size(); ++i) {
    by_name[names[i]] = values[static_cast<int64_t>(i)].item<double>();
  }
  return {{"values", by_name}};
}

std::string TokenText(const Asked& asked, int64_t id) {
  return std::string(Trim(asked.tokenizer.Decode({id}, /*skip_special_tokens=*/false)));
}

// The likeliest tokens of one mask, of logits [vocab].
Json Candidates(const Asked& asked, const at::Tensor& logits, int64_t count) {
  const at::Tensor shares = at::softmax(logits.to(at::kDouble), 0);
  const auto [best, ids] = shares.topk(std::min(count, shares.numel()));
  Json candidates = Json::array();
  for (int64_t i = 0; i < ids.numel(); ++i) {
    const int64_t id = ids[i].item<int64_t>();
    // Output layers may be padded beyond the vocabulary.
    const bool known = id < asked.tokenizer.vocab_size();
    candidates.push_back({{"token", known ? TokenText(asked, id) : ""},
                          {"id", id},
                          {"share", best[i].item<double>()}});
  }
  return candidates;
}

}  // namespace

void Classify(const Asked& asked) {
  const std::vector<std::string> names = KeysOfLabels(asked.config());
  ForEachOutput(asked, EncodeInputs(asked),
                [&](const model::ForwardOutputs& outputs, int64_t row, size_t) {
                  const at::Tensor scores = outputs.logits[row];
                  return asked.config().is_regression()    ? ValuesAnswer(scores, names)
                         : asked.config().is_multi_label() ? LabelsAnswer(scores, names)
                                                           : LabelAnswer(scores, names);
                });
}

void LabelTokens(const Asked& asked) {
  const std::vector<std::string> names = NamesOfLabels(asked.config());
  const Encoded encoded = EncodeInputs(asked);
  const auto label = [&](const model::ForwardOutputs& outputs, int64_t row, size_t idx) {
    const at::Tensor shares = at::softmax(outputs.logits[row].to(at::kDouble), 1);
    const std::vector<int64_t>& ids = encoded.encodings[idx].ids;
    Json tokens = Json::array();
    for (size_t i = 0; i < ids.size(); ++i) {
      // Tokens that the tokenizer has put around the text are left out.
      if (asked.tokenizer.Decode({ids[i]}, /*skip_special_tokens=*/true).empty()) continue;
      const at::Tensor of_token = shares[static_cast<int64_t>(i)];
      const int64_t best = of_token.argmax().item<int64_t>();
      tokens.push_back({{"token", TokenText(asked, ids[i])},
                        {"label", names[static_cast<size_t>(best)]},
                        {"share", of_token[best].item<double>()}});
    }
    return Json{{"tokens", tokens}};
  };
  ForEachOutput(asked, encoded, label);
}

void FillMasks(const Asked& asked, int64_t num_candidates) {
  if (!asked.tokenizer.mask_id()) {
    throw InputError("the tokenizer has no mask token, so there is nothing to fill");
  }
  const int64_t mask = *asked.tokenizer.mask_id();
  const auto encode = [&](const RunInput& input, int64_t max_tokens) {
    text::Encoding encoding = EncodeInput(asked, input, max_tokens);
    if (std::ranges::count(encoding.ids, mask) > 0) return encoding;
    const std::vector<int64_t> whole = EncodeInput(asked, input, /*max_tokens=*/0).ids;
    const auto place = std::ranges::find(whole, mask) - whole.begin();
    if (place < static_cast<std::ptrdiff_t>(whole.size())) {
      throw InputError("the mask is token ", place + 1, " of the text; the model reads the first ",
                       max_tokens, ", special tokens included");
    }
    throw InputError("no mask to fill in it; write ", Quoted(TokenText(asked, mask)),
                     " where a token is to be guessed");
  };
  const Encoded encoded = EncodeAll(asked, asked.MaxTokens(), encode);
  const auto run = [&](const model::ForwardInputs& inputs) {
    return asked.model.ForwardHidden(inputs);
  };
  // Only the logits of the masks are computed: those of all tokens would take more memory than all
  // else.
  const auto fill = [&](const at::Tensor& hidden, int64_t row, size_t idx) {
    std::vector<int64_t> ids = encoded.encodings[idx].ids, columns;
    for (size_t i = 0; i < ids.size(); ++i) {
      if (ids[i] == mask) columns.push_back(static_cast<int64_t>(i));
    }
    Json masks = Json::array();
    asked.model.LogitsInBlocks(
        hidden[row].index_select(0, at::tensor(columns, at::kLong)),
        [&](int64_t, const at::Tensor& logits) {
          for (int64_t i = 0; i < logits.size(0); ++i) {
            const Json candidates = Candidates(asked, logits[i], num_candidates);
            ids[static_cast<size_t>(columns[masks.size()])] = candidates[0]["id"].get<int64_t>();
            masks.push_back({{"candidates", candidates}});
          }
        });
    return Json{{"text", asked.tokenizer.Decode(ids)}, {"masks", masks}};
  };
  ForEachRun(asked, encoded, run, fill);
}

void EmbedInputs(const Asked& asked, const model::TextEmbedding& embedding) {
  int64_t limit = asked.MaxTokens();
  if (embedding.max_tokens > 0 && (limit == 0 || embedding.max_tokens < limit)) {
    limit = embedding.max_tokens;
  }
  const auto encode = [&](const RunInput& input, int64_t max_tokens) {
    const std::string text = embedding.prompt + std::string(Trim(input.Get("text")));
    return asked.tokenizer.Encode(embedding.lower_case ? text::LowerCase(text) : text,
                                  {.max_tokens = max_tokens});
  };
  const Encoded encoded = EncodeAll(asked, limit, encode);
  ForEachOutput(asked, encoded, [&](const model::ForwardOutputs& outputs, int64_t row, size_t idx) {
    const auto length = static_cast<int64_t>(encoded.encodings[idx].ids.size());
    const at::Tensor states = outputs.last_hidden_state.narrow(0, row, 1);
    const at::Tensor vector =
        model::EmbedTexts(embedding, states.narrow(1, 0, length), {}).contiguous();
    const auto* const data = vector.data_ptr<float>();
    return Json{{"embedding", std::vector<float>(data, data + vector.numel())}};
  });
}

}  // namespace moefy::pipeline
