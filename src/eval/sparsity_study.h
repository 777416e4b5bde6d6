// Studies how sparsely an FFN's neurons fire on a corpus, which is what MoEfication lives on (its
// section 2), for any activation. model/contribution.h defines "fires" and "contribution". Pure
// functions, thread-safe.
#pragma once

#include <array>
#include <string>
#include <vector>

#include "base/json.h"
#include "moefy/model/ffn.h"
#include "record/recorded_inputs.h"

namespace moefy::eval {

inline constexpr std::array<int, 5> kStudyPercentiles = {5, 25, 50, 75, 95};
inline constexpr std::array<double, 3> kStudyShares = {0.90, 0.95, 0.99};
inline constexpr int64_t kNeighbours = 31;  // of a neuron in an expert of 32

// Shares are between 0 and 1. All are 0 if no token was recorded.
struct FfnSparsity {
  std::string ffn;
  int64_t tokens = 0, neurons = 0;
  bool exact = false;  // a neuron fires if it is above zero; otherwise its contribution decides
  double active = 0;   // share of the neurons that fire on a token, mean over tokens
  std::array<double, 5> active_percentiles = {};  // over tokens, nearest rank
  // Share of the neurons needed for kStudyShares of a token's contributions, mean over tokens.
  std::array<double, 3> needed = {};
  int64_t dead = 0;  // neurons that fire on no token
  int64_t hot = 0;   // on more than half of them
  // How the firing of two neurons correlates over tokens (phi), among neurons that fire on some
  // tokens and not on all: with the kNeighbours that correlate most, as the mean over neurons; and
  // as the root mean square over all pairs, which is 1 / sqrt(tokens) if neurons fire
  // independently.
  double correlation_nearest = 0, correlation_rms = 0;
  std::vector<double> rates;  // per neuron the share of tokens it fires on, falling
};

// Looks at no more than `max_tokens` tokens, spread over what was recorded. Needs 12 n^2 bytes for
// n neurons. Throws Error{kInterrupted}.
FfnSparsity StudySparsity(const std::string& name, const model::FfnWeights& ffn,
                          const record::RecordedInputs& inputs, int64_t max_tokens);

std::string FormatSparsity(const std::vector<FfnSparsity>& study);  // for people
Json SparsityToJson(const std::vector<FfnSparsity>& study);         // an array, all figures

}  // namespace moefy::eval
