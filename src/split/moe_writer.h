// Writes split checkpoints: of a dense checkpoint, and of a split one with something new in it.
// Format: docs/formats.md, "Split checkpoint". The same arguments give the same bytes.
#pragma once

#include <filesystem>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "base/json.h"
#include "moefy/base/progress.h"
#include "moefy/io/checkpoint.h"
#include "moefy/model/tensor_io.h"
#include "split/calibration.h"
#include "split/moe_checkpoint.h"

namespace moefy::split {

// All write into `directory`, which exists and is empty, and return warnings about files that they
// left out. They throw Error{kSystem} when the disk is full or a file cannot be read.

// Writes the split checkpoint of a dense one while its plans are still being found: on a thread of
// its own, first what no plan reorders, then each FFN's weights. One owner; the dense checkpoint
// must outlive it.
class MoeWriter {
 public:
  // Begins to write. Throws what ReorderedTensors() throws.
  MoeWriter(const io::Checkpoint& dense, const std::vector<model::FfnSpec>& ffns,
            std::filesystem::path directory);
  ~MoeWriter();

  // Hands over the plan of an FFN, each once and in any order. Throws what the thread threw.
  void Add(size_t ffn_idx, ExpertPlan plan);

  // Waits for the weights, and writes the rest: config.json with the one added key, copies of the
  // tokenizer and other small files, moefy.safetensors and moefy.json. `family` is the dense
  // model's, or kNamedFamily. moefy.json keeps `split_options` as given (method, seed, ...) and the
  // warnings. Advances `progress` by the dense checkpoint's bytes; the caller begins and ends the
  // step.
  std::vector<std::string> Finish(const std::string& family, const std::vector<MoeFfn>& ffns,
                                  const Json& split_options, Progress& progress);

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

// The same at once, where all plans are there.
std::vector<std::string> WriteMoeCheckpoint(const io::Checkpoint& dense, const std::string& family,
                                            const std::vector<MoeFfn>& ffns,
                                            const Json& split_options,
                                            const std::filesystem::path& directory,
                                            Progress& progress = SilentProgress());

// What a split checkpoint gets when it is written again.
struct MoeChanges {
  // F32 tensors that take the place of weights of these names, in the same shapes. When there are
  // none, the weight files are hard links to those of the source where the file system has links.
  model::TensorMap weights;
  std::optional<Calibration> calibration;  // how `weights` were found; entered in moefy.json
  // Routers: what moefy.json says of them, and their F32 tensors for moefy.safetensors. They take
  // the place of all routers that are there; without a value those stay.
  struct Routers {
    Json manifest;
    model::TensorMap tensors;
  };
  std::optional<Routers> routers;
};

// Writes a split checkpoint again with these changes.
std::vector<std::string> WriteChangedMoe(const MoeCheckpoint& moe, const MoeChanges& changes,
                                         const std::filesystem::path& directory);

// Gives a split checkpoint's weight files, and their index, a second name in `directory` where the
// file system has hard links, and copies them elsewhere.
void LinkWeights(const MoeCheckpoint& moe, const std::filesystem::path& directory);

}  // namespace moefy::split
