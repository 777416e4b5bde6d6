// Routers, thresholds, error curves, compensation and calibration in a split checkpoint.
// Format: docs/formats.md. Thread-safety: reading is thread-safe.
#pragma once

#include <filesystem>
#include <memory>
#include <string>
#include <vector>

#include "moefy/base/json.h"
#include "record/activation_dump.h"
#include "route/learned_routers.h"
#include "route/router_trainer.h"
#include "route/selection.h"
#include "split/moe_checkpoint.h"

namespace moefy::route {

// Throws Error{kInput} with both fingerprints and every FFN that disagrees when `dump` was not
// recorded from the model that `moe` was split from. A dump without a fingerprint passes on names
// and sizes.
void CheckDumpMatches(const split::MoeCheckpoint& moe, const record::ActivationDump& dump);

// Adds the routers to a copy of the split checkpoint in `directory` (exists, empty): weights
// hard-linked or copied (rewritten where a W_out was calibrated), moefy.safetensors and moefy.json
// rewritten with what was measured. `options` are kept in moefy.json beside the dump's corpus.
void WriteRouters(const split::MoeCheckpoint& moe, const std::vector<TrainedRouter>& routers,
                  const RouterTrainOptions& options, const std::string& corpus,
                  const std::filesystem::path& directory);

// The kind of the stored routers; "" when there are none.
std::string StoredRouterKind(const split::MoeCheckpoint& moe);
bool HasRouters(const split::MoeCheckpoint& moe);

// True when W_out is not the source's any more (moefy.json, "calibration").
bool IsCalibrated(const split::MoeCheckpoint& moe);

// What is stored for one FFN. All throw Error{kUsage} telling to run route-train when there are no
// routers, or none of that version; Error{kInput} for tensors that are not as they should be.
std::unique_ptr<Router> ReadRouter(const split::MoeCheckpoint& moe, size_t ffn_idx,
                                   at::Device device = at::kCPU);
std::unique_ptr<MlpRouter> ReadMlpRouter(const split::MoeCheckpoint& moe, size_t ffn_idx);
at::Tensor ReadThresholds(const split::MoeCheckpoint& moe, size_t ffn_idx);  // [101]
NeuronThresholds ReadNeuronThresholds(const split::MoeCheckpoint& moe, size_t ffn_idx);
at::Tensor ReadCompensation(const split::MoeCheckpoint& moe, size_t ffn_idx);  // or undefined
Correction ReadCorrection(const split::MoeCheckpoint& moe, size_t ffn_idx);    // or undefined

// Per FFN, with the stored routers: of the running experts' neurons those that go through W_out. 1
// where that was not looked for.
std::vector<double> ReadNeuronShares(const split::MoeCheckpoint& moe);

// Work per FFN and token under the budget policy, in whole experts.
std::vector<int64_t> ReadBudget(const split::MoeCheckpoint& moe, double ffn_ratio);

// True when the stored routers come with what the selection's policy and share need to know.
bool HasPolicy(const split::MoeCheckpoint& moe, const Selection& selection);

}  // namespace moefy::route
