// A recording that the ranks of an MPI run share: each runs the batches that nobody else has
// claimed and keeps what entered the FFNs in a file, and rank 0 puts the files together in the
// order of the batches. So the dump is the same, byte for byte, whoever ran what.
#pragma once

#include <cstddef>
#include <functional>
#include <optional>
#include <string>

#include "moefy/model/transformer.h"
#include "moefy/pipeline/record_stage.h"
#include "record/row_sink.h"

namespace moefy::pipeline {

struct SharedRecording {
  const RecordOptions& options;
  std::string model_fingerprint, corpus_fingerprint;
  size_t num_batches;
  std::function<model::ForwardInputs(size_t)> batch;
};

// Runs this rank's share, and where this is rank 0 appends all rows to `sink`, until it is full.
// Returns the number of examples there; std::nullopt elsewhere. Advances `progress` by one a batch;
// the caller begins and ends the step. Throws as RankParts.
std::optional<int64_t> RecordAmongRanks(const SharedRecording& recording, model::Transformer& model,
                                        record::RowSink* sink, Progress& progress);

}  // namespace moefy::pipeline
