// The stage pack: writes a model's weights as the kernels read them, so that a program that runs it
// maps them and converts nothing. Packed checkpoints are for running only.
#pragma once

#include <cstdint>
#include <filesystem>
#include <string>
#include <vector>

#include "moefy/base/if_exists.h"
#include "moefy/base/progress.h"

namespace moefy::pipeline {

struct PackOptions {
  std::string model;
  std::string weights = "int8";
  std::string out;

  template <class Visitor>
  void Visit(Visitor& v) {
    v.Argument("model", model, "dense or split checkpoint directory");
    v.Field("weights", weights, "the format to pack weights in: int8 or int4");
    v.Field("out", out, "directory of the packed checkpoint");
  }
};

struct PackResult {
  std::filesystem::path out;
  std::string weights;
  uint64_t bytes_before = 0, bytes_after = 0;  // of all tensors
  bool is_split = false;
  std::vector<std::string> warnings;
};

// Needs as much memory as running the model in that format. Throws Error{kUsage} for another format
// and for a checkpoint that is packed already, Error{kInput} for one that cannot be run.
PackResult Pack(const PackOptions& options, IfExists if_exists, Progress& progress);

}  // namespace moefy::pipeline
