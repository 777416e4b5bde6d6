#include "runtime/packed_model.h"

#include "runtime/attend_rows.h"

namespace moefy::runtime {

void UseKernels(model::Transformer& transformer, WeightFormat format, bool copy,
                const std::function<void(const PackedLinear&)>& see) {
  transformer.ExchangeLinears([&](const at::Tensor& weight, const at::Tensor& bias) {
    const bool shares = format == WeightFormat::kF32;
    auto linear = std::make_shared<const PackedLinear>(shares && copy ? weight.clone() : weight,
                                                       bias, format);
    if (see) see(*linear);
    return linear;
  });
  transformer.ExchangeAttention(AttendRows);
}

}  // namespace moefy::runtime
