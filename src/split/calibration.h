// What changed weights of a split checkpoint after the split, so that it is no permutation of its
// dense source any more: the entries of "calibration" in moefy.json. Values, thread-safe.
#pragma once

#include <string>
#include <vector>

#include "base/json.h"
#include "split/moe_checkpoint.h"

namespace moefy::split {

struct Calibration {
  std::string kind;                  // "output-fit" (route-train) or "gradient" (calibrate)
  std::vector<double> ffn_ratios;    // shares of the FFNs' work at which it was made
  std::string selection, task;       // of "gradient"; else ""
  std::vector<std::string> tensors;  // names of the tensors that it changed
};

// All entries, oldest first. Throws Error{kInput} for entries that are not as they should be.
std::vector<Calibration> ReadCalibrations(const MoeCheckpoint& moe);

// Whether there is an entry: W_out is not the source's any more.
bool IsCalibrated(const MoeCheckpoint& moe);

// Adds an entry behind those that are in the manifest.
void AddCalibration(const Calibration& calibration, Json& manifest);

}  // namespace moefy::split
