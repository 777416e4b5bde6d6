#include "pipeline/run_text.h"

#include <algorithm>
#include <optional>

#include "ask/answer_span.h"
#include "base/options.h"
#include "base/stopwatch.h"
#include "model/input_check.h"
#include "model/pooling.h"
#include "moefy/base/error.h"
#include "moefy/model/generation.h"
#include "moefy/pipeline/open_model.h"
#include "moefy/text/tokenizer.h"
#include "pipeline/asked.h"
#include "pipeline/ordered_answers.h"
#include "pipeline/run_encoder.h"
#include "pipeline/run_inputs.h"
#include "pipeline/run_task.h"
#include "text/stream_decoder.h"

namespace moefy::pipeline {
namespace {

using model::Head;

// A question is kept whole, so it must leave room for its context.
text::Encoding EncodeQuestion(const Asked& asked, const RunInput& input, int64_t max_tokens) {
  const std::string &question = input.Get("question"), &context = input.Get("context");
  const size_t num_others = asked.tokenizer.EncodePair(question, "").ids.size();
  if (max_tokens > 0 && num_others >= static_cast<size_t>(max_tokens)) {
    throw InputError("the question and special tokens are ", num_others,
                     " tokens, which leaves no room for the context in ", max_tokens);
  }
  return asked.tokenizer.EncodePair(
      question, context, {.max_tokens = max_tokens, .truncation = text::Truncation::kOnlySecond});
}

void AnswerQuestions(const Asked& asked) {
  const Encoded encoded =
      EncodeAll(asked, asked.MaxTokens(), [&](const RunInput& input, int64_t max_tokens) {
        return EncodeQuestion(asked, input, max_tokens);
      });
  ForEachOutput(asked, encoded, [&](const model::ForwardOutputs& outputs, int64_t row, size_t idx) {
    const RunInput& input = asked.inputs[encoded.input_idxs[idx]];
    const std::string& context = input.Get("context");
    const ask::ContextTokens tokens = ask::LocateContext(asked.tokenizer, input.Get("question"),
                                                         context, encoded.encodings[idx].ids);
    const ask::Span span =
        ask::BestSpan(outputs.start_logits[row], outputs.end_logits[row], tokens);
    return Json{{"answer", context.substr(span.begin, span.end - span.begin)},
                {"score", span.share},
                {"begin", span.begin},
                {"end", span.end}};
  });
}

// Makes one answer of a language model, and says if the model's positions ended the text.
Json TextAnswer(const Asked& asked, const std::vector<int64_t>& ids,
                const model::GenerationOptions& options, const std::string& where,
                std::vector<std::string>& warnings) {
  const auto& ends = options.eos_ids;
  const bool finished =
      !ids.empty() && std::find(ends.begin(), ends.end(), ids.back()) != ends.end();
  Json answer = {
      {"text", asked.tokenizer.Decode(ids)}, {"tokens", ids.size()}, {"finished", finished}};
  if (!finished && static_cast<int64_t>(ids.size()) < options.max_new_tokens) {
    answer["stopped"] = "positions";
    warnings.push_back(StrCat(where, ": the text ends after ", ids.size(), " new tokens, at the ",
                              "last of the model's ", model::NumPositions(asked.config()),
                              " positions"));
  }
  return answer;
}

// Generates in batches, in the order of the inputs; each answer goes out when its batch is done.
int64_t GenerateTexts(const Asked& asked, const model::GenerationOptions& options,
                      int64_t batch_size, const PieceSink& on_piece,
                      std::vector<std::string>& warnings) {
  const Encoded encoded = EncodeAll(asked, /*max_tokens=*/0, [&](const RunInput& input, int64_t) {
    return asked.tokenizer.Encode(input.Get("text"));
  });
  const size_t count = encoded.encodings.size();
  const bool streams = asked.inputs.size() == 1 && on_piece;
  int64_t new_tokens = 0;
  text::StreamDecoder decoder(asked.tokenizer);
  const auto stream = [&](size_t, int64_t token) {
    ThrowIfInterrupted();
    if (streams) on_piece(decoder.Push(token));
    return true;
  };
  for (size_t begin = 0; begin < count; begin += static_cast<size_t>(batch_size)) {
    const size_t end = std::min(count, begin + static_cast<size_t>(batch_size));
    std::vector<std::vector<int64_t>> prompts;
    for (size_t i = begin; i < end; ++i) prompts.push_back(encoded.encodings[i].ids);
    const auto texts = model::Generate(asked.model, prompts, options, stream);
    for (size_t i = begin; i < end; ++i) {
      const size_t input_idx = encoded.input_idxs[i];
      const std::vector<int64_t>& ids = texts[i - begin];
      new_tokens += static_cast<int64_t>(ids.size());
      asked.answers.Give(input_idx,
                         TextAnswer(asked, ids, options, asked.inputs[input_idx].where, warnings));
    }
    asked.progress.Advance(end - begin);
  }
  if (streams) on_piece(decoder.Finish());
  return new_tokens;
}

// Answers by a head that generates no text.
void AnswerByHead(const Asked& asked, const RunOptions& options,
                  const std::filesystem::path& directory, std::vector<std::string>* warnings) {
  constexpr int64_t kCandidates = 5;
  switch (asked.config().head) {
    case Head::kQuestionAnswering:
      return AnswerQuestions(asked);
    case Head::kTokenClassification:
      return LabelTokens(asked);
    case Head::kMaskedLanguageModel:
      return FillMasks(asked, options.top_k > 0 ? options.top_k : kCandidates);
    case Head::kNone:
      return EmbedInputs(asked, model::ReadTextEmbedding(directory, warnings));
    default:
      return Classify(asked);
  }
}

model::GenerationOptions ToGenerationOptions(const RunOptions& options,
                                             const model::GenerationOptions& of_model) {
  model::GenerationOptions out = of_model;
  out.max_new_tokens = options.max_new_tokens;
  out.temperature = options.temperature;
  out.top_k = options.top_k;
  out.top_p = options.top_p;
  return out;
}

// The model, told the languages of the task where the options name none.
OpenedModel OpenFor(const RunOptions& options, const std::optional<task::TaskSpec>& spec,
                    Progress& progress) {
  OpenOptions open = options;
  if (spec && open.source_language.empty()) open.source_language = spec->source_language;
  if (spec && open.target_language.empty()) open.target_language = spec->target_language;
  return OpenedModel(options.model, open, progress);
}

}  // namespace

RunTextResult RunText(const RunOptions& options, const AnswerSink& on_answer,
                      const PieceSink& on_piece, Progress& progress) {
  RequireOption(options.batch_size >= 1, "batch-size", options.batch_size, "at least 1");
  const std::vector<RunInput> inputs = ReadRunInputs(options);
  OrderedAnswers answers(inputs, on_answer);
  answers.RequireAny();
  std::optional<task::TaskSpec> spec;
  if (!options.task.empty()) spec = task::ReadTaskSpec(options.task);

  const at::NoGradGuard no_grad;
  RunTextResult result;
  OpenedModel opened = OpenFor(options, spec, progress);
  const text::Tokenizer& tokenizer = opened.tokenizer();
  // One text that streams to the terminal is its own progress.
  Progress& shown = on_piece && inputs.size() == 1 ? SilentProgress() : progress;
  CutInputs cut;
  const Asked asked{opened.transformer(), tokenizer, inputs, answers, shown, cut};

  const Stopwatch stopwatch;
  const model::GenerationOptions generation = ToGenerationOptions(options, opened.generation());
  result.warnings = opened.warnings();
  if (!spec) shown.Begin("answering", inputs.size(), "inputs");
  if (spec) {
    AnswerTask(*spec, inputs, asked.model, tokenizer, generation, answers, shown);
  } else if (asked.config().head == Head::kLanguageModel) {
    result.new_tokens =
        GenerateTexts(asked, generation, options.batch_size, on_piece, result.warnings);
  } else {
    AnswerByHead(asked, options, opened.checkpoint().directory(), &result.warnings);
  }
  result.seconds = stopwatch.Seconds();
  result.num_answers = answers.num_answers();
  result.failures = answers.Failures();
  result.ffn_ratio = opened.FfnRatio();
  if (!cut.Warning().empty()) result.warnings.push_back(cut.Warning());
  shown.End(StrCat(result.num_answers, result.num_answers == 1 ? " answer" : " answers",
                   result.failures.empty() ? "" : StrCat(", ", result.failures.size(), " failed")));
  return result;
}

}  // namespace moefy::pipeline
