#include "runtime/activation_map.h"

#include <utility>

#include "moefy/base/error.h"

namespace moefy::runtime {

Map MapOf(const model::Activation& activation) {
  using model::Activation;
  constexpr std::pair<Activation::Kind, Map::Kind> kMaps[] = {
      {Activation::kRelu, Map::kRelu},
      {Activation::kRelu2, Map::kRelu2},
      {Activation::kRelu6, Map::kRelu6},
      {Activation::kFatRelu, Map::kFatRelu},
      {Activation::kLeakyRelu, Map::kLeakyRelu},
      {Activation::kGelu, Map::kGelu},
      {Activation::kGelu10, Map::kGelu10},
      {Activation::kGeluTanh, Map::kGeluTanh},
      {Activation::kQuickGelu, Map::kQuickGelu},
      {Activation::kSilu, Map::kSilu},
      {Activation::kMish, Map::kMish}};
  for (const auto& [kind, map] : kMaps) {
    if (kind != activation.kind) continue;
    return {map, static_cast<float>(activation.threshold), activation.on_both,
            activation.makes_zeros()};
  }
  MOEFY_CHECK(false && "an activation without a kernel");
  return {};
}

}  // namespace moefy::runtime
