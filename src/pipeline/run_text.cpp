#include <algorithm>
#include <chrono>
#include <memory>
#include <optional>

#include "moefy/base/error.h"
#include "moefy/base/options.h"
#include "moefy/eval/answer_span.h"
#include "moefy/eval/batches.h"
#include "moefy/eval/translation.h"
#include "moefy/model/generation.h"
#include "moefy/pipeline/run.h"
#include "moefy/text/stream_decoder.h"
#include "moefy/text/tokenizer.h"
#include "pipeline/run_inputs.h"
#include "pipeline/run_task.h"
#include "pipeline/runnable_model.h"

namespace moefy::pipeline {
namespace {

using model::Head;

// A model with what it takes to ask it.
struct Asked {
  model::Transformer& model;
  const text::Tokenizer& tokenizer;
  const std::vector<RunInput>& inputs;
  Progress& progress;

  const model::ModelConfig& config() const { return model.config(); }
  // Encoders cut what is longer than their positions; 0: there is no such limit.
  int64_t MaxTokens() const {
    return config().max_positions > 0 ? config().max_positions - config().position_offset : 0;
  }
};

// Runs all encodings in batches; `use` gets the outputs and their row of each input.
template <typename Use>
void ForEachOutput(const Asked& asked, const std::vector<text::Encoding>& encodings,
                   const Use& use) {
  for (const eval::Batch& batch :
       eval::MakeBatches(encodings, asked.config(), asked.tokenizer.pad_id())) {
    const model::ForwardOutputs outputs = asked.model.Forward(batch.inputs);
    for (size_t row = 0; row < batch.example_idxs.size(); ++row) {
      use(outputs, static_cast<int64_t>(row), static_cast<size_t>(batch.example_idxs[row]));
    }
    asked.progress.Advance(batch.example_idxs.size());
  }
}

std::vector<Json> Classify(const Asked& asked) {
  std::vector<std::string> names = asked.config().label_names;
  for (int64_t i = static_cast<int64_t>(names.size()); i < asked.config().num_labels; ++i) {
    names.push_back(StrCat("LABEL_", i));
  }
  const text::EncodeOptions options{.max_tokens = asked.MaxTokens()};
  std::vector<text::Encoding> encodings;
  for (const RunInput& input : asked.inputs) {
    const std::string& first = input.Get("text");
    const auto second = input.fields.find("text_pair");
    encodings.push_back(second == input.fields.end()
                            ? asked.tokenizer.Encode(first, options)
                            : asked.tokenizer.EncodePair(first, second->second, options));
  }
  std::vector<Json> answers(asked.inputs.size());
  ForEachOutput(asked, encodings,
                [&](const model::ForwardOutputs& outputs, int64_t row, size_t input_idx) {
                  const at::Tensor scores = outputs.logits[row];
                  answers[input_idx] = asked.config().is_regression()
                                           ? Json{{"score", scores[0].item<double>()}}
                                           : LabelAnswer(scores, names);
                });
  return answers;
}

std::vector<Json> AnswerQuestions(const Asked& asked) {
  const text::EncodeOptions options{.max_tokens = asked.MaxTokens(),
                                    .truncation = text::Truncation::kOnlySecond};
  std::vector<text::Encoding> encodings;
  for (const RunInput& input : asked.inputs) {
    encodings.push_back(
        asked.tokenizer.EncodePair(input.Get("question"), input.Get("context"), options));
  }
  std::vector<Json> answers(asked.inputs.size());
  ForEachOutput(
      asked, encodings, [&](const model::ForwardOutputs& outputs, int64_t row, size_t input_idx) {
        const RunInput& input = asked.inputs[input_idx];
        const std::string& context = input.Get("context");
        const eval::ContextTokens tokens = WithContext(input.where, [&] {
          return eval::LocateContext(asked.tokenizer, input.Get("question"), context,
                                     encodings[input_idx].ids);
        });
        const eval::Span span =
            eval::BestSpan(outputs.start_logits[row], outputs.end_logits[row], tokens);
        answers[input_idx] = {{"answer", context.substr(span.begin, span.end - span.begin)},
                              {"score", span.share},
                              {"begin", span.begin},
                              {"end", span.end}};
      });
  return answers;
}

// Generates in batches, in the order of the inputs; each answer goes out when its batch is done.
int64_t GenerateTexts(const Asked& asked, const model::GenerationOptions& options,
                      int64_t batch_size, const std::function<void(size_t, Json)>& give,
                      const PieceSink& on_piece) {
  const size_t count = asked.inputs.size();
  int64_t new_tokens = 0;
  text::StreamDecoder decoder(asked.tokenizer);
  const auto stream = [&](size_t, int64_t token) {
    ThrowIfInterrupted();
    if (count == 1 && on_piece) on_piece(decoder.Push(token));
    return true;
  };
  for (size_t begin = 0; begin < count; begin += static_cast<size_t>(batch_size)) {
    const size_t end = std::min(count, begin + static_cast<size_t>(batch_size));
    std::vector<std::vector<int64_t>> prompts;
    for (size_t i = begin; i < end; ++i) {
      prompts.push_back(asked.tokenizer.Encode(asked.inputs[i].Get("text")).ids);
      if (prompts.back().empty()) {
        throw InputError(asked.inputs[i].where, ": the text has no tokens");
      }
    }
    const auto texts = model::Generate(asked.model, prompts, options, stream);
    for (size_t i = begin; i < end; ++i) {
      const std::vector<int64_t>& ids = texts[i - begin];
      const auto& ends = options.eos_ids;
      const bool finished =
          !ids.empty() && std::find(ends.begin(), ends.end(), ids.back()) != ends.end();
      new_tokens += static_cast<int64_t>(ids.size());
      give(i,
           {{"text", asked.tokenizer.Decode(ids)}, {"tokens", ids.size()}, {"finished", finished}});
    }
    asked.progress.Advance(end - begin);
  }
  if (count == 1 && on_piece) on_piece(decoder.Finish());
  return new_tokens;
}

model::GenerationOptions ToGenerationOptions(const RunOptions& options,
                                             const std::filesystem::path& directory,
                                             const model::ModelConfig& config,
                                             const text::Tokenizer& tokenizer,
                                             std::vector<std::string>* warnings) {
  model::GenerationOptions out = eval::ReadGeneration(directory, config, tokenizer, warnings);
  out.max_new_tokens = options.max_new_tokens;
  out.temperature = options.temperature;
  out.top_k = options.top_k;
  out.top_p = options.top_p;
  out.seed = static_cast<uint64_t>(options.seed);
  return out;
}

}  // namespace

RunTextResult RunText(const RunOptions& options, const AnswerSink& on_answer,
                      const PieceSink& on_piece, Progress& progress) {
  RequireOption(options.batch_size >= 1, "batch-size", options.batch_size, "at least 1");
  const std::vector<RunInput> inputs = ReadRunInputs(options);
  std::optional<task::TaskSpec> spec;
  if (!options.task.empty()) spec = task::ReadTaskSpec(options.task);

  const at::NoGradGuard no_grad;
  RunTextResult result;
  RunnableModel runnable(options, progress, &result.warnings);
  const auto directory = runnable.checkpoint().directory();
  text::Languages languages = spec ? eval::LanguagesOf(*spec) : text::Languages();
  if (!options.source_language.empty()) languages.source = options.source_language;
  if (!options.target_language.empty()) languages.target = options.target_language;
  const std::unique_ptr<text::Tokenizer> tokenizer = text::LoadTokenizer(directory, {}, languages);
  // One text that streams to the terminal is its own progress.
  Progress& shown = on_piece && inputs.size() == 1 ? SilentProgress() : progress;
  const Asked asked{runnable.transformer(), *tokenizer, inputs, shown};

  const auto start = std::chrono::steady_clock::now();
  const auto give = [&](size_t input_idx, Json answer) {
    if (!inputs[input_idx].id.is_null()) {
      Json with_id = {{"id", inputs[input_idx].id}};
      with_id.update(answer);
      answer = std::move(with_id);
    }
    on_answer(input_idx, answer);
    ++result.num_answers;
  };
  const model::GenerationOptions generation =
      ToGenerationOptions(options, directory, asked.config(), *tokenizer, &result.warnings);
  if (!spec) shown.Begin("answering", inputs.size(), "inputs");
  if (!spec && asked.config().head == Head::kLanguageModel) {
    result.new_tokens = GenerateTexts(asked, generation, options.batch_size, give, on_piece);
  } else {
    const std::vector<Json> answers =
        spec ? AnswerTask(*spec, inputs, asked.model, *tokenizer, generation, shown)
        : asked.config().head == Head::kQuestionAnswering ? AnswerQuestions(asked)
                                                          : Classify(asked);
    for (size_t i = 0; i < answers.size(); ++i) give(i, answers[i]);
  }
  result.seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
  result.ffn_ratio = runnable.FfnRatio();
  shown.End(result.num_answers == 1 ? "1 answer" : StrCat(result.num_answers, " answers"));
  return result;
}

}  // namespace moefy::pipeline
