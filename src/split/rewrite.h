// Writes a split checkpoint, proves it, and undoes it.
#pragma once

#include <filesystem>
#include <string>
#include <vector>

#include "moefy/base/json.h"
#include "moefy/base/progress.h"
#include "moefy/io/checkpoint.h"
#include "moefy/model/ffn_spec.h"
#include "moefy/split/verify_report.h"
#include "split/moe_checkpoint.h"

namespace moefy::split {

// All functions throw Error{kSystem} when the disk is full or a file cannot be read. Those that
// take a Progress advance it by the dense checkpoint's bytes; the caller begins and ends the step.

// How the FFNs of a dense checkpoint were found.
enum class FfnSource {
  kFamily,  // by the family that config.json names
  kNamed,   // by FindNamedFfns; config.json may be of any model, or absent
};

// Into `directory` (exists, empty): config.json with the one added key, permuted weights, the
// tokenizer and other small files copied, moefy.safetensors, moefy.json. `split_options` is kept
// in moefy.json as given (method, seed, ...). The same arguments give the same bytes.
// Throws Error{kUsage} when `dense` is split already.
void WriteMoeCheckpoint(const io::Checkpoint& dense, const std::string& dense_fingerprint,
                        const std::vector<MoeFfn>& ffns, const Json& split_options,
                        const std::filesystem::path& directory,
                        Progress& progress = SilentProgress(),
                        FfnSource source = FfnSource::kFamily);

// Compares every tensor's bytes. Throws only if either side cannot be read.
VerifyReport VerifyMoe(const io::Checkpoint& dense, const MoeCheckpoint& moe,
                       Progress& progress = SilentProgress());

// Copies what else lies in a checkpoint's directory and is worth keeping (tokenizer, generation
// config, README): regular files of at most 64 MB that are not hidden, not moefy's own, not
// config.json, and not weights in any format. Returns a warning for each file that is too large.
std::vector<std::string> CopySideFiles(const io::Checkpoint& from,
                                       const std::filesystem::path& directory);

// The dense checkpoint again, bit for bit (as safetensors, whatever it was), into `directory`
// (exists, empty).
void MergeMoe(const MoeCheckpoint& moe, const std::filesystem::path& directory,
              Progress& progress = SilentProgress());

}  // namespace moefy::split
