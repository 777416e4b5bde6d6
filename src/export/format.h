// The formats that a split checkpoint is exported to: mixtures of experts that other engines run,
// each with its own way to choose and weight experts. Adding one is a row of Formats(). Values,
// thread-safe.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "base/json.h"

namespace moefy::exports {

// How an engine weights the experts that it has chosen. A split FFN is the plain sum of its
// experts, so each way says what W_out is multiplied with, once the weights are all alike
// (export/router_rows.h).
enum class Gates {
  kNormalised,  // softmax over all experts, divided by the sum of those chosen: 1 / chosen
  kSoftmax,     // softmax over all experts: 1 / experts
  kScaled,      // a sigmoid's, normalised, then times a number of config.json: W_out stays
  kChosen,      // softmax over those chosen, by the scores themselves: 1 / chosen. The best
};

enum class SharedExperts {
  kNone,
  kGated,  // times a sigmoid of its own, which is 1/2: W_out is doubled
  kPlain,  // added as they are
};

// Norms of queries and keys that the engine's attention has.
enum class QueryKeyNorms {
  kNone,
  kOptional,  // head by head, if config.json says so
  kHead,      // head by head, always
  kAll,       // all heads together, always
};

// Biases of the attention's linear maps.
enum class AttentionBiases {
  kNone,
  kQkv,        // of queries, keys and values, if config.json says so
  kAlwaysQkv,  // of queries, keys and values, always
  kAll,        // of the output too, if config.json says so
};

// The sizes that config.json tells of the experts.
struct ExpertSizes {
  int64_t neurons = 0;         // of one expert
  int64_t experts = 0;         // that the router chooses among
  int64_t chosen = 0;          // for each token
  int64_t shared = 0;          // experts that run for every token
  int64_t shared_neurons = 0;  // of all shared experts, also of a made-up one
  bool norms = false;          // queries and keys are normed
  bool biases = false;         // the attention has biases
  int64_t window = 0;          // that attention keeps to; 0: none
  int64_t head_dim = 0;
};

struct Format {
  std::string name;         // of --format
  std::string description;  // one line
  std::string model_type;   // of config.json
  std::string class_name;   // of config.json's "architectures"
  // The keys of config.json that tell of experts and attention.
  Json (*keys)(const ExpertSizes& sizes) = nullptr;
  Gates gates = Gates::kNormalised;
  SharedExperts shared = SharedExperts::kNone;
  bool always_shared = false;  // without a shared expert, one of zeros is made up
  QueryKeyNorms norms = QueryKeyNorms::kNone;
  AttentionBiases biases = AttentionBiases::kNone;
  bool router_bias = false;    // counts when experts are chosen, and not in their weights
  bool free_head_dim = false;  // head_dim * heads may differ from hidden
  bool windows = false;        // all layers may keep to one window
  // Behind "model.layers.{}.": of the router, of an expert ("{}" is its index), of the shared ones.
  std::string router = "mlp.gate.";
  std::string expert = "mlp.experts.{}.";
  std::string shared_expert = {}, shared_gate = {};
  // An expert's matrices, in FfnSpec's words. Without a w_in, all experts' are in one tensor, the
  // gates' rows before the others of each expert under w_gate.
  std::string w_gate = "gate_proj", w_in = "up_proj", w_out = "down_proj";
};

const std::vector<Format>& Formats();
// The format that is a file and not a directory (export/write_gguf.h).
inline constexpr const char* kGguf = "gguf";
// The format that is the model as it is, with code of ours for Transformers
// (export/write_transformers.h).
inline constexpr const char* kTransformers = "transformers";
// Throws Error{kUsage} that lists the names.
const Format& GetFormat(const std::string& name);

}  // namespace moefy::exports
