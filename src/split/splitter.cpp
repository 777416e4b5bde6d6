#include "split/splitter.h"

#include <algorithm>
#include <random>

#include "moefy/base/error.h"
#include "split/methods.h"

namespace moefy::split {
namespace {

ExpertPlan SplitAtRandom(const SplitRequest& request) {
  const int64_t n = request.ffn.num_neurons();
  std::vector<int64_t> expert_of(n);
  for (int64_t i = 0; i < n; ++i) expert_of[i] = i % request.num_experts;
  // std::shuffle gives different results in different standard libraries. The modulo's bias is
  // under n / 2^64.
  std::mt19937_64 random(request.seed);
  for (int64_t i = n - 1; i > 0; --i) {
    std::swap(expert_of[i], expert_of[random() % static_cast<uint64_t>(i + 1)]);
  }
  return ExpertPlan::FromAssignment(expert_of, request.num_experts);
}

// The divisors of n just under and just over `wanted`, as text: "96 or 128".
std::string NearestDivisors(int64_t n, int64_t wanted) {
  std::vector<std::string> nearest;
  for (int64_t below = std::min(wanted, n); below >= 1; --below) {
    if (n % below == 0) {
      nearest.push_back(std::to_string(below));
      break;
    }
  }
  for (int64_t above = std::max<int64_t>(wanted, 1); above <= n; ++above) {
    if (n % above == 0) {
      nearest.push_back(std::to_string(above));
      break;
    }
  }
  return Join(nearest, " or ");
}

}  // namespace

const std::vector<Splitter>& Splitters() {
  static const std::vector<Splitter> splitters = {
      {"kmeans",
       "neurons whose normalised input weights (gate weights if gated, or other --features) are "
       "alike, by balanced k-means; seconds per FFN",
       false, true, &SplitByKMeans},
      {"coactivation",
       "neurons that fire together on recorded tokens, by METIS on the graph of all pairs; needs a "
       "dump; ten seconds per FFN",
       true, false, &SplitByCoactivation},
      {"keep-pattern",
       "neurons that contribute to the same recorded tokens, by balanced k-means; needs a dump; "
       "seconds per FFN",
       true, false, &SplitByKeepPattern},
      {"activation-marks",
       "neurons that are among the ten most active of the same recorded tokens, by balanced "
       "k-means "
       "(CMoE's); needs a dump; seconds per FFN",
       true, false, &SplitByActivationMarks},
      {"gate-profile",
       "neurons whose gates open in the same parts of the recorded text, by balanced k-means "
       "(ExpertWeaver's); needs a dump; seconds per FFN",
       true, false, &SplitByGateProfile},
      {"random", "a random partition, the control; milliseconds", false, false, &SplitAtRandom},
  };
  return splitters;
}

const Splitter& GetSplitter(const std::string& name) {
  std::vector<std::string> names;
  for (const Splitter& splitter : Splitters()) {
    if (splitter.name == name) return splitter;
    names.push_back(splitter.name);
  }
  throw UsageError("unknown split method ", Quoted(name), "; there are ", Join(names),
                   DidYouMean(name, names));
}

const std::vector<std::string>& Features() {
  static const std::vector<std::string> features = {"auto", "w_in", "gate", "concat",
                                                    "contribution"};
  return features;
}

void CheckFeatures(const Splitter& splitter, const std::string& features) {
  if (std::ranges::find(Features(), features) == Features().end()) {
    throw UsageError("unknown features ", Quoted(features), "; there are ", Join(Features()),
                     DidYouMean(features, Features()));
  }
  if (features != "auto" && !splitter.takes_features) {
    throw UsageError("the split method ", Quoted(splitter.name), " takes no features, found ",
                     Quoted(features), "; they are for kmeans");
  }
}

bool NeedsInputs(const Splitter& splitter, const std::string& features, int64_t num_shared) {
  return splitter.needs_inputs || features == "contribution" || num_shared > 0;
}

int64_t ResolveNumExperts(int64_t num_neurons, int64_t num_experts, int64_t expert_size) {
  if ((num_experts == 0) == (expert_size == 0)) {
    throw UsageError("give either the number of experts or the expert size",
                     num_experts == 0
                         ? "; neither is given"
                         : StrCat("; found ", num_experts, " experts and size ", expert_size));
  }
  const bool by_count = num_experts != 0;
  const int64_t wanted = by_count ? num_experts : expert_size;
  if (wanted < 1 || num_neurons % wanted != 0) {
    throw UsageError(
        by_count ? StrCat(wanted, " experts do") : StrCat("expert size ", wanted, " does"),
        " not divide the ", num_neurons,
        " neurons of an FFN; the nearest that divide: ", NearestDivisors(num_neurons, wanted));
  }
  return by_count ? num_experts : num_neurons / expert_size;
}

void CheckNumShared(int64_t num_shared, int64_t num_experts) {
  if (0 <= num_shared && num_shared < num_experts) return;
  throw UsageError("--shared is ", num_shared, " of ", num_experts, " experts; expected 0 to ",
                   num_experts - 1, ", so that some are left to choose from");
}

}  // namespace moefy::split
