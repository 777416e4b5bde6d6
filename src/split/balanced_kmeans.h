// Balanced k-means: groups points into clusters of exactly equal size with low inertia.
// Method and measurements: docs/decisions/0003-balanced-kmeans.md. Needs 4 n^2 bytes for n points.
// Pure function, thread-safe; the result depends on neither the number of threads nor the CPU.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

namespace moefy::split {

struct KMeansOptions {
  int64_t num_clusters = 1;  // divides the number of points
  uint64_t seed = 0;
  int64_t restarts = 4;      // the best of this many starts is kept
  int64_t max_sweeps = 100;  // over all pairs of clusters; it usually converges in under 30
};

struct KMeansResult {
  std::vector<int64_t> cluster_of;  // clusters are numbered by their first point
  double inertia = 0;               // sum of squared distances to the cluster means
  int64_t sweeps = 0;               // of the start that was kept
  bool converged = false;           // no exchange of two points lowers the inertia any more
};

// `points` [n, dim], row-major. Throws Error{kInterrupted}, and Error{kSystem} without memory.
KMeansResult BalancedKMeans(std::span<const float> points, int64_t dim,
                            const KMeansOptions& options);

}  // namespace moefy::split
