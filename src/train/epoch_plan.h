// Decides which sequences each step takes. Deterministic in seed, epoch and step, so that a
// training can go on in the middle of an epoch.
#pragma once

#include <cstdint>
#include <vector>

#include "ask/batches.h"

namespace moefy::train {

// The indices of the sequences of every step of an epoch. Each sequence comes once, steps come in
// random order, and the sequences of a step are of similar length.
std::vector<std::vector<size_t>> PlanEpoch(const std::vector<ask::Sequence>& sequences,
                                           int64_t batch_size, uint64_t seed, int64_t epoch);

// The chosen sequences. A share of the tokens between the first and the last is left out, as Iyyer
// et al. 2015 do with whole words.
std::vector<ask::Sequence> TakeSequences(const std::vector<ask::Sequence>& sequences,
                                         const std::vector<size_t>& chosen, double token_dropout,
                                         uint64_t seed, int64_t step);

}  // namespace moefy::train
