// Any checkpoint, dense or split, ready to answer: what a program that embeds moefy begins with.
#pragma once

#include <cstdint>
#include <filesystem>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "moefy/base/progress.h"
#include "moefy/io/checkpoint.h"
#include "moefy/model/generation.h"
#include "moefy/model/transformer.h"
#include "moefy/text/tokenizer.h"

namespace moefy::pipeline {

struct OpenOptions {
  // How a split checkpoint chooses the experts of a token: "stored" (by the routers that it holds),
  // "similarity", ... (docs/routing.md). "": the model runs densely.
  std::string selection = {};
  double ffn_ratio = 1.0;    // with `selection`: the share of the FFNs' work to do
  std::string weights = {};  // kept as f32, bf16, f16, int8 or int4; "": as packed, or else f32
  int64_t seed = 0;          // of the random selection, and of sampling
  // For models of many languages, as their tokenizer names them: "en", "eng_Latn".
  std::string source_language = {};
  std::string target_language = {};
};

// A model with its tokenizer. Thread-safety: one caller at a time.
class OpenedModel {
 public:
  // `directory` holds config.json and weights. Throws Error{kInput} for a checkpoint that cannot be
  // read or run, Error{kUsage} for options that do not suit it.
  explicit OpenedModel(const std::filesystem::path& directory, const OpenOptions& options = {},
                       Progress& progress = SilentProgress());
  ~OpenedModel();
  OpenedModel(OpenedModel&&) noexcept;
  OpenedModel& operator=(OpenedModel&&) noexcept;

  // What a language model goes on with after `prompt`, or answers to it, without special tokens;
  // the likeliest token at every step. Throws Error{kUsage} for models that cannot generate,
  // Error{kInput} for a prompt without tokens or beyond the model's positions.
  std::string Generate(std::string_view prompt, int64_t max_new_tokens = 64);
  // What the model's head says of one text: logits and the like, with a batch of 1. A text-to-text
  // model gives the logits of its first token, [1, 1, vocab]. Throws Error{kInput} for a text
  // beyond the model's positions.
  model::ForwardOutputs Run(std::string_view text);

  // The parts, for whoever does more. The tokenizer, and the special tokens of generation, are read
  // when they are first asked for: raw tensors need neither. Both throw Error{kInput} for files
  // that are missing or broken, Error{kUsage} for a language that the tokenizer does not have.
  const io::Checkpoint& checkpoint() const;
  model::Transformer& transformer();
  const text::Tokenizer& tokenizer();
  const model::GenerationOptions& generation();

  // Neurons evaluated / neurons, of all texts so far; 1 for a dense run.
  double FfnRatio() const;
  // What was odd about the files read so far, in sentences for people.
  const std::vector<std::string>& warnings() const;

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace moefy::pipeline
