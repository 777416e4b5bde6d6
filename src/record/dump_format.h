// Names and numbers of the activation dump's format: docs/formats.md, "Activation dump".
#pragma once

namespace moefy::record {

inline constexpr int kDumpFormat = 1;
inline constexpr const char* kManifest = "dump.json";
inline constexpr const char* kTensor = "ffn_input";

}  // namespace moefy::record
