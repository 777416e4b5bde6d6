// Split checkpoints with routers, made from the committed pico models.
#pragma once

#include <ATen/ATen.h>

#include <filesystem>
#include <string>
#include <utility>
#include <vector>

#include "route/router_reader.h"
#include "route/router_store.h"
#include "route/router_trainer.h"
#include "split/moe_checkpoint.h"
#include "support/split_fixtures.h"
#include "support/temp_dir.h"
#include "support/write_dump.h"

namespace moefy::tests {

inline std::vector<route::StoredRouter> Stored(const std::vector<route::TrainedRouter>& routers) {
  std::vector<route::StoredRouter> stored;
  for (const route::TrainedRouter& trained : routers) stored.push_back(route::ToStore(trained));
  return stored;
}

// `dense` split by k-means, with routers trained on random inputs; all of it in `dir`, which must
// outlive what is returned.
inline split::MoeCheckpoint SplitAndRoute(const std::filesystem::path& dense, const TempDir& dir,
                                          int64_t num_experts,
                                          const route::RouterTrainOptions& options,
                                          int64_t num_shared = 0) {
  SplitInto(dense, dir / "split", num_experts, "kmeans", 1, num_shared);
  const split::MoeCheckpoint moe = split::MoeCheckpoint::Open(dir / "split");
  std::vector<std::pair<std::string, at::Tensor>> inputs;
  at::manual_seed(4);
  for (const split::MoeFfn& ffn : moe.ffns()) {
    inputs.emplace_back(ffn.spec.name, at::randn({200, ffn.spec.hidden}));
  }
  const auto dump = WriteDump(dir / "dump", inputs, moe.source_fingerprint());
  std::vector<route::TrainedRouter> routers;
  for (const split::MoeFfn& ffn : moe.ffns()) {
    routers.push_back(route::TrainRouter(model::ReadFfnWeights(moe.weights(), ffn.spec),
                                         num_experts, dump, dump.GetFfn(ffn.spec.name), options,
                                         num_shared));
  }
  route::WriteRouters(moe, Stored(routers), options, "random", dir.Make("moe"));
  return split::MoeCheckpoint::Open(dir / "moe");
}

}  // namespace moefy::tests
