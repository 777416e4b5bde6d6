#include "moefy/pipeline/join_stage.h"

#include "base/options.h"
#include "moefy/base/error.h"
#include "pipeline/ffn_parts.h"

namespace moefy::pipeline {
namespace {

template <typename Options>
Options ReadStageOptions(const BegunParts& begun, const std::string& where) {
  Options options;
  const JsonObject object(begun.options, where);
  ReadOptions(object, options);
  return options;
}

// Runs the stage with its options, changed by `change`.
template <typename Change>
JoinResult RunStage(const BegunParts& begun, const std::string& where, IfExists if_exists,
                    Progress& progress, const Change& change) {
  JoinResult result;
  if (begun.stage == "split") {
    auto options = ReadStageOptions<SplitOptions>(begun, where);
    change(options);
    result.split = Split(options, if_exists, progress);
  } else if (begun.stage == "route-train") {
    auto options = ReadStageOptions<RouteTrainOptions>(begun, where);
    change(options);
    result.routers = RouteTrain(options, if_exists, progress);
  } else {
    throw InputError(where, " is of the stage ", Quoted(begun.stage),
                     "; this moefy joins split and route-train");
  }
  return result;
}

}  // namespace

JoinResult JoinParts(const JoinOptions& options, IfExists if_exists, Progress& progress) {
  if (options.parts.empty()) {
    throw UsageError("join needs the directory that the shards were given as --parts");
  }
  return RunStage(ReadPartsManifest(options.parts), options.parts, if_exists, progress,
                  [&](auto& stage) {
                    stage.parts = options.parts;
                    stage.shard.clear();
                    stage.join = true;
                    if (!options.out.empty()) stage.out = options.out;
                  });
}

}  // namespace moefy::pipeline
