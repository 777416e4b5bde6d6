// The stage split: groups neurons into experts. It writes into a staging directory and renames it.
#pragma once

#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <vector>

#include "moefy/base/if_exists.h"
#include "moefy/base/progress.h"
#include "moefy/io/checkpoint.h"
#include "moefy/pipeline/part_options.h"

namespace moefy::pipeline {

struct SplitOptions : PartOptions {
  std::string checkpoint;
  std::string method = "kmeans";
  std::string features = "auto";
  std::string dump;
  int64_t num_experts = 0;
  int64_t expert_size = 0;
  int64_t shared = 0;
  int64_t restarts = 3;
  int64_t seed = 0;
  std::vector<std::string> ffn;
  std::string out;

  template <class Visitor>
  void Visit(Visitor& v) {
    v.Argument("checkpoint", checkpoint, "dense checkpoint, a directory or a file");
    v.Field("method", method,
            "how neurons are grouped: kmeans, coactivation, keep-pattern, or random as a control");
    v.Field("features", features,
            "what kmeans compares: auto (the gate if there is one, else w_in), w_in, gate, concat "
            "(both), or contribution (as auto, weighted by contribution)");
    v.Field("dump", dump,
            "activation dump of the model, for coactivation, keep-pattern, --features contribution "
            "and --shared");
    v.Field("experts", num_experts, "experts per FFN");
    v.Field("expert-size", expert_size, "neurons per expert, instead of --experts");
    v.Field("shared", shared,
            "of these, so many run for every token: the first, which get the neurons that are most "
            "often among a token's 10 % that contribute most");
    v.Field("restarts", restarts, "k-means starts, of which the best is kept");
    v.Field("seed", seed, "makes the split reproducible");
    v.Field("ffn", ffn,
            "FFNs of a family that moefy does not know, by their tensors: "
            "W_IN:W_OUT[:gate=W_GATE|:fused]"
            "[:b_in=BIAS][:b_gate=BIAS][:act=NAME][:transposed], where {} stands for a number");
    VisitParts(v);
    v.Field("out", out, "directory of the split checkpoint");
  }
};

struct SplitResult {
  std::filesystem::path moe;
  std::optional<ShardDone> shard;  // with --shard: then there is no checkpoint yet
  std::string method;
  int64_t num_ffns = 0;
  int64_t num_experts = 0;
  int64_t neurons_per_expert = 0;
  int64_t num_shared = 0;
  double seconds = 0;
  std::vector<std::string> warnings;
};

// Throws Error{kUsage} for options that make no sense. Does not look at paths, nor at numbers of
// experts, which depend on the model.
void CheckSplitOptions(const SplitOptions& options);

// `opened` is the checkpoint that the options name where the caller has it open already. Throws
// Error{kUsage} for options that make no sense or do not suit the model, and for a model that is
// split already; Error{kInput} for a model or a dump that cannot be read or do not belong together.
SplitResult Split(const SplitOptions& options, IfExists if_exists, Progress& progress,
                  const std::optional<io::Checkpoint>& opened = std::nullopt);

}  // namespace moefy::pipeline
