#include "model/decoding_state.h"

#include <algorithm>

namespace moefy::model {
namespace {

constexpr int64_t kFirstCapacity = 64;

// `more` behind the first `length` columns of `buffer`, which grows by doubling.
at::Tensor AppendColumns(at::Tensor& buffer, int64_t length, const at::Tensor& more) {
  const int64_t wanted = length + more.size(2);
  const int64_t capacity = buffer.defined() ? buffer.size(2) : 0;
  if (capacity < wanted) {
    const int64_t grown = std::max({wanted, 2 * capacity, kFirstCapacity});
    const TensorPool::Scope kept(nullptr);  // it will not come back soon
    at::Tensor larger =
        at::empty({more.size(0), more.size(1), grown, more.size(3)}, more.options());
    if (length > 0) larger.narrow(2, 0, length).copy_(buffer.narrow(2, 0, length));
    buffer = larger;
  }
  buffer.narrow(2, length, more.size(2)).copy_(more);
  return buffer.narrow(2, 0, wanted);
}

}  // namespace

KeysValues DecodingState::Append(size_t layer_idx, const KeysValues& more) {
  if (self.size() <= layer_idx) self.resize(layer_idx + 1);
  KeysValues& layer = self[layer_idx];
  return {AppendColumns(layer.keys, length, more.keys),
          AppendColumns(layer.values, length, more.values)};
}

}  // namespace moefy::model
