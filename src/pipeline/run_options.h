// The options of `moefy run`, which has two halves: texts (run_text.h) and raw tensors
// (run_tensors.h).
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "moefy/pipeline/open_model.h"

namespace moefy::pipeline {

struct RunOptions : OpenOptions {
  std::string model;
  std::vector<std::string> texts;
  std::string question;
  std::string context;
  std::string input;
  std::string field = "text";
  std::string task;
  std::string out;
  int64_t max_new_tokens = 64;
  double temperature = 0;
  int64_t top_k = 0;
  double top_p = 1;
  int64_t batch_size = 8;
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
            "how weights are kept in memory, dense or sparse: f32, bf16, f16, int8 or "
            "int4 (default: as a packed checkpoint holds them, else f32)");
    v.Field("seed", seed, "of sampling and of the random selection");
    v.Field("tensors", tensors,
            "run on raw tensors instead: safetensors with input_ids and what else the model takes");
    v.Field("hidden-states", hidden_states, "--tensors: also write every layer's residual stream");
    v.Field("ffn-taps", ffn_taps, "--tensors: also write what enters and leaves every FFN");
  }
};

}  // namespace moefy::pipeline
