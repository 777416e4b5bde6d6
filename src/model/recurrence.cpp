#include "model/recurrence.h"

#include <algorithm>
#include <cmath>
#include <vector>

namespace moefy::model {

at::Tensor Recurrence::operator()(const at::Tensor& x, const Packing& packing,
                                  at::Tensor& cell) const {
  const at::Tensor taken = at::sigmoid(-forget(x));  // 1 - f; zero at padding, once unpacked
  const at::Tensor share = packing.Unpack(taken);    // [batch, tokens, hidden]
  const at::Tensor added = packing.Unpack(taken * input(x));
  at::Tensor c = cell.defined() ? cell : at::zeros({packing.batch(), x.size(1)}, x.options());
  std::vector<at::Tensor> cells;
  for (int64_t token = 0; token < packing.tokens(); ++token) {
    c = (1 - share.select(1, token)) * c + added.select(1, token);
    cells.push_back(c);
  }
  cell = c.contiguous();
  return packing.Pack(at::relu(at::stack(cells, 1)));
}

void RecurRow(const float* input, const float* forget, int64_t hidden, float* cell, float* out) {
  for (int64_t i = 0; i < hidden; ++i) {
    const float f = 1 / (1 + std::exp(-forget[i]));
    cell[i] = f * cell[i] + (1 - f) * input[i];
    out[i] = std::max(cell[i], 0.0f);
  }
}

}  // namespace moefy::model
