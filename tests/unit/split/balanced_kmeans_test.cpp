#include "split/balanced_kmeans.h"

#include <ATen/Parallel.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <numeric>
#include <random>

namespace moefy::split {
namespace {

using Points = std::vector<std::vector<double>>;

// Unit vectors around `num_centers` directions; `noise` of 1 drowns the directions.
Points SomePoints(int64_t n, int64_t dim, int64_t num_centers, double noise, uint64_t seed) {
  std::mt19937_64 random(seed);
  std::normal_distribution<double> normal;
  Points centers(num_centers, std::vector<double>(dim)), points;
  for (auto& center : centers) {
    for (double& v : center) v = normal(random);
  }
  for (int64_t i = 0; i < n; ++i) {
    std::vector<double> point = centers[random() % centers.size()];
    for (double& v : point) v = (1 - noise) * v + noise * normal(random);
    const double norm =
        std::sqrt(std::inner_product(point.begin(), point.end(), point.begin(), 0.0));
    for (double& v : point) v /= norm;
    points.push_back(point);
  }
  return points;
}

std::vector<float> Flat(const Points& points) {
  std::vector<float> flat;
  for (const auto& point : points) flat.insert(flat.end(), point.begin(), point.end());
  return flat;
}

double SquaredDistance(const std::vector<double>& a, const std::vector<double>& b) {
  double sum = 0;
  for (size_t i = 0; i < a.size(); ++i) sum += (a[i] - b[i]) * (a[i] - b[i]);
  return sum;
}

Points Means(const Points& points, const std::vector<int64_t>& cluster_of, int64_t k) {
  Points means(k, std::vector<double>(points[0].size(), 0.0));
  std::vector<double> counts(k, 0);
  for (size_t i = 0; i < points.size(); ++i) {
    counts[cluster_of[i]] += 1;
    for (size_t d = 0; d < points[i].size(); ++d) means[cluster_of[i]][d] += points[i][d];
  }
  for (int64_t c = 0; c < k; ++c) {
    for (double& v : means[c]) v /= counts[c];
  }
  return means;
}

double Inertia(const Points& points, const std::vector<int64_t>& cluster_of, int64_t k) {
  const Points means = Means(points, cluster_of, k);
  double sum = 0;
  for (size_t i = 0; i < points.size(); ++i)
    sum += SquaredDistance(points[i], means[cluster_of[i]]);
  return sum;
}

// Hungarian method: the assignment of points to equally many slots of least total cost, exact.
std::vector<int64_t> ExactAssignment(const Points& points, const Points& means) {
  const auto n = static_cast<int64_t>(points.size());
  const int64_t size = n / static_cast<int64_t>(means.size());
  const auto cost = [&](int64_t i, int64_t slot) {
    return SquaredDistance(points[i - 1], means[(slot - 1) / size]);
  };
  std::vector<double> u(n + 1, 0), v(n + 1, 0);
  std::vector<int64_t> owner(n + 1, 0), way(n + 1, 0);
  for (int64_t i = 1; i <= n; ++i) {
    owner[0] = i;
    int64_t slot = 0;
    std::vector<double> least(n + 1, std::numeric_limits<double>::infinity());
    std::vector<char> used(n + 1, 0);
    do {
      used[slot] = 1;
      double delta = std::numeric_limits<double>::infinity();
      int64_t next = 0;
      for (int64_t j = 1; j <= n; ++j) {
        if (used[j]) continue;
        const double reduced = cost(owner[slot], j) - u[owner[slot]] - v[j];
        if (reduced < least[j]) {
          least[j] = reduced;
          way[j] = slot;
        }
        if (least[j] < delta) {
          delta = least[j];
          next = j;
        }
      }
      for (int64_t j = 0; j <= n; ++j) {
        if (used[j]) {
          u[owner[j]] += delta;
          v[j] -= delta;
        } else {
          least[j] -= delta;
        }
      }
      slot = next;
    } while (owner[slot] != 0);
    for (; slot != 0; slot = way[slot]) owner[slot] = owner[way[slot]];
  }
  std::vector<int64_t> cluster_of(n);
  for (int64_t j = 1; j <= n; ++j) cluster_of[owner[j] - 1] = (j - 1) / size;
  return cluster_of;
}

// The textbook method: k-means++ seeds, exact balanced assignment, means, until nothing changes.
double ReferenceInertia(const Points& points, int64_t k, int64_t restarts, uint64_t seed) {
  std::mt19937_64 random(seed);
  double best = std::numeric_limits<double>::infinity();
  for (int64_t r = 0; r < restarts; ++r) {
    Points means = {points[random() % points.size()]};
    while (static_cast<int64_t>(means.size()) < k) {
      std::vector<double> weight;
      for (const auto& point : points) {
        double nearest = std::numeric_limits<double>::infinity();
        for (const auto& mean : means) nearest = std::min(nearest, SquaredDistance(point, mean));
        weight.push_back(nearest);
      }
      means.push_back(
          points[std::discrete_distribution<size_t>(weight.begin(), weight.end())(random)]);
    }
    std::vector<int64_t> cluster_of, last;
    do {
      last = cluster_of;
      cluster_of = ExactAssignment(points, means);
      means = Means(points, cluster_of, k);
    } while (cluster_of != last);
    best = std::min(best, Inertia(points, cluster_of, k));
  }
  return best;
}

KMeansResult Cluster(const Points& points, int64_t k, uint64_t seed, int64_t restarts = 4) {
  KMeansOptions options;
  options.num_clusters = k;
  options.seed = seed;
  options.restarts = restarts;
  return BalancedKMeans(Flat(points), static_cast<int64_t>(points[0].size()), options);
}

struct Case {
  int64_t n, dim, k;
  double noise;
};

class AgainstExact : public ::testing::TestWithParam<Case> {};

TEST_P(AgainstExact, InertiaIsNoWorseThanWithExactAssignment) {
  const auto [n, dim, k, noise] = GetParam();
  double ours = 0, reference = 0;
  for (uint64_t seed = 0; seed < 8; ++seed) {
    const Points points = SomePoints(n, dim, k, noise, seed);
    const KMeansResult result = Cluster(points, k, seed);
    EXPECT_TRUE(result.converged);
    EXPECT_NEAR(result.inertia, Inertia(points, result.cluster_of, k),
                1e-4 * result.inertia + 1e-5);
    const double exact = ReferenceInertia(points, k, 4, seed);
    EXPECT_LE(result.inertia, exact * 1.03 + 1e-6) << "seed " << seed;  // local optima differ
    ours += result.inertia;
    reference += exact;
  }
  std::printf("%d points, %d clusters, noise %.1f: inertia / exact assignment = %.4f\n",
              static_cast<int>(n), static_cast<int>(k), noise, ours / reference);
  EXPECT_LE(ours, reference * 1.01);
}

INSTANTIATE_TEST_SUITE_P(Sizes, AgainstExact,
                         ::testing::Values(Case{48, 8, 6, 0.3}, Case{48, 8, 6, 0.6},
                                           Case{48, 8, 6, 1.0}, Case{96, 32, 12, 0.5},
                                           Case{96, 32, 12, 1.0}));

TEST(BalancedKMeans, FindsPlantedGroups) {
  const Points points = SomePoints(40, 16, 1, 1.0, 5);  // 40 random directions
  Points groups;
  for (int64_t i = 0; i < 120; ++i) groups.push_back(points[i % 40]);  // each three times
  const KMeansResult result = Cluster(groups, 40, 1);
  EXPECT_NEAR(result.inertia, 0, 1e-3);
  for (int64_t i = 0; i < 120; ++i) EXPECT_EQ(result.cluster_of[i], i % 40);
}

TEST(BalancedKMeans, DoesNotDependOnTheNumberOfThreads) {
  const Points points = SomePoints(600, 300, 20, 0.7, 9);
  const int threads = at::get_num_threads();
  const KMeansResult many = Cluster(points, 30, 2);
  at::set_num_threads(1);
  const KMeansResult one = Cluster(points, 30, 2);
  at::set_num_threads(threads);
  EXPECT_EQ(one.cluster_of, many.cluster_of);
  EXPECT_EQ(one.inertia, many.inertia);
}

TEST(BalancedKMeans, MoreRestartsAreNeverWorse) {
  const Points points = SomePoints(200, 16, 10, 0.6, 4);
  double last = std::numeric_limits<double>::infinity();
  for (int64_t restarts : {1, 2, 4, 8}) {
    const double inertia = Cluster(points, 10, 3, restarts).inertia;
    EXPECT_LE(inertia, last);
    last = inertia;
  }
}

TEST(BalancedKMeans, ExtremeShapes) {
  const Points points = SomePoints(12, 4, 3, 0.5, 7);
  EXPECT_EQ(Cluster(points, 1, 0).cluster_of, std::vector<int64_t>(12, 0));
  std::vector<int64_t> own(12);
  std::iota(own.begin(), own.end(), 0);
  EXPECT_EQ(Cluster(points, 12, 0).cluster_of, own);
  const Points same(12, std::vector<double>{0.0, 0.0});  // nothing to go by
  const KMeansResult result = Cluster(same, 4, 0);
  EXPECT_TRUE(result.converged);
  for (int64_t c = 0; c < 4; ++c) EXPECT_EQ(std::ranges::count(result.cluster_of, c), 3);
}

}  // namespace
}  // namespace moefy::split
