// Groups neurons that fire together by graph partitioning (MoEfication, section 3.2).
#include <metis.h>

#include <Eigen/Core>
#include <algorithm>
#include <limits>
#include <numeric>

#include "model/contribution.h"
#include "moefy/base/error.h"
#include "moefy/base/progress.h"
#include "split/methods.h"

namespace moefy::split {
namespace {

using Matrix = Eigen::Matrix<float, Eigen::Dynamic, Eigen::Dynamic, Eigen::RowMajor>;

// counts[i, j]: on how many tokens i and j both fire; 0 where i = j. F32 holds them exactly.
at::Tensor CountTogether(const SplitRequest& request) {
  constexpr int64_t kTokens = 16384;
  const int64_t n = request.ffn.num_neurons();
  at::Tensor counts = at::zeros({n, n});
  request.inputs->Visit(kTokens, [&](const at::Tensor& x) {
    const at::Tensor fires = model::UseNeurons(request.ffn, x).fires.to(at::kFloat);
    counts.addmm_(fires.t(), fires);
  });
  counts.fill_diagonal_(0);
  return counts;
}

// METIS's k-way partition, whose parts are only nearly equal.
std::vector<int64_t> Partition(const Eigen::Map<const Matrix>& counts, int64_t num_parts,
                               uint64_t seed) {
  const int64_t n = counts.rows();
  // METIS sums weights in 32 bits.
  const double total = counts.cast<double>().sum();
  const float scale = static_cast<float>(std::min(1.0, 0x1p30 / std::max(total, 1.0)));
  std::vector<idx_t> first = {0}, to, weight;
  for (int64_t i = 0; i < n; ++i) {
    for (int64_t j = 0; j < n; ++j) {
      const auto w = static_cast<idx_t>(counts(i, j) * scale);
      if (w == 0) continue;
      to.push_back(static_cast<idx_t>(j));
      weight.push_back(w);
    }
    first.push_back(static_cast<idx_t>(to.size()));
  }
  std::vector<idx_t> part(n);
  if (to.empty()) {  // nothing fires together, so any partition is as good
    for (int64_t i = 0; i < n; ++i) part[i] = static_cast<idx_t>(i % num_parts);
    return {part.begin(), part.end()};
  }
  idx_t options[METIS_NOPTIONS];
  METIS_SetDefaultOptions(options);
  options[METIS_OPTION_SEED] = static_cast<idx_t>(seed % 0x7fffffff);
  options[METIS_OPTION_UFACTOR] = 1;
  idx_t num_vertices = static_cast<idx_t>(n), num_constraints = 1, cut = 0;
  idx_t k = static_cast<idx_t>(num_parts);
  const int status =
      METIS_PartGraphKway(&num_vertices, &num_constraints, first.data(), to.data(), nullptr,
                          nullptr, weight.data(), &k, nullptr, nullptr, options, &cut, part.data());
  if (status == METIS_ERROR_MEMORY) throw SystemError(0, "METIS ran out of memory");
  MOEFY_CHECK(status == METIS_OK);
  return {part.begin(), part.end()};
}

// Moves neurons from parts that are too large to parts that are too small. Each time it takes the
// neuron that loses least of its weight to its own part.
void Balance(const Eigen::Map<const Matrix>& counts, int64_t num_parts,
             std::vector<int64_t>& part_of) {
  const int64_t n = counts.rows(), size = n / num_parts;
  std::vector<int64_t> sizes(num_parts, 0);
  Matrix weight_to = Matrix::Zero(num_parts, n);  // [part, neuron]
  for (int64_t i = 0; i < n; ++i) {
    ++sizes[part_of[i]];
    weight_to.row(part_of[i]) += counts.row(i);
  }
  while (std::ranges::any_of(sizes, [&](int64_t s) { return s > size; })) {
    ThrowIfInterrupted();
    float least = std::numeric_limits<float>::infinity();
    int64_t neuron = -1, target = -1;
    for (int64_t to = 0; to < num_parts; ++to) {
      if (sizes[to] >= size) continue;
      for (int64_t i = 0; i < n; ++i) {
        if (sizes[part_of[i]] <= size) continue;
        const float loss = weight_to(part_of[i], i) - weight_to(to, i);
        if (loss < least || neuron < 0) {
          least = loss;
          neuron = i;
          target = to;
        }
      }
    }
    weight_to.row(part_of[neuron]) -= counts.row(neuron);
    weight_to.row(target) += counts.row(neuron);
    --sizes[part_of[neuron]];
    ++sizes[target];
    part_of[neuron] = target;
  }
}

}  // namespace

ExpertPlan SplitByCoactivation(const SplitRequest& request) {
  const int64_t n = request.ffn.num_neurons();
  if (request.num_experts == 1 || request.num_experts == n) {  // only one partition
    std::vector<int64_t> order(n);
    std::iota(order.begin(), order.end(), 0);
    return {order, request.num_experts};
  }
  const at::Tensor together = CountTogether(request);
  const Eigen::Map<const Matrix> counts(together.data_ptr<float>(), n, n);
  std::vector<int64_t> part_of = Partition(counts, request.num_experts, request.seed);
  Balance(counts, request.num_experts, part_of);
  return ExpertPlan::FromAssignment(part_of, request.num_experts);
}

}  // namespace moefy::split
