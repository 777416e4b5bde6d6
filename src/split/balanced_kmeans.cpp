#include "split/balanced_kmeans.h"

#include <ATen/ATen.h>
#include <ATen/Parallel.h>

#include <Eigen/Core>
#include <algorithm>
#include <cmath>
#include <limits>
#include <new>
#include <numeric>
#include <queue>
#include <random>

#include "moefy/base/error.h"
#include "moefy/base/progress.h"

namespace moefy::split {
namespace {

using Matrix = Eigen::Matrix<float, Eigen::Dynamic, Eigen::Dynamic, Eigen::RowMajor>;

struct InnerProducts {
  Matrix of;                 // [n, n]
  std::vector<float> least;  // [n], of each row
};

// Rounds each row to whole numbers so small that F32 adds up their products exactly: then neither
// the BLAS nor its threads nor the CPU can change the result. 127 steps to the row's largest entry
// are left for long rows, more for short ones.
InnerProducts MultiplyAll(std::span<const float> points, int64_t dim) {
  constexpr int64_t kRows = 1024, kDepth = 1024;
  const int64_t n = static_cast<int64_t>(points.size()) / dim;
  const int64_t depth = std::min(dim, kDepth);
  const double steps = std::floor(std::sqrt(0x1p24 / static_cast<double>(depth))) - 1;
  const at::Tensor given = at::from_blob(const_cast<float*>(points.data()), {n, dim}, at::kFloat);
  const at::Tensor unit = given.abs().amax(1, true).clamp_min_(1e-30) / steps;  // [n, 1]
  const at::Tensor x = (given / unit).round_();
  InnerProducts products{Matrix(n, n), std::vector<float>(n)};
  const at::Tensor all = at::from_blob(products.of.data(), {n, n}, at::kFloat);
  for (int64_t row = 0; row < n; row += kRows) {  // on or below the diagonal, then mirrored
    const int64_t end = std::min(n, row + kRows);
    const at::Tensor block = all.slice(0, row, end).slice(1, 0, end).zero_();
    for (int64_t begin = 0; begin < dim; begin += depth) {
      ThrowIfInterrupted();
      const at::Tensor part = x.slice(1, begin, std::min(begin + depth, dim));
      block.add_(at::mm(part.slice(0, row, end), part.slice(0, 0, end).t()));
    }
    block.mul_(unit.slice(0, row, end)).mul_(unit.slice(0, 0, end).t());
    all.slice(0, 0, row).slice(1, row, end).copy_(block.slice(1, 0, row).t());
  }
  at::parallel_for(0, n, 64, [&](int64_t begin, int64_t end) {
    for (int64_t i = begin; i < end; ++i) products.least[i] = products.of.row(i).minCoeff();
  });
  return products;
}

// One start: k-means++ seeds, a greedy balanced assignment, then exchanges of two points until none
// helps. With sizes fixed, inertia = const - sum_c |S_c|^2 / size, where S_c is the sum of the
// points of c; everything needed is in the inner products.
class Start {
 public:
  Start(const InnerProducts& products, int64_t num_clusters, uint64_t seed)
      : products_(products.of),
        least_(products.least),
        n_(products.of.rows()),
        k_(num_clusters),
        size_(n_ / num_clusters),
        // This is well above the rounding of the sums, so that no exchange is undone for nothing.
        least_gain_(1e-5f * static_cast<float>(size_) * products.of.diagonal().mean()),
        members_(k_),
        sums_(Matrix::Zero(k_, n_)),
        random_(seed),
        changed_(k_, 0),
        checked_(k_ * k_, -1) {}

  KMeansResult Run(int64_t max_sweeps) {
    AssignGreedily(Seeds());
    KMeansResult result;
    while (!result.converged && result.sweeps < max_sweeps) {
      ++result.sweeps;
      result.converged = Sweep() == 0;
    }
    result.cluster_of = NumberByFirstPoint();
    return result;
  }

 private:
  // Gives a number in [0, 1) that is the same on every platform, which the standard's distributions
  // do not.
  double Uniform() { return static_cast<double>(random_() >> 11) * 0x1p-53; }

  // k-means++: each next seed with probability proportional to its squared distance from the
  // nearest seed so far.
  std::vector<int64_t> Seeds() {
    std::vector<int64_t> seeds = {static_cast<int64_t>(Uniform() * static_cast<double>(n_))};
    std::vector<double> distance(n_, std::numeric_limits<double>::infinity());
    std::vector<char> taken(n_, 0);
    taken[seeds[0]] = 1;
    while (static_cast<int64_t>(seeds.size()) < k_) {
      ThrowIfInterrupted();
      const int64_t last = seeds.back();
      double total = 0;
      for (int64_t i = 0; i < n_; ++i) {
        const double d = products_(i, i) + products_(last, last) - 2 * products_(last, i);
        distance[i] = taken[i] ? 0 : std::min(distance[i], std::max(d, 1e-12));
        total += distance[i];
      }
      double left = Uniform() * total;
      int64_t next = -1;
      for (int64_t i = 0; i < n_ && (next < 0 || left >= 0); ++i) {
        if (taken[i]) continue;
        next = i;
        left -= distance[i];
      }
      taken[next] = 1;
      seeds.push_back(next);
    }
    return seeds;
  }

  // The point that would lose most by getting its second choice chooses first.
  void AssignGreedily(const std::vector<int64_t>& seeds) {
    struct Claim {
      float regret;
      int64_t point, cluster;
      bool operator<(const Claim& other) const {
        return regret != other.regret ? regret < other.regret : point > other.point;
      }
    };
    const auto claim_of = [&](int64_t point) {
      constexpr float kNone = -std::numeric_limits<float>::infinity();
      float best = kNone, second = kNone;
      int64_t cluster = -1;
      for (int64_t c = 0; c < k_; ++c) {
        if (static_cast<int64_t>(members_[c].size()) == size_) continue;
        const float score = products_(point, seeds[c]) - 0.5f * products_(seeds[c], seeds[c]);
        if (cluster < 0 || score > best) {
          second = best;
          best = score;
          cluster = c;
        } else {
          second = std::max(second, score);
        }
      }
      return Claim{second == kNone ? 0.0f : best - second, point, cluster};
    };
    std::priority_queue<Claim> claims;
    for (int64_t i = 0; i < n_; ++i) claims.push(claim_of(i));
    while (!claims.empty()) {
      const Claim claim = claims.top();
      claims.pop();
      if (static_cast<int64_t>(members_[claim.cluster].size()) == size_) {
        claims.push(claim_of(claim.point));
        continue;
      }
      members_[claim.cluster].push_back(claim.point);
    }
    for (int64_t c = 0; c < k_; ++c) {
      for (int64_t i : members_[c]) sums_.row(c) += products_.row(i);
    }
  }

  // Looks at every pair of clusters that changed since it was last looked at, and exchanges points
  // while that helps. Returns the number of exchanges.
  int64_t Sweep() {
    int64_t num_exchanges = 0;
    for (int64_t a = 0; a < k_; ++a) {
      ThrowIfInterrupted();
      for (int64_t b = a + 1; b < k_; ++b) {
        int64_t& checked = checked_[a * k_ + b];
        while (checked < std::max(changed_[a], changed_[b])) {
          if (ExchangeBest(a, b)) {
            ++num_exchanges;
          } else {
            checked = clock_;
          }
        }
      }
    }
    return num_exchanges;
  }

  // Exchanging i of a with j of b lowers size * inertia by 2 (p_i + q_j - 2 x_i.x_j) where
  // p_i = x_i.(S_b - S_a) + |x_i|^2 and q_j = x_j.(S_a - S_b) + |x_j|^2.
  bool ExchangeBest(int64_t a, int64_t b) {
    const float* sum_a = sums_.row(a).data();
    const float* sum_b = sums_.row(b).data();
    p_.resize(size_);
    q_.resize(size_);
    float best_q = -std::numeric_limits<float>::infinity();
    for (int64_t s = 0; s < size_; ++s) {
      const int64_t i = members_[a][s], j = members_[b][s];
      p_[s] = sum_b[i] - sum_a[i] + products_(i, i);
      q_[s] = sum_a[j] - sum_b[j] + products_(j, j);
      best_q = std::max(best_q, q_[s]);
    }
    float best = least_gain_;
    int64_t best_s = -1, best_t = -1;
    for (int64_t s = 0; s < size_; ++s) {
      const int64_t i = members_[a][s];
      // Bounds from the rows' least products spare nearly all reads of single products, each of
      // which misses the caches when there are many points.
      if (p_[s] + best_q - 2 * least_[i] <= best) continue;
      const float* row = products_.row(i).data();
      for (int64_t t = 0; t < size_; ++t) {
        const int64_t j = members_[b][t];
        if (p_[s] + q_[t] - 2 * std::max(least_[i], least_[j]) <= best) continue;
        const float gain = p_[s] + q_[t] - 2 * row[j];
        if (gain > best) {
          best = gain;
          best_s = s;
          best_t = t;
        }
      }
    }
    if (best_s < 0) return false;
    const int64_t i = members_[a][best_s], j = members_[b][best_t];
    std::swap(members_[a][best_s], members_[b][best_t]);
    const auto difference = products_.row(j) - products_.row(i);
    sums_.row(a) += difference;
    sums_.row(b) -= difference;
    changed_[a] = changed_[b] = ++clock_;
    return true;
  }

  std::vector<int64_t> NumberByFirstPoint() const {
    std::vector<int64_t> first(k_), clusters(k_), cluster_of(n_);
    for (int64_t c = 0; c < k_; ++c) first[c] = *std::ranges::min_element(members_[c]);
    std::iota(clusters.begin(), clusters.end(), 0);
    std::ranges::sort(clusters, {}, [&](int64_t c) { return first[c]; });
    for (int64_t number = 0; number < k_; ++number) {
      for (int64_t i : members_[clusters[number]]) cluster_of[i] = number;
    }
    return cluster_of;
  }

  const Matrix& products_;
  const std::vector<float>& least_;
  const int64_t n_, k_, size_;
  const float least_gain_;
  std::vector<std::vector<int64_t>> members_;
  Matrix sums_;  // [clusters, n]: x_i . S_c
  std::mt19937_64 random_;
  int64_t clock_ = 0;             // exchanges so far
  std::vector<int64_t> changed_;  // per cluster: clock of its last exchange
  std::vector<int64_t> checked_;  // per pair: clock when nothing was found
  std::vector<float> p_, q_;
};

// Of the points as they were given.
double Inertia(std::span<const float> points, int64_t dim, const std::vector<int64_t>& cluster_of,
               int64_t num_clusters) {
  std::vector<double> sums(static_cast<size_t>(num_clusters * dim), 0.0);
  double inertia = 0;
  for (size_t i = 0; i < cluster_of.size(); ++i) {
    const float* point = points.data() + static_cast<int64_t>(i) * dim;
    double* sum = sums.data() + cluster_of[i] * dim;
    for (int64_t d = 0; d < dim; ++d) {
      inertia += static_cast<double>(point[d]) * point[d];
      sum[d] += point[d];
    }
  }
  const double size = static_cast<double>(cluster_of.size()) / static_cast<double>(num_clusters);
  for (const double sum : sums) inertia -= sum * sum / size;
  return inertia;
}

}  // namespace

KMeansResult BalancedKMeans(std::span<const float> points, int64_t dim,
                            const KMeansOptions& options) {
  const int64_t n = static_cast<int64_t>(points.size()) / dim;
  MOEFY_CHECK(dim > 0 && options.num_clusters > 0 && n % options.num_clusters == 0);
  MOEFY_CHECK(options.restarts > 0);
  if (options.num_clusters == n) {  // a cluster for each point: there is nothing to look for
    KMeansResult each{.cluster_of = std::vector<int64_t>(n), .converged = true};
    std::iota(each.cluster_of.begin(), each.cluster_of.end(), 0);
    return each;
  }
  const InnerProducts products = [&] {
    try {
      return MultiplyAll(points, dim);
    } catch (const std::bad_alloc&) {
      throw SystemError(0, "k-means of ", n, " neurons needs ",
                        FormatBytes(4 * static_cast<uint64_t>(n) * static_cast<uint64_t>(n)),
                        " of memory");
    }
  }();
  std::vector<KMeansResult> results(options.restarts);
  at::parallel_for(0, options.restarts, 1, [&](int64_t begin, int64_t end) {
    for (int64_t r = begin; r < end; ++r) {
      // Seeds of neighbouring restarts and of neighbouring user seeds must not coincide.
      const uint64_t seed = options.seed * 0x9e3779b97f4a7c15u + static_cast<uint64_t>(r);
      results[r] = Start(products, options.num_clusters, seed).Run(options.max_sweeps);
      results[r].inertia = Inertia(points, dim, results[r].cluster_of, options.num_clusters);
    }
  });
  return *std::min_element(results.begin(), results.end(),
                           [](const auto& a, const auto& b) { return a.inertia < b.inertia; });
}

}  // namespace moefy::split
