#include "train/epoch_plan.h"

#include <algorithm>
#include <numeric>

#include "base/random.h"

namespace moefy::train {
namespace {

// A stream of random numbers for an epoch or a step.
Random StreamOf(uint64_t seed, int64_t idx) {
  return Random(Random(seed).Next() ^ (static_cast<uint64_t>(idx) * 0x9e3779b97f4a7c15));
}

size_t Length(const ask::Sequence& sequence) {
  return sequence.input.ids.size() + sequence.target.size();
}

void LeaveOut(ask::Sequence& sequence, double share, Random& random) {
  text::Encoding kept;
  const std::vector<int64_t>& ids = sequence.input.ids;
  for (size_t i = 0; i < ids.size(); ++i) {
    const bool ends = i == 0 || i + 1 == ids.size();
    const double draw = static_cast<double>(random.Below(1 << 20)) / (1 << 20);
    if (!ends && draw < share) continue;
    kept.ids.push_back(ids[i]);
    kept.token_type_ids.push_back(sequence.input.token_type_ids[i]);
  }
  sequence.input = std::move(kept);
}

}  // namespace

std::vector<std::vector<size_t>> PlanEpoch(const std::vector<ask::Sequence>& sequences,
                                           int64_t batch_size, uint64_t seed, int64_t epoch) {
  constexpr size_t kStepsSorted = 32;  // this is random enough and pads hardly anything
  Random random = StreamOf(seed, epoch);
  std::vector<size_t> order(sequences.size());
  std::iota(order.begin(), order.end(), 0);
  random.Shuffle(order);
  const auto rows = static_cast<size_t>(batch_size);
  std::vector<std::vector<size_t>> steps;
  for (size_t begin = 0; begin < order.size(); begin += rows * kStepsSorted) {
    const size_t end = std::min(order.size(), begin + rows * kStepsSorted);
    std::stable_sort(order.begin() + static_cast<std::ptrdiff_t>(begin),
                     order.begin() + static_cast<std::ptrdiff_t>(end), [&](size_t a, size_t b) {
                       return Length(sequences[a]) < Length(sequences[b]);
                     });
    for (size_t i = begin; i < end; i += rows) {
      steps.emplace_back(order.begin() + static_cast<std::ptrdiff_t>(i),
                         order.begin() + static_cast<std::ptrdiff_t>(std::min(end, i + rows)));
    }
  }
  random.Shuffle(steps);
  return steps;
}

std::vector<ask::Sequence> TakeSequences(const std::vector<ask::Sequence>& sequences,
                                         const std::vector<size_t>& chosen, double token_dropout,
                                         uint64_t seed, int64_t step) {
  Random random = StreamOf(seed + 1, step);
  std::vector<ask::Sequence> taken;
  for (const size_t i : chosen) {
    taken.push_back(sequences[i]);
    if (token_dropout > 0) LeaveOut(taken.back(), token_dropout, random);
  }
  return taken;
}

}  // namespace moefy::train
