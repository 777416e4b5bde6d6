// Writes routers, thresholds, error curves, compensation and fitted W_outs into a split checkpoint;
// route/router_reader.h reads them. Format: docs/formats.md.
#pragma once

#include <filesystem>
#include <string>
#include <vector>

#include "moefy/model/tensor_io.h"
#include "record/activation_dump.h"
#include "route/router_trainer.h"
#include "split/moe_checkpoint.h"

namespace moefy::route {

// Throws Error{kInput} with both fingerprints and every FFN that disagrees when `dump` was not
// recorded from the model that `moe` was split from. A dump without a fingerprint passes on names
// and sizes.
void CheckDumpMatches(const split::MoeCheckpoint& moe, const record::ActivationDump& dump);

// What is kept of a trained router.
struct StoredRouter {
  model::TensorMap tensors;  // by the names of route/router_format.h, without the FFN's
  at::Tensor w_out;          // [neurons, hidden] where it was fitted, else undefined
  RouterReport report;
};
StoredRouter ToStore(const TrainedRouter& trained);

// Writes the split checkpoint again, with the routers and what was measured of them, into
// `directory`, which exists and is empty (split/moe_writer.h). moefy.json keeps `options` and the
// dump's corpus. Returns warnings about files that it left out.
std::vector<std::string> WriteRouters(const split::MoeCheckpoint& moe,
                                      const std::vector<StoredRouter>& routers,
                                      const RouterTrainOptions& options, const std::string& corpus,
                                      const std::filesystem::path& directory);

}  // namespace moefy::route
