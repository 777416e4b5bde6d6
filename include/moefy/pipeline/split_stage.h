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
#include "moefy/model/ffn_spec.h"
#include "moefy/pipeline/part_options.h"

namespace moefy::pipeline {

struct SplitOptions : PartOptions {
  std::string checkpoint;
  std::string preset;
  std::optional<std::string> method;
  std::string features = "auto";
  std::string dump;
  int64_t num_experts = 0;
  int64_t expert_size = 0;
  int64_t shared = 0;
  std::vector<double> shared_range;
  std::optional<std::string> shared_by;
  int64_t restarts = 3;
  int64_t seed = 0;
  std::vector<std::string> ffn;
  std::string out;

  template <class Visitor>
  void Visit(Visitor& v) {
    v.Argument("checkpoint", checkpoint, "dense checkpoint, a directory or a file");
    v.Field("preset", preset,
            "as a published method splits: paper, cmoe, d2dmoe, expertweaver or cats; or best: "
            "values of the options below that are not given. route-train has the other half");
    v.Field("method", method,
            "how neurons are grouped: kmeans (the default), coactivation, keep-pattern, "
            "activation-marks, gate-profile, or random as a control");
    v.Field("features", features,
            "what kmeans compares: auto (the gate if there is one, else w_in), w_in, gate, concat "
            "(both), or contribution (as auto, weighted by contribution)");
    v.Field("dump", dump,
            "activation dump of the model, for methods that look at what neurons do, --features "
            "contribution and shared experts");
    v.Field("experts", num_experts, "experts per FFN");
    v.Field("expert-size", expert_size, "neurons per expert, instead of --experts");
    v.Field("shared", shared,
            "of these, so many run for every token: the first, which get the neurons that rank "
            "first by --shared-by");
    v.Field("shared-range", shared_range,
            "instead of --shared: the least and the most that may be shared, as shares of the "
            "experts; FFNs whose gates vary more over the text get fewer");
    v.Field("shared-by", shared_by,
            "what ranks the neurons to share: contribution (most often among a token's 10 % that "
            "contribute most; the default), activation (among its ten most active) or gate (the "
            "most open on the mean)");
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
  int64_t num_shared = 0;  // of the last FFN, as the two numbers above
  double seconds = 0;
  std::vector<std::string> warnings;
};

// The options with the values of their preset in the place of those that are not given. Throws
// Error{kUsage} for an unknown preset.
SplitOptions WithPreset(const SplitOptions& options);

// Whether a split with these options, taken as WithPreset gives them, looks at a dump.
bool NeedsDump(const SplitOptions& options);

// The number of experts of each FFN. Throws Error{kUsage} where the options do not suit one.
std::vector<int64_t> ExpertsPerFfn(const std::vector<model::FfnSpec>& specs,
                                   const SplitOptions& options);

// Throws Error{kUsage} for options that make no sense. Does not look at paths, nor at numbers of
// experts, which depend on the model.
void CheckSplitOptions(const SplitOptions& options);

// `opened` is the checkpoint that the options name where the caller has it open already. Throws
// Error{kUsage} for options that make no sense or do not suit the model, and for a model that is
// split already; Error{kInput} for a model or a dump that cannot be read or do not belong together.
SplitResult Split(const SplitOptions& options, IfExists if_exists, Progress& progress,
                  const std::optional<io::Checkpoint>& opened = std::nullopt);

}  // namespace moefy::pipeline
