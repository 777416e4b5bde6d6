// Which sequences each step takes. Deterministic in seed, epoch and step, so that a training can go
// on in the middle of an epoch.
#pragma once

#include <cstdint>
#include <vector>

#include "ask/batches.h"

namespace moefy::train {

// Indices of the sequences of every step of an epoch: each sequence once, in random order, those of
// a step of similar length.
std::vector<std::vector<size_t>> PlanEpoch(const std::vector<ask::Sequence>& sequences,
                                           int64_t batch_size, uint64_t seed, int64_t epoch);

// The chosen sequences, with a share of the tokens between the first and last one left out (as
// whole words are by Iyyer et al. 2015).
std::vector<ask::Sequence> TakeSequences(const std::vector<ask::Sequence>& sequences,
                                         const std::vector<size_t>& chosen, double token_dropout,
                                         uint64_t seed, int64_t step);

}  // namespace moefy::train
