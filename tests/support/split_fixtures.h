// Split checkpoints made from the committed pico models.
#pragma once

#include <filesystem>
#include <fstream>
#include <iterator>
#include <map>
#include <string>

#include "model/expected_tensors.h"
#include "model/family.h"
#include "split/moe_writer.h"
#include "split/shared_experts.h"
#include "support/shared_data.h"
#include "support/temp_dir.h"
#include "support/write_dump.h"

namespace moefy::tests {

// The embedded example: model, tasks and recipe.
inline std::filesystem::path Quickstart() {
  return std::filesystem::path(MOEFY_SOURCE_DIR) / "examples" / "quickstart";
}
inline std::filesystem::path Pico(const std::string& name) { return TestData() / "pico" / name; }

// A copy of the model alone: config.json and model.safetensors.
inline void CopyModel(const std::filesystem::path& from, const std::filesystem::path& to) {
  for (const char* name : {"config.json", "model.safetensors"}) {
    std::filesystem::copy_file(from / name, to / name);
    std::filesystem::permissions(to / name, std::filesystem::perms::owner_write,
                                 std::filesystem::perm_options::add);
  }
}

// Random inputs are recorded for the methods that want some.
inline std::vector<split::MoeFfn> PlanAll(const io::Checkpoint& dense, const std::string& method,
                                          int64_t num_experts, uint64_t seed,
                                          int64_t num_shared = 0) {
  std::vector<split::MoeFfn> ffns;
  for (const model::FfnSpec& spec : model::FfnSpecs(model::ReadModelConfig(dense))) {
    const model::FfnWeights weights = model::ReadFfnWeights(dense, spec);
    const TempDir temp;
    const auto dump = WriteDump(temp.path() / "dump", {{spec.name, at::randn({100, spec.hidden})}});
    ffns.push_back({spec, split::SplitWithShared(
                              split::GetSplitter(method),
                              {weights, num_experts, seed, 2, "auto", {{dump, 0}}}, num_shared)});
  }
  return ffns;
}

// Splits `dense` into `directory`, which is made.
inline void SplitInto(const std::filesystem::path& dense, const std::filesystem::path& directory,
                      int64_t num_experts, const std::string& method = "random", uint64_t seed = 1,
                      int64_t num_shared = 0) {
  std::filesystem::create_directory(directory);
  const io::Checkpoint checkpoint = io::Checkpoint::Open(dense);
  split::WriteMoeCheckpoint(checkpoint, model::ReadModelConfig(checkpoint).family,
                            PlanAll(checkpoint, method, num_experts, seed, num_shared),
                            {{"method", method}, {"seed", seed}}, directory);
}

// Every file's bytes by name.
inline std::map<std::string, std::string> DirectoryBytes(const std::filesystem::path& directory) {
  std::map<std::string, std::string> files;
  for (const auto& entry : std::filesystem::directory_iterator(directory)) {
    files[entry.path().filename().string()] = FileBytes(entry.path());
  }
  return files;
}

inline void WriteBytes(const std::filesystem::path& path, const std::string& bytes) {
  std::ofstream(path, std::ios::binary | std::ios::trunc) << bytes;
}

}  // namespace moefy::tests
