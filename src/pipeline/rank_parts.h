// Parts that the ranks of an MPI run find together. Rank 0 announces the stage to those that serve;
// they come here by running the same stage with the options that it gives. For the main thread.
#pragma once

#include <functional>

#include "base/claims.h"
#include "moefy/base/progress.h"
#include "pipeline/parts_directory.h"

namespace moefy::pipeline {

class RankParts {
 public:
  // Throws as PartsDirectory, which lies beside the stage's output where nobody asked for parts.
  explicit RankParts(const PartsRequest& request);

  const PartsDirectory& directory() const { return directory_; }
  // Calls find(i), which stores part i, for the parts that are missing and no other rank has
  // claimed, and waits for the others. Where not all parts may be wanted, `enough` is told the
  // values of each in their order, and says whether no more are. Returns, on rank 0, how many parts
  // there are from the first on; 0 elsewhere. Advances `progress` by one a part.
  size_t Find(const std::function<void(size_t)>& find,
              const std::function<bool(const Json& values)>& enough, Progress& progress);
  // Rank 0, once it has read the parts: removes what nobody asked to keep.
  void End() const;

 private:
  // Whether the parts before `i` are there and enough.
  bool EnoughBefore(size_t i, const std::function<bool(const Json& values)>& enough);

  size_t num_parts_;
  bool own_;  // nobody asked to keep them
  PartsDirectory directory_;
  Claims claims_;
  size_t num_told_ = 0;
  bool enough_ = false;
};

}  // namespace moefy::pipeline
