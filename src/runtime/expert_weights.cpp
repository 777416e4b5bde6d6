#include "moefy/runtime/expert_weights.h"

#include <ATen/ATen.h>
#include <ATen/Parallel.h>
#include <sys/mman.h>

#include <algorithm>
#include <cerrno>
#include <cstdlib>
#include <cstring>

#include "moefy/base/error.h"
#include "moefy/model/ffn.h"

namespace moefy::runtime {
namespace {

constexpr int64_t kHugePage = int64_t{2} << 20;
constexpr int64_t kSlackFloats = 32;  // kernels may read past an array's end, and ignore it

// Large arrays begin on a huge page and ask for more of them: streaming through 4 KB pages costs a
// noticeable share of the memory bandwidth.
std::shared_ptr<void> AllocateFloats(int64_t count) {
  const int64_t wanted = count * static_cast<int64_t>(sizeof(float));
  const int64_t alignment = wanted >= kHugePage ? kHugePage : 64;
  const auto bytes = static_cast<size_t>((wanted + alignment - 1) / alignment * alignment);
  void* memory = std::aligned_alloc(static_cast<size_t>(alignment), bytes);
  if (!memory) throw SystemError(ENOMEM, "no memory for ", FormatBytes(bytes), " of weights");
  if (alignment == kHugePage) madvise(memory, bytes, MADV_HUGEPAGE);  // a wish; may be refused
  return {memory, std::free};
}

// A matrix [neurons, hidden] whose rows or columns may be strided (W_out usually is a view).
struct Matrix {
  explicit Matrix(const at::Tensor& tensor)
      : data(tensor.data_ptr<float>()), row(tensor.stride(0)), column(tensor.stride(1)) {}
  float operator()(int64_t r, int64_t c) const { return data[r * row + c * column]; }
  const float* data;
  int64_t row, column;
};

// `width` rows -> blocks of kBlockNeurons columns each, `columns` long.
void TransposeBlocks(const Matrix& from, int64_t first_row, int64_t width, int64_t columns,
                     float* to) {
  for (int64_t end = first_row + width; first_row < end; first_row += kBlockNeurons) {
    const int64_t block = std::min(kBlockNeurons, end - first_row);
    for (int64_t i = 0; i < columns; ++i) {
      for (int64_t n = 0; n < block; ++n) *to++ = from(first_row + n, i);
    }
  }
}

void CopyPanels(const Matrix& from, int64_t first_row, int64_t width, int64_t hidden,
                int64_t padded_hidden, float* to) {
  for (int64_t begin = 0; begin < padded_hidden; begin += kPanelColumns) {
    const int64_t end = std::min(padded_hidden, begin + kPanelColumns);
    for (int64_t n = 0; n < width; ++n) {
      for (int64_t i = begin; i < end; ++i) *to++ = i < hidden ? from(first_row + n, i) : 0.0f;
    }
  }
}

void CheckShape(const char* what, const at::Tensor& tensor, at::IntArrayRef shape) {
  if (!tensor.defined() || tensor.sizes() == shape) return;
  throw InputError(what, " has shape ", FormatShape(tensor.sizes().vec()), "; expected ",
                   FormatShape(shape.vec()));
}

}  // namespace

int64_t ExpertWeights::ExpertBytes() const {
  const int64_t matrices = w_gate ? 3 : 2;
  const int64_t floats = neurons_per_expert * (matrices * hidden + (b_in ? 1 : 0));
  return floats * static_cast<int64_t>(sizeof(float));
}

ExpertWeights PackExperts(const model::FfnWeights& ffn, int64_t num_experts) {
  const int64_t neurons = ffn.num_neurons(), hidden = ffn.hidden();
  if (num_experts < 1 || neurons % num_experts != 0) {
    throw InputError("cannot split ", neurons, " neurons into ", num_experts,
                     " experts of equal size");
  }
  if (ffn.b_gate.defined()) throw InputError("FFNs with biased gates do not run sparsely yet");
  CheckShape("W_out", ffn.w_out, {neurons, hidden});
  CheckShape("W_gate", ffn.w_gate, {neurons, hidden});
  CheckShape("b_in", ffn.b_in, {neurons});
  CheckShape("b_out", ffn.b_out, {hidden});

  ExpertWeights packed;
  packed.num_experts = num_experts;
  packed.neurons_per_expert = neurons / num_experts;
  packed.hidden = hidden;
  packed.padded_hidden = (hidden + 15) / 16 * 16;
  packed.activation = ffn.activation;

  int64_t total = 0;
  const auto reserve = [&total](int64_t count) {
    const int64_t offset = total;
    total += (count + kSlackFloats + 15) / 16 * 16;
    return offset;
  };
  const bool gated = ffn.w_gate.defined();
  const int64_t in_offset = reserve(neurons * hidden);
  const int64_t gate_offset = gated ? reserve(neurons * hidden) : 0;
  const int64_t out_offset = reserve(neurons * packed.padded_hidden);
  const int64_t b_in_offset = ffn.b_in.defined() ? reserve(neurons) : 0;
  const int64_t b_out_offset = ffn.b_out.defined() ? reserve(packed.padded_hidden) : 0;
  packed.storage = AllocateFloats(total);
  auto* floats = static_cast<float*>(packed.storage.get());
  packed.w_in = floats + in_offset;
  packed.w_out = floats + out_offset;
  if (gated) packed.w_gate = floats + gate_offset;

  const Matrix w_in(ffn.w_in), w_out(ffn.w_out), w_gate(gated ? ffn.w_gate : ffn.w_in);
  at::parallel_for(0, num_experts, 1, [&](int64_t first, int64_t last) {
    for (int64_t expert = first; expert < last; ++expert) {
      const int64_t end = (expert + 1) * packed.neurons_per_expert;
      for (int64_t n = expert * packed.neurons_per_expert; n < end; n += kTileNeurons) {
        const int64_t width = std::min(kTileNeurons, end - n);
        TransposeBlocks(w_in, n, width, hidden, floats + in_offset + n * hidden);
        if (gated) TransposeBlocks(w_gate, n, width, hidden, floats + gate_offset + n * hidden);
        CopyPanels(w_out, n, width, hidden, packed.padded_hidden,
                   floats + out_offset + n * packed.padded_hidden);
      }
    }
  });
  const auto copy_bias = [&](const at::Tensor& bias, int64_t offset, int64_t padded) {
    const at::Tensor contiguous = bias.contiguous();
    std::memset(floats + offset, 0, static_cast<size_t>(padded) * sizeof(float));
    std::memcpy(floats + offset, contiguous.data_ptr<float>(), contiguous.nbytes());
    return floats + offset;
  };
  if (ffn.b_in.defined()) packed.b_in = copy_bias(ffn.b_in, b_in_offset, neurons);
  if (ffn.b_out.defined()) {
    packed.b_out = copy_bias(ffn.b_out, b_out_offset, packed.padded_hidden);
  }
  return packed;
}

}  // namespace moefy::runtime
