// The stage export: a split checkpoint as a mixture of experts that other engines run.
#pragma once

#include <cstdint>
#include <filesystem>
#include <string>
#include <vector>

#include "moefy/base/if_exists.h"
#include "moefy/base/progress.h"

namespace moefy::pipeline {

struct ExportOptions {
  std::string moe;
  std::string format;
  double ffn_ratio = 0;
  std::string selection = "stored";
  std::string weights = "f16";
  std::string dump;
  std::string out;

  template <class Visitor>
  void Visit(Visitor& v) {
    v.Argument("moe", moe, "split checkpoint directory");
    v.Field("format", format,
            "what to make of it: transformers, granite-moe, mixtral, qwen2-moe, qwen3-moe, olmoe, "
            "glm4-moe, deepseek or gguf");
    v.Field("ffn-ratio", ffn_ratio,
            "share of the FFNs' work that the engine does: how many experts it chooses");
    v.Field("selection", selection,
            "of transformers: how experts are chosen, the stored routers' way or stored:threshold, "
            "stored:relative, stored:budget, stored/SHARE");
    v.Field("weights", weights,
            "of gguf: f32, f16, q8_0 or q4_0; other formats keep the stored types");
    v.Field("dump", dump,
            "activation dump to find linear routers from, if the stored ones will not do");
    v.Field("out", out, "directory of the exported checkpoint");
  }
};

struct ExportResult {
  std::filesystem::path out;
  std::string format;
  std::string architecture;                     // as the engine calls it
  int64_t experts = 0, chosen = 0, shared = 0;  // per FFN; those that are chosen are not shared
  std::string router;                           // the kind that is stored, or "found"
  uint64_t bytes = 0;                           // of the weights
  std::vector<std::string> warnings;
};

// Throws Error{kUsage} for options that do not fit and for routers that no engine has,
// Error{kInput} for what the format cannot express.
ExportResult Export(const ExportOptions& options, IfExists if_exists, Progress& progress);

}  // namespace moefy::pipeline
