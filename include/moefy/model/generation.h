// Text generation: greedy or sampled continuation of prompts by any model with a decoder, dense or
// with other FeedForwards behind the seam. Nothing is computed twice (keys and values are kept),
// and finished rows are not computed on. Thread-safety: as the Transformer's. Same model, prompts,
// options and seed: same tokens.
#pragma once

#include <cstdint>
#include <filesystem>
#include <functional>
#include <string>
#include <vector>

#include "moefy/model/transformer.h"

namespace moefy::model {

struct GenerationOptions {
  int64_t max_new_tokens = 20;
  std::vector<int64_t> eos_ids = {};     // any of them ends a text; it is the text's last token
  int64_t decoder_start_id = -1;         // encoder-decoders: the decoder's first token
  int64_t forced_bos_id = -1;            // the first new token, whatever the model says; -1: none
  int64_t forced_eos_id = -1;            // the same for the last of max_new_tokens
  std::vector<int64_t> banned_ids = {};  // never generated, unless forced
  double temperature = 0;                // 0: greedy
  int64_t top_k = 0;                     // sample from so many best tokens; 0: all
  double top_p = 1;  // sample from the best tokens that have this share together
  uint64_t seed = 0;
};

// What config.json and, before it, generation_config.json say of a checkpoint: the special tokens,
// forced and banned ones. Lengths and sampling stay as above. Error{kInput} for ids outside the
// vocabulary; banned sequences of several tokens are left out, with a warning.
GenerationOptions ReadGenerationOptions(const std::filesystem::path& directory,
                                        const ModelConfig& config,
                                        std::vector<std::string>* warnings = nullptr);

// Hears of every new token at once, prompts in order within a step; false ends that prompt's text.
using TokenCallback = std::function<bool(size_t prompt_idx, int64_t token)>;

// The new tokens of each prompt, ending with an end token where one came; fewer than
// max_new_tokens also where the model's positions end. Prompts are token ids
// with whatever special tokens the model wants; decoder-only models continue them, encoder-decoders
// read them. They run as one batch. Throws Error{kInput} for empty prompts and what Forward throws,
// Error{kUsage} for options out of range or models that cannot generate.
std::vector<std::vector<int64_t>> Generate(Transformer& model,
                                           const std::vector<std::vector<int64_t>>& prompts,
                                           const GenerationOptions& options,
                                           const TokenCallback& callback = nullptr);

}  // namespace moefy::model
