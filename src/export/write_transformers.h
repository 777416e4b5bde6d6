// Writes a split checkpoint as a directory that Transformers runs with moefy's experts: the
// checkpoint's weights as they are, and export/modeling_moefy.py, which reads what this writes.
#pragma once

#include <filesystem>
#include <string>
#include <vector>

#include "route/routed_ffn.h"
#include "split/moe_checkpoint.h"

namespace moefy::exports {

struct WrittenTransformers {
  std::string class_name;  // of Transformers, which runs the model
  std::vector<std::string> warnings;
};

// `ffns` is what each FFN runs (route::ReadRoutedFfns). Writes into `directory`, which exists and
// is empty; weights are hard links where the file system has them. Throws Error{kInput} for what
// Transformers does not load.
WrittenTransformers WriteTransformers(const split::MoeCheckpoint& moe,
                                      const std::vector<route::RoutedFfn>& ffns,
                                      const std::filesystem::path& directory);

}  // namespace moefy::exports
