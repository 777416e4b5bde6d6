#include "runtime/router_weights.h"

#include <ATen/ATen.h>

#include <cstring>
#include <vector>

#include "moefy/base/error.h"
#include "runtime/weight_arena.h"
#include "runtime/weight_tiles.h"

namespace moefy::runtime {

RouterWeights PackRouter(const route::Router& router, WeightFormat format) {
  constexpr int64_t kFloat = sizeof(float);
  RouterWeights packed;
  const route::RouterForm form = router.form();
  if (form == route::RouterForm::kOther) return packed;
  const std::vector<at::Tensor> parameters = router.Parameters();
  const at::Tensor& w1 = parameters[0];
  packed.num_experts = w1.size(0);
  packed.hidden = w1.size(1);
  packed.format = IsQuantized(format) ? WeightFormat::kInt8 : WeightFormat::kF32;
  packed.of_direction = form != route::RouterForm::kLinear;
  const bool narrow = packed.format == WeightFormat::kInt8;
  WeightArena arena;
  const int64_t first =
      arena.Reserve(packed.num_experts * TileRowBytes(packed.format, packed.hidden));
  const int64_t scale = narrow ? arena.Reserve(packed.num_experts * kFloat) : 0;
  const int64_t rest = parameters.size() > 1 ? arena.Reserve(parameters[1].numel() * kFloat) : 0;
  packed.storage = arena.Create().memory;
  auto* const bytes = static_cast<std::byte*>(packed.storage.get());
  const auto floats = [&](int64_t offset) { return reinterpret_cast<float*>(bytes + offset); };
  PackTiles(w1, packed.format, narrow ? floats(scale) : nullptr, bytes + first);
  packed.w1 = bytes + first;
  if (narrow) packed.w1_scale = floats(scale);
  if (form == route::RouterForm::kMlp) {
    MOEFY_CHECK(parameters[1].numel() == packed.num_experts * packed.num_experts);
    PackTiles(parameters[1], WeightFormat::kF32, nullptr, bytes + rest);
    packed.w2 = floats(rest);
  } else if (form == route::RouterForm::kLinear) {
    MOEFY_CHECK(parameters[1].numel() == packed.num_experts);
    std::memcpy(floats(rest), parameters[1].contiguous().data_ptr<float>(), parameters[1].nbytes());
    packed.bias = floats(rest);
  }
  return packed;
}

}  // namespace moefy::runtime
