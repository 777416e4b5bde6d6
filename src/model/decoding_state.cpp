#include "model/decoding_state.h"

#include <algorithm>

namespace moefy::model {
namespace {

constexpr int64_t kFirstCapacity = 64;

// Appends `more` to the first `length` columns of `buffer`, and returns all of them.
at::Tensor AppendColumns(at::Tensor& buffer, int64_t length, const at::Tensor& more) {
  const int64_t wanted = length + more.size(2);
  if (!buffer.defined())
    buffer = at::empty({more.size(0), more.size(1), 0, more.size(3)}, more.options());
  GrowColumns(buffer, length, wanted);
  buffer.narrow(2, length, more.size(2)).copy_(more);
  return buffer.narrow(2, 0, wanted);
}

}  // namespace

void GrowColumns(at::Tensor& buffer, int64_t length, int64_t wanted) {
  const int64_t capacity = buffer.size(2);
  if (capacity >= wanted) return;
  const int64_t grown = std::max({wanted, 2 * capacity, kFirstCapacity});
  at::Tensor larger =
      at::empty({buffer.size(0), buffer.size(1), grown, buffer.size(3)}, buffer.options());
  if (length > 0) larger.narrow(2, 0, length).copy_(buffer.narrow(2, 0, length));
  buffer = larger;
}

KeysValues DecodingState::Append(size_t layer_idx, const KeysValues& more) {
  if (self.size() <= layer_idx) self.resize(layer_idx + 1);
  KeysValues& layer = self[layer_idx];
  return {AppendColumns(layer.keys, length, more.keys),
          AppendColumns(layer.values, length, more.values)};
}

at::Tensor DecodingState::AppendKeyBias(const Packing& packing) {
  const at::Tensor& bias = packing.KeyBias();
  if (!bias.defined() && !key_bias.defined()) return {};
  const at::TensorOptions options = bias.defined() ? bias.options() : key_bias.options();
  if (!key_bias.defined()) key_bias = at::zeros({packing.batch(), 1, length, 1}, options);
  const at::Tensor more = bias.defined()
                              ? bias.transpose(2, 3)
                              : at::zeros({packing.batch(), 1, packing.tokens(), 1}, options);
  return AppendColumns(key_bias, length, more).transpose(2, 3);
}

}  // namespace moefy::model
