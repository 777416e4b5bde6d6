// Writes a split checkpoint, proves it, and undoes it.
#pragma once

#include <filesystem>
#include <string>
#include <vector>

#include "moefy/base/json.h"
#include "moefy/base/progress.h"
#include "moefy/io/checkpoint.h"
#include "moefy/model/ffn.h"
#include "moefy/split/moe_checkpoint.h"

namespace moefy::split {

// Into `directory` (exists, empty): config.json with the one added key, permuted weights, the
// tokenizer and other small files copied, moefy.safetensors, moefy.json. `split_options` is kept
// in moefy.json as given (method, seed, ...).
void WriteMoeCheckpoint(const io::Checkpoint& dense, const std::string& dense_fingerprint,
                        const std::vector<MoeFfn>& ffns, const Json& split_options,
                        const std::filesystem::path& directory,
                        Progress& progress = SilentProgress());

struct VerifyReport {
  bool ok = false;
  int64_t num_tensors = 0;            // compared
  int64_t num_permuted = 0;           // of which FFN tensors, equal after the inverse permutation
  std::vector<std::string> problems;  // one line each, empty when ok
};

// Compares every tensor's bytes. Throws only if either side cannot be read.
VerifyReport VerifyMoe(const io::Checkpoint& dense, const MoeCheckpoint& moe,
                       Progress& progress = SilentProgress());

// The dense checkpoint again, bit for bit, into `directory` (exists, empty).
void MergeMoe(const MoeCheckpoint& moe, const std::filesystem::path& directory,
              Progress& progress = SilentProgress());

}  // namespace moefy::split
