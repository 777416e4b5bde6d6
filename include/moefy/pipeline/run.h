// Inference with a dense or a split model: text in, answers out for people; or raw tensors in and
// out, how anyone checks moefy against another implementation.
#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <string_view>
#include <vector>

#include "moefy/base/json.h"
#include "moefy/base/output.h"
#include "moefy/base/progress.h"

namespace moefy::pipeline {

struct RunOptions {
  std::string model;
  std::vector<std::string> texts;
  std::string question;
  std::string context;
  std::string input;
  std::string field = "text";
  std::string task;
  std::string source_language;
  std::string target_language;
  std::string out;
  int64_t max_new_tokens = 64;
  double temperature = 0;
  int64_t top_k = 0;
  double top_p = 1;
  int64_t batch_size = 8;
  std::string selection;
  double ffn_ratio = 1.0;
  std::string weights = "f32";
  int64_t seed = 0;
  std::string tensors;
  bool hidden_states = false;
  bool ffn_taps = false;

  template <class Visitor>
  void Visit(Visitor& v) {
    v.Argument("model", model, "dense or split checkpoint directory");
    v.Argument("text", texts, "texts to classify, to embed, to fill the masks of or to go on with");
    v.Field("question", question, "for question answering models, with --context");
    v.Field("context", context, "the text that holds the answer");
    v.Field("input", input,
            "file with a text a line, or JSON (.jsonl, .ndjson, .json) with an object a line or an "
            "array of them; - is stdin");
    v.Field("field", field, "of JSON: the key that holds the text");
    v.Field("task", task, "task file of any kind: inputs are asked as its examples are");
    v.Field(
        "source-language", source_language,
        "of the texts, for models of many languages, as their tokenizer names it: en, eng_Latn");
    v.Field("target-language", target_language, "to translate into, likewise: fr, fra_Latn, fr_XX");
    v.Field("out", out, "file for the answers, an object a line; for --tensors a safetensors file");
    v.Field("max-new-tokens", max_new_tokens,
            "generation stops after so many; with --task, as the file says");
    v.Field("temperature", temperature, "of sampling; 0: always the likeliest token");
    v.Field("top-k", top_k,
            "sample from so many likeliest tokens; 0: all; of masks: candidates to show, 0: five");
    v.Field("top-p", top_p, "sample from the likeliest tokens that have this share together");
    v.Field("batch-size", batch_size, "prompts to generate for at once");
    v.Field(
        "selection", selection,
        "run a split model sparsely: stored (by the routers that it holds), similarity, random or "
        "oracle; docs/routing.md has all (default: dense)");
    v.Field("ffn-ratio", ffn_ratio, "share of the FFNs' work to do with --selection, router aside");
    v.Field("weights", weights,
            "with --selection, how weights are kept in memory: f32, bf16, f16 or int8");
    v.Field("seed", seed, "of sampling and of the random selection");
    v.Field("tensors", tensors,
            "run on raw tensors instead: safetensors with input_ids and what else the model takes");
    v.Field("hidden-states", hidden_states, "--tensors: also write every layer's residual stream");
    v.Field("ffn-taps", ffn_taps, "--tensors: also write what enters and leaves every FFN");
  }
};

struct RunTensorsResult {
  std::vector<std::string> tensors;  // written, with their shapes: "logits [8, 1, 8128]"
  double seconds = 0;                // of the forward pass
};

// Names and shapes: docs/formats.md, "Tensors of moefy run".
RunTensorsResult RunTensors(const RunOptions& options, IfExists if_exists, Progress& progress);

// Every answer as soon as it and those before it are there. What it holds depends on the model:
//   classification                  label, scores {label: probability}
//   several labels at once          labels (those more likely than not), scores
//   regression                      score, or values {label: value}
//   token classification            tokens [{token, label, share}]
//   masked language models          text (filled), masks [{candidates [{token, id, share}]}]
//   encoders without a head         embedding [numbers]
//   question answering              answer, score, begin, end (bytes of the context)
//   language models                 text, tokens, finished (an end token came)
// with a task on its kind:
//   classification                  label, scores
//   multiple_choice                 choice (its letter), text, scores {letter: probability}
//   extractive_qa                   answer, and score of a question answering head
//   generation                      text
//   language_modelling              perplexity, nats_per_token, tokens (predicted)
// and "id" if the input had one. Of an input that cannot be answered: error.
using AnswerSink = std::function<void(size_t input_idx, const Json& answer)>;
// Text while it is generated, when there is one prompt.
using PieceSink = std::function<void(std::string_view piece)>;

struct RunTextResult {
  int64_t num_answers = 0;
  int64_t new_tokens = 0;             // generated without a task
  double seconds = 0;                 // without loading
  double ffn_ratio = 1;               // neurons evaluated / neurons
  std::vector<std::string> failures;  // why inputs were not answered, each with its file and line
  std::vector<std::string> warnings;
};

// An input that breaks (not UTF-8, no such field, too long, tokens the model has no row for) costs
// itself only. Throws Error{kUsage} when there is nothing to run or the input does not suit the
// model's head, Error{kInput} with file and line when nothing can be answered, before the model is
// loaded where it can be known.
RunTextResult RunText(const RunOptions& options, const AnswerSink& on_answer,
                      const PieceSink& on_piece, Progress& progress);

}  // namespace moefy::pipeline
