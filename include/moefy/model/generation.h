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
  std::vector<int64_t> eos_ids = {};     // each of them ends a text, as its last token
  int64_t decoder_start_id = -1;         // the first token of an encoder-decoder's decoder
  int64_t forced_bos_id = -1;            // the first new token, whatever the model says; -1: none
  int64_t forced_eos_id = -1;            // the last of max_new_tokens, likewise
  std::vector<int64_t> banned_ids = {};  // never generated, unless forced
  double temperature = 0;                // 0: greedy
  int64_t top_k = 0;                     // sample from so many best tokens; 0: all
  double top_p = 1;  // sample from the best tokens that have this share together
  uint64_t seed = 0;
};

// Reads what generation_config.json and, for keys that it does not have, config.json say of a
// checkpoint: the special tokens, forced and banned ones. An old BART's config.json may have
// force_bos_token_to_be_generated, as BartConfig of transformers 4.44 reads it. Lengths and
// sampling stay as above. Throws Error{kInput} for ids outside the vocabulary. Banned sequences of
// several tokens are left out, with a warning. `config_text` is config.json's text, as
// io::Checkpoint keeps it; "": there is none.
GenerationOptions ReadGenerationOptions(const std::filesystem::path& directory,
                                        const std::string& config_text, const ModelConfig& config,
                                        std::vector<std::string>* warnings = nullptr);

// Hears of every new token at once; within a step, prompts come in order. Returning false ends that
// prompt's text.
using TokenCallback = std::function<bool(size_t prompt_idx, int64_t token)>;

// Returns the new tokens of each prompt. A text ends with an end token, with max_new_tokens, or
// where the model's positions end. Prompts are token ids with the special tokens that the model
// wants; decoder-only models continue them, encoder-decoders read them. All prompts run as one
// batch. Throws Error{kInput} for empty prompts and what Forward throws, Error{kUsage} for options
// out of range or models that cannot generate.
std::vector<std::vector<int64_t>> Generate(Transformer& model,
                                           const std::vector<std::vector<int64_t>>& prompts,
                                           const GenerationOptions& options,
                                           const TokenCallback& callback = nullptr);

}  // namespace moefy::model
