// What a stage finds for each FFN, as parts that may come from several processes: from this one,
// from earlier runs and other shards through a directory (--parts), and from the other ranks of an
// MPI run. A part depends on nothing but its FFN and the stage's options, so whoever finds it finds
// the same. The directory's format: docs/formats.md, "Parts".
#pragma once

#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "base/json.h"
#include "moefy/base/progress.h"
#include "moefy/model/tensor_io.h"
#include "moefy/pipeline/part_options.h"
#include "pipeline/parts_directory.h"
#include "record/activation_dump.h"

namespace moefy::pipeline {

struct FfnPart {
  model::TensorMap tensors;  // F32
  Json values;
};

// Called with a part.
using HaveFfnPart = std::function<void(size_t i, const FfnPart& part)>;

// The parts of all FFNs in their order: those that are there, and those that `find(i)` finds here.
// std::nullopt when this process has done its share and another makes the result; else `have`, if
// given, has been called with each part as soon as it was there. Begins a step of `progress`; the
// caller ends it. Throws Error{kUsage} for options that make no sense and for parts
// of other options or another model; Error{kInput} for damaged parts and, when joining, for missing
// ones.
std::optional<std::vector<FfnPart>> FindParts(const PartsRequest& request,
                                              const std::function<FfnPart(size_t)>& find,
                                              Progress& progress, const HaveFfnPart& have = {});

// For `identity`: what a dump holds. A stage's options are told by WithoutPaths of stage_key.h.
Json DumpIdentity(const record::ActivationDump& dump);

// How many parts there are in the directory that the options name. Only looks: rank 0 of an MPI run
// may have removed it already.
ShardDone CountParts(const PartsRequest& request);

// Throws Error{kUsage} for a shard that is malformed or comes without --parts.
void CheckPartOptions(const PartOptions& options);

}  // namespace moefy::pipeline
