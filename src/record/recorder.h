// Runs the dense model and keeps what enters each FFN.
#pragma once

#include <functional>
#include <optional>
#include <vector>

#include "moefy/base/progress.h"
#include "moefy/model/transformer.h"
#include "record/activation_dump.h"
#include "record/row_sink.h"

namespace moefy::record {

// Gives the next batch, or nothing when the corpus is over.
using BatchSource = std::function<std::optional<model::ForwardInputs>()>;

// One entry per FFN of the model, as DumpWriter wants them.
std::vector<DumpedFfn> FfnsToRecord(const model::Transformer& model);

// Feeds batches through `model` until the source has no more or the sink is full. Afterwards the
// model's FFNs are as before. Advances `progress` by one per example; the caller begins and ends
// the step. Returns the number of examples run.
int64_t RecordActivations(model::Transformer& model, const BatchSource& batches, RowSink& sink,
                          Progress& progress);

}  // namespace moefy::record
