// The names of what route-train stores in moefy.safetensors. Format: docs/formats.md.
#pragma once

#include <string>

#include "split/moe_checkpoint.h"

namespace moefy::route {

// What follows an FFN's name in the name of everything that route-train stores.
inline constexpr const char* kRouterPart = ".router.";
inline constexpr const char* kThresholds = "thresholds";
inline constexpr const char* kSharesOfBest = "shares_of_best";
inline constexpr const char* kNeuronThresholds = "neuron_thresholds";
inline constexpr const char* kNeuronNorms = "neuron_norms";
inline constexpr const char* kErrors = "errors";
inline constexpr const char* kCompensation = "compensation";
inline constexpr const char* kCorrectionDown = "correction_down";
inline constexpr const char* kCorrectionUp = "correction_up";
inline constexpr const char* kCorrectionBias = "correction_bias";

inline std::string NameOf(const split::MoeFfn& ffn, const std::string& part) {
  return ffn.spec.name + kRouterPart + part;
}

}  // namespace moefy::route
