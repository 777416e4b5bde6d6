// Activation dumps of tensors at hand.
#pragma once

#include <ATen/ATen.h>

#include <filesystem>
#include <string>
#include <utility>
#include <vector>

#include "record/dump_writer.h"

namespace moefy::tests {

// `ffns`: by name what entered, [tokens, hidden].
inline record::ActivationDump WriteDump(const std::filesystem::path& directory,
                                        const std::vector<std::pair<std::string, at::Tensor>>& ffns,
                                        const std::string& fingerprint = "f") {
  std::filesystem::create_directories(directory);
  std::vector<record::DumpedFfn> dumped;
  for (const auto& [name, x] : ffns) dumped.push_back({name, 0, x.size(1)});
  record::DumpWriter writer(directory, {"t5", fingerprint, "random"}, dumped, 1 << 20);
  for (size_t i = 0; i < ffns.size(); ++i) writer.Append(i, ffns[i].second);
  writer.Finish();
  return record::ActivationDump::Open(directory);
}

}  // namespace moefy::tests
