#include "split/merge.h"

#include "io/rewrite_checkpoint.h"
#include "split/config_key.h"
#include "split/permute.h"
#include "split/side_files.h"

namespace moefy::split {

std::vector<std::string> MergeMoe(const MoeCheckpoint& moe, const std::filesystem::path& directory,
                                  Progress& progress) {
  const auto transform = PermuteAll(moe.weights(), moe.ffns(), /*inverse=*/true);
  if (const std::string& config = moe.weights().ConfigText(); !config.empty()) {
    WriteConfigText(directory, RemoveMoefyKey(config));
  }
  std::vector<std::string> warnings = CopySideFiles(moe.weights(), directory);
  io::RewriteCheckpoint(moe.weights(), directory, transform, progress);
  return warnings;
}

}  // namespace moefy::split
