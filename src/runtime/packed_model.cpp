#include "runtime/packed_model.h"

#include "moefy/base/strings.h"
#include "runtime/attend_rows.h"
#include "runtime/norm_rows.h"

namespace moefy::runtime {

void UseKernels(model::Transformer& transformer, WeightFormat format, PackedStore* store) {
  int64_t num_linears = 0;
  transformer.ExchangeLinears(
      [&](const at::Tensor& weight, const at::Tensor& bias, bool is_output) {
        const bool keep_precise = is_output && format == WeightFormat::kInt4;
        return std::make_shared<const PackedLinear>(
            weight, bias, keep_precise ? WeightFormat::kInt8 : format,
            PackedSlot{store, StrCat("linear.", num_linears++)});
      });
  transformer.ExchangeRowKernels({AttendRows, NormRows});
}

}  // namespace moefy::runtime
