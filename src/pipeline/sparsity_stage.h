// The stage sparsity studies how sparsely a model's neurons fire, on a dump or on a corpus that it
// runs for the study.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "base/output.h"
#include "eval/sparsity_study.h"
#include "moefy/base/progress.h"
#include "moefy/pipeline/record_stage.h"

namespace moefy::pipeline {

struct SparsityOptions : CorpusOptions {  // the corpus, or a dump of one
  std::string checkpoint;
  std::string dump;
  int64_t max_tokens = 16384;
  std::string plots;

  template <class Visitor>
  void Visit(Visitor& v) {
    v.Argument("checkpoint", checkpoint, "dense or split checkpoint directory");
    v.Field("dump", dump,
            "activation dump of the model, made by `moefy record`, instead of --task or --text");
    VisitCorpus(v);
    v.Field("max-tokens", max_tokens, "tokens looked at per FFN at most, spread over the dump");
    v.Field("plots", plots, "directory for SVG plots");
  }
};

struct SparsityResult {
  std::string corpus;
  std::vector<eval::FfnSparsity> ffns;
  std::vector<std::string> plots;  // files written
  std::vector<std::string> warnings;
};

SparsityResult Sparsity(const SparsityOptions& options, IfExists if_exists, Progress& progress);

}  // namespace moefy::pipeline
