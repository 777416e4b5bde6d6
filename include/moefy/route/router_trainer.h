// Trains the paper's MLP router of one FFN on recorded inputs, and measures any router.
// Source: MoEfication (arXiv 2110.01786), section 3.2; where this departs from the reference code
// is said in docs/decisions/.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "moefy/base/json.h"
#include "moefy/base/progress.h"
#include "moefy/record/activation_dump.h"
#include "moefy/route/router.h"
#include "moefy/split/moe_checkpoint.h"

namespace moefy::route {

struct TrainOptions {
  int64_t epochs = 30;
  int64_t batch_size = 512;
  double learning_rate = 0.01;
  double held_out = 0.1;
  double metric_ratio = 0.2;  // held-out mass and recall are of this share of the experts
  uint64_t seed = 0;
  int64_t max_tokens = 65536;  // of a larger dump, so many rows spread evenly over it are used
};

// How well a router chooses, on held-out tokens, at one ratio. Both are 1 when nothing fires.
struct RouterQuality {
  double mass = 0;    // activation mass caught / all of it
  double recall = 0;  // of the firing experts that the oracle chose, those chosen here too
  int64_t tokens = 0;
};

// x [tokens, hidden]. The mass and recall of choosing NumSelected(ratio, num_experts) experts.
RouterQuality MeasureRouter(Router& router, const model::FfnWeights& ffn, int64_t num_experts,
                            const at::Tensor& x, double ratio);

struct TrainedRouter {
  std::unique_ptr<MlpRouter> router;
  RouterQuality mlp, similarity, random, oracle;  // held-out
  int64_t best_epoch = 0;                         // by held-out mass; 0 is the untrained start
  int64_t dump_tokens = 0;   // what the dump holds; more than max_tokens are subsampled
  int64_t train_tokens = 0;  // what was trained on; mlp.tokens were held out
  double seconds = 0;
};

// `ffn` is permuted as its plan says. Deterministic in options.seed. Held-out tokens are runs of
// neighbours spread evenly over the dump, so that they come from other texts mostly.
// Error{kInput} when the dump has no token for the FFN, another width, or values not finite.
TrainedRouter TrainMlpRouter(const model::FfnWeights& ffn, int64_t num_experts,
                             const record::ActivationDump& dump, size_t dump_ffn_idx,
                             const TrainOptions& options);

// Throws Error{kInput} with both fingerprints and every FFN that disagrees when `dump` was not
// recorded from the model that `moe` was split from. A dump without a fingerprint passes on names
// and sizes.
void CheckDumpMatches(const split::MoeCheckpoint& moe, const record::ActivationDump& dump);

// Adds the routers to a copy of the split checkpoint in `directory` (exists, empty): weights
// hard-linked or copied, moefy.safetensors and moefy.json rewritten with `report`.
void WriteRouters(const split::MoeCheckpoint& moe, const std::vector<TrainedRouter>& routers,
                  const Json& train_options, const std::filesystem::path& directory);

// The stored router of one FFN. Error{kUsage} telling to run route-train when there is none.
std::unique_ptr<MlpRouter> ReadMlpRouter(const split::MoeCheckpoint& moe, size_t ffn_idx);
bool HasRouters(const split::MoeCheckpoint& moe);

}  // namespace moefy::route
