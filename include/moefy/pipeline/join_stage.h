// Makes the result of a stage whose parts were found by shards (moefy/pipeline/part_options.h).
#pragma once

#include <optional>
#include <string>

#include "moefy/pipeline/route_stage.h"
#include "moefy/pipeline/split_stage.h"

namespace moefy::pipeline {

struct JoinOptions {
  std::string parts;
  std::string out;

  template <class Visitor>
  void Visit(Visitor& v) {
    v.Argument("parts", parts, "directory that the shards were given as --parts");
    v.Field("out", out, "directory of the result (default: the shards' --out)");
  }
};

// One of the two, by the stage that the parts are of.
struct JoinResult {
  std::optional<SplitResult> split;
  std::optional<RouteTrainResult> routers;
};

// Throws Error{kInput} when the directory has no parts, or lacks some; else as the stage.
JoinResult JoinParts(const JoinOptions& options, IfExists if_exists, Progress& progress);

}  // namespace moefy::pipeline
