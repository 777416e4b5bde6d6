// The methods that turn neurons into points and group these by balanced k-means.
#include <cmath>

#include "model/contribution.h"
#include "moefy/base/error.h"
#include "split/balanced_kmeans.h"
#include "split/methods.h"
#include "split/neuron_patterns.h"

namespace moefy::split {
namespace {

// Divides each row that is not zero by its length, then multiplies rows by `lengths` [neurons] if
// given. Computes in scalar double arithmetic, so that every machine groups the same neurons.
std::vector<float> NormalizedRows(const at::Tensor& matrix, const at::Tensor& lengths = {}) {
  const at::Tensor rows = matrix.contiguous();
  const int64_t width = rows.size(1);
  std::vector<float> out(rows.data_ptr<float>(), rows.data_ptr<float>() + rows.numel());
  for (int64_t neuron = 0; neuron < rows.size(0); ++neuron) {
    float* row = out.data() + neuron * width;
    double square = 0;
    for (int64_t i = 0; i < width; ++i) square += static_cast<double>(row[i]) * row[i];
    if (!std::isfinite(square)) {
      throw InputError("neuron ", neuron,
                       " has a weight or an activation that is not finite; cannot be grouped");
    }
    if (square == 0) continue;
    const double length = lengths.defined() ? lengths.data_ptr<double>()[neuron] : 1;
    const double scale = length / std::sqrt(square);
    for (int64_t i = 0; i < width; ++i) row[i] = static_cast<float>(row[i] * scale);
  }
  return out;
}

ExpertPlan Group(const std::vector<float>& points, int64_t width, const SplitRequest& request) {
  KMeansOptions options;
  options.num_clusters = request.num_experts;
  options.seed = request.seed;
  options.restarts = request.restarts;
  return ExpertPlan::FromAssignment(BalancedKMeans(points, width, options).cluster_of,
                                    request.num_experts);
}

// Groups the rows of a matrix as they are.
ExpertPlan GroupRows(const at::Tensor& matrix, const SplitRequest& request) {
  const at::Tensor rows = matrix.contiguous();
  const float* const data = rows.data_ptr<float>();
  return Group({data, data + rows.numel()}, rows.size(1), request);
}

// Patterns are compared on at most so many tokens.
constexpr int64_t kPatternTokens = 8192;

// Each neuron's mean contribution over that of all neurons, F64 [neurons].
at::Tensor MeanContributions(const SplitRequest& request) {
  constexpr int64_t kTokens = 16384;
  at::Tensor sum = at::zeros({request.ffn.num_neurons()}, at::kDouble);
  request.inputs->Visit(kTokens, [&](const at::Tensor& x) {
    sum += model::UseNeurons(request.ffn, x).contributions.sum(0, false, at::kDouble);
  });
  const double mean = sum.mean().item<double>();
  if (!std::isfinite(mean)) throw InputError("an activation is not finite; cannot be grouped");
  return mean > 0 ? sum / mean : at::ones_like(sum);
}

// The rows that --features compares: [neurons, anything].
at::Tensor Rows(const model::FfnWeights& ffn, const std::string& features) {
  const bool gated = ffn.w_gate.defined();
  if (!gated && (features == "gate" || features == "concat")) {
    throw UsageError("features ", Quoted(features),
                     " need a gated FFN, and this model's have no gate; auto takes W_in");
  }
  if (features == "concat") return at::cat({ffn.w_in, ffn.w_gate}, 1);
  return gated && features != "w_in" ? ffn.w_gate : ffn.w_in;
}

}  // namespace

ExpertPlan SplitByKMeans(const SplitRequest& request) {
  const at::Tensor rows = Rows(request.ffn, request.features);
  const at::Tensor lengths =
      request.features == "contribution" ? MeanContributions(request) : at::Tensor();
  return Group(NormalizedRows(rows, lengths), rows.size(1), request);
}

ExpertPlan SplitByKeepPattern(const SplitRequest& request) {
  constexpr int64_t kTokens = 2048;
  std::vector<at::Tensor> pieces = {at::zeros({1, request.ffn.num_neurons()})};  // never empty
  request.inputs->Visit(kTokens, [&](const at::Tensor& x) {
    const at::Tensor contributions = model::UseNeurons(request.ffn, x).contributions;
    // Each token counts alike, however large what enters on it.
    pieces.push_back(contributions / contributions.sum(1, true).clamp_min(1e-30));
  });
  const at::Tensor patterns = at::cat(pieces).t();  // [neurons, tokens]
  return Group(NormalizedRows(patterns), patterns.size(1), request);
}

ExpertPlan SplitByActivationMarks(const SplitRequest& request) {
  model::FfnWeights all = request.ffn;  // shared neurons are among a token's largest as well
  if (request.beside) {
    const auto append = [](at::Tensor& of, const at::Tensor& more) {
      if (of.defined()) of = at::cat({of, more});
    };
    append(all.w_in, request.beside->w_in);
    append(all.b_in, request.beside->b_in);
    append(all.w_gate, request.beside->w_gate);
    append(all.b_gate, request.beside->b_gate);
    append(all.w_out, request.beside->w_out);
  }
  const at::Tensor marks = ActivationMarks(all, *request.inputs, kPatternTokens);
  const int64_t n = request.ffn.num_neurons();
  // A column of zeros changes no distance, and there is one where nothing was recorded.
  return GroupRows(at::cat({marks.narrow(0, 0, n), at::zeros({n, 1})}, 1), request);
}

ExpertPlan SplitByGateProfile(const SplitRequest& request) {
  return GroupRows(GateProfiles(request.ffn, *request.inputs, kPatternTokens), request);
}

}  // namespace moefy::split
