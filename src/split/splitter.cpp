#include "moefy/split/splitter.h"

#include <cmath>
#include <numeric>
#include <random>

#include "moefy/base/error.h"
#include "split/balanced_kmeans.h"

namespace moefy::split {
namespace {

// The rows that decide whether a neuron fires, each divided by its length; zero rows stay zero.
// Scalar double arithmetic, so that every machine groups the same neurons.
std::vector<float> NormalizedRows(const at::Tensor& weights) {
  const at::Tensor rows = weights.contiguous();  // [neurons, hidden]
  const int64_t hidden = rows.size(1);
  std::vector<float> out(rows.data_ptr<float>(), rows.data_ptr<float>() + rows.numel());
  for (int64_t neuron = 0; neuron < rows.size(0); ++neuron) {
    float* row = out.data() + neuron * hidden;
    double square = 0;
    for (int64_t h = 0; h < hidden; ++h) square += static_cast<double>(row[h]) * row[h];
    if (!std::isfinite(square)) {
      throw InputError("neuron ", neuron, " has a weight that is not finite; cannot be grouped");
    }
    if (square == 0) continue;
    const double scale = 1 / std::sqrt(square);
    for (int64_t h = 0; h < hidden; ++h) row[h] = static_cast<float>(row[h] * scale);
  }
  return out;
}

ExpertPlan SplitByKMeans(const SplitRequest& request) {
  const at::Tensor& rows =
      request.ffn.w_gate.defined() ? request.ffn.w_gate : request.ffn.w_in;  // [neurons, hidden]
  KMeansOptions options;
  options.num_clusters = request.num_experts;
  options.seed = request.seed;
  options.restarts = request.restarts;
  const KMeansResult result = BalancedKMeans(NormalizedRows(rows), rows.size(1), options);
  return ExpertPlan::FromAssignment(result.cluster_of, request.num_experts);
}

ExpertPlan SplitAtRandom(const SplitRequest& request) {
  const int64_t n = request.ffn.num_neurons();
  std::vector<int64_t> expert_of(n);
  for (int64_t i = 0; i < n; ++i) expert_of[i] = i % request.num_experts;
  // Not std::shuffle, whose result differs between standard libraries. The modulo's bias is under
  // n / 2^64.
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
       "neurons whose normalised input weights (gate weights if gated) are alike, by balanced "
       "k-means; seconds per FFN",
       &SplitByKMeans},
      {"random", "a random partition, the control; milliseconds", &SplitAtRandom},
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

}  // namespace moefy::split
