#include "runtime/expert_weights.h"

#include <ATen/ATen.h>
#include <ATen/Parallel.h>
#include <sys/mman.h>

#include <algorithm>
#include <cerrno>
#include <cmath>
#include <cstdlib>
#include <cstring>

#include "moefy/base/error.h"
#include "moefy/model/ffn.h"
#include "runtime/quantize.h"

namespace moefy::runtime {
namespace {

constexpr int64_t kHugePage = int64_t{2} << 20;
constexpr int64_t kSlackBytes = 256;  // kernels may read past an array's end, and ignore it

// Large arrays begin on a huge page and ask for more of them: streaming through 4 KB pages costs a
// noticeable share of the memory bandwidth.
std::shared_ptr<void> Allocate(int64_t wanted) {
  const int64_t alignment = wanted >= kHugePage ? kHugePage : 64;
  const auto bytes = static_cast<size_t>((wanted + alignment - 1) / alignment * alignment);
  void* memory = std::aligned_alloc(static_cast<size_t>(alignment), bytes);
  if (!memory) throw SystemError(ENOMEM, "no memory for ", FormatBytes(bytes), " of weights");
  if (alignment == kHugePage) madvise(memory, bytes, MADV_HUGEPAGE);  // a wish; may be refused
  return {memory, std::free};
}

// Hands out parts of one allocation: first all are reserved, then all are there.
class Arena {
 public:
  int64_t Reserve(int64_t bytes) {
    const int64_t offset = total_;
    total_ += (bytes + kSlackBytes + 63) / 64 * 64;
    return offset;
  }
  std::shared_ptr<void> Create() const { return Allocate(total_); }
  int64_t bytes() const { return total_; }

 private:
  int64_t total_ = 0;
};

// A matrix [neurons, hidden] whose rows or columns may be strided (W_out usually is a view).
struct Matrix {
  explicit Matrix(const at::Tensor& tensor)
      : data(tensor.data_ptr<float>()), row(tensor.stride(0)), column(tensor.stride(1)) {}
  float operator()(int64_t r, int64_t c) const { return data[r * row + c * column]; }
  const float* data;
  int64_t row, column;
};

// INT8 as it is stored. A NaN becomes 0.
uint8_t Narrowed8(float value, float inverse_scale) {
  const float scaled = std::nearbyint(value * inverse_scale);
  const float rounded = std::isnan(scaled) ? 0 : std::clamp(scaled, -127.0f, 127.0f);
  return static_cast<uint8_t>(static_cast<int>(rounded) + 128);
}

template <class T>
T Narrowed(float value, float inverse_scale) {
  if constexpr (std::is_same_v<T, uint8_t>) {
    return Narrowed8(value, inverse_scale);
  } else {
    return static_cast<T>(value);
  }
}

// Puts the largest absolute value / 127 of each row of a tile into `scales`, and its inverse into
// `inverse`.
void MeasureRows(const Matrix& from, int64_t first_row, int64_t width, int64_t columns,
                 float* scales, float* inverse) {
  float largest[kTileNeurons] = {};
  const auto see = [&](int64_t n, int64_t i) {
    largest[n] = std::max(largest[n], std::abs(from(first_row + n, i)));
  };
  if (from.row < from.column) {
    for (int64_t i = 0; i < columns; ++i) {
      for (int64_t n = 0; n < width; ++n) see(n, i);
    }
  } else {
    for (int64_t n = 0; n < width; ++n) {
      for (int64_t i = 0; i < columns; ++i) see(n, i);
    }
  }
  for (int64_t n = 0; n < width; ++n) {
    scales[n] = largest[n] / 127.0f;
    inverse[n] = largest[n] > 0 ? 127.0f / largest[n] : 0.0f;
  }
}

// Puts the largest absolute value / 127 of each of `columns` columns into `scales`, 1 for a column
// of zeros.
void MeasureColumns(const Matrix& from, int64_t rows, int64_t columns, float* scales) {
  at::parallel_for(0, columns, 16, [&](int64_t first, int64_t last) {
    for (int64_t c = first; c < last; ++c) {
      float largest = 0;
      for (int64_t n = 0; n < rows; ++n) largest = std::max(largest, std::abs(from(n, c)));
      scales[c] = largest > 0 ? largest / 127.0f : 1.0f;
    }
  });
}

// Lays out `width` rows as blocks of kBlockNeurons columns each, `columns` long.
template <class T>
void TransposeBlocks(const Matrix& from, int64_t first_row, int64_t width, int64_t columns,
                     const float* inverse, T* to) {
  constexpr int64_t kGroup = std::is_same_v<T, uint8_t> ? kQuad : 1;
  for (int64_t begin = 0; begin < width; begin += kBlockNeurons) {
    const int64_t block = std::min(kBlockNeurons, width - begin);
    for (int64_t i = 0; i < columns; i += kGroup) {
      for (int64_t n = begin; n < begin + block; ++n) {
        for (int64_t k = i; k < i + kGroup; ++k) {
          *to++ = Narrowed<T>(k < columns ? from(first_row + n, k) : 0.0f, inverse[n]);
        }
      }
    }
  }
}

// Goes column by column, because W_out is stored that way. `scales` [columns], for INT8.
template <class T>
void CopyPanels(const Matrix& from, int64_t first_row, int64_t width, int64_t hidden,
                int64_t padded_hidden, const float* scales, T* to) {
  for (int64_t begin = 0; begin < padded_hidden; begin += kPanelColumns) {
    const int64_t columns = std::min(padded_hidden - begin, kPanelColumns);
    for (int64_t i = 0; i < columns; ++i) {
      const float inverse = scales ? 1.0f / scales[begin + i] : 1.0f;
      for (int64_t n = 0; n < width; ++n) {
        const float value = begin + i < hidden ? from(first_row + n, begin + i) : 0.0f;
        to[n * columns + i] = Narrowed<T>(value, inverse);
      }
    }
    to += width * columns;
  }
}

void CheckShape(const char* what, const at::Tensor& tensor, at::IntArrayRef shape) {
  if (!tensor.defined() || tensor.sizes() == shape) return;
  throw InputError(what, " has shape ", FormatShape(tensor.sizes().vec()), "; expected ",
                   FormatShape(shape.vec()));
}

// Packs one expert after the other into `packed`, whose arrays are there already.
template <class T>
void PackAs(const model::FfnWeights& ffn, const ExpertWeights& packed) {
  const Matrix w_in(ffn.w_in), w_out(ffn.w_out);
  const Matrix w_gate(packed.w_gate ? ffn.w_gate : ffn.w_in);
  const bool scaled = packed.in_scale != nullptr;
  const int64_t hidden = packed.hidden, padded_hidden = packed.padded_hidden;
  const int64_t length = packed.InLength();
  // The arrays are ours, and still writable here.
  const auto at = [](const std::byte* array, int64_t offset) {
    return reinterpret_cast<T*>(const_cast<std::byte*>(array)) + offset;
  };
  const auto pack_tile = [&](int64_t n, int64_t width) {
    float inverse[kTileNeurons] = {};
    const auto measure = [&](const Matrix& from, const float* scales) {
      if (!scaled) return;
      MeasureRows(from, n, width, hidden, const_cast<float*>(scales) + n, inverse);
    };
    measure(w_in, packed.in_scale);
    TransposeBlocks(w_in, n, width, hidden, inverse, at(packed.w_in, n * length));
    if (packed.w_gate) {
      measure(w_gate, packed.gate_scale);
      TransposeBlocks(w_gate, n, width, hidden, inverse, at(packed.w_gate, n * length));
    }
    CopyPanels(w_out, n, width, hidden, padded_hidden, packed.out_scale,
               at(packed.w_out, n * padded_hidden));
  };
  if (scaled) {
    auto* const scales = const_cast<float*>(packed.out_scale);
    std::fill_n(scales, padded_hidden, 1.0f);
    MeasureColumns(w_out, packed.num_experts * packed.neurons_per_expert, hidden, scales);
  }
  at::parallel_for(0, packed.num_experts, 1, [&](int64_t first, int64_t last) {
    for (int64_t expert = first; expert < last; ++expert) {
      const int64_t end = (expert + 1) * packed.neurons_per_expert;
      for (int64_t n = expert * packed.neurons_per_expert; n < end; n += kTileNeurons) {
        pack_tile(n, std::min(kTileNeurons, end - n));
      }
    }
  });
}

void CopyBias(const at::Tensor& bias, float* to) {
  const at::Tensor contiguous = bias.contiguous();
  std::memcpy(to, contiguous.data_ptr<float>(), contiguous.nbytes());
}

}  // namespace

namespace {

// Divides a row of outputs by what the kernels multiply sums with in the end.
void DivideByScale(const ExpertWeights& experts, float* row) {
  for (int64_t i = 0; experts.out_scale && i < experts.padded_hidden; ++i) {
    row[i] /= experts.out_scale[i];
  }
}

}  // namespace

int64_t ExpertWeights::InLength() const {
  return format == WeightFormat::kInt8 ? QuantizedSize(hidden) : hidden;
}

int64_t ExpertWeights::ExpertBytes() const {
  const int64_t scales = in_scale ? num_matrices() - 1 : 0;
  const int64_t floats = scales + (b_in ? 1 : 0) + (b_gate ? 1 : 0);
  return neurons_per_expert *
         (num_matrices() * hidden * BytesPerWeight(format) + floats * int64_t{sizeof(float)});
}

ExpertWeights PackExperts(const model::FfnWeights& ffn, int64_t num_experts, WeightFormat format) {
  const int64_t neurons = ffn.num_neurons(), hidden = ffn.hidden();
  if (num_experts < 1 || neurons % num_experts != 0) {
    throw InputError("cannot split ", neurons, " neurons into ", num_experts,
                     " experts of equal size");
  }
  CheckShape("W_out", ffn.w_out, {neurons, hidden});
  CheckShape("W_gate", ffn.w_gate, {neurons, hidden});
  CheckShape("b_in", ffn.b_in, {neurons});
  CheckShape("b_gate", ffn.b_gate, {neurons});
  CheckShape("b_out", ffn.b_out, {hidden});

  ExpertWeights packed;
  packed.num_experts = num_experts;
  packed.neurons_per_expert = neurons / num_experts;
  packed.hidden = hidden;
  packed.padded_hidden = (hidden + 15) / 16 * 16;
  packed.activation = ffn.activation;
  packed.format = format;

  Arena arena;
  const int64_t width = BytesPerWeight(format);
  const bool gated = ffn.w_gate.defined(), scaled = format == WeightFormat::kInt8;
  const auto floats = [&](bool wanted, int64_t count) {
    return wanted ? arena.Reserve(count * int64_t{sizeof(float)}) : -1;
  };
  const int64_t in = arena.Reserve(neurons * packed.InLength() * width);
  const int64_t gate = gated ? arena.Reserve(neurons * packed.InLength() * width) : -1;
  const int64_t out = arena.Reserve(neurons * packed.padded_hidden * width);
  const int64_t in_scale = floats(scaled, neurons);
  const int64_t gate_scale = floats(scaled && gated, neurons);
  const int64_t out_scale = floats(scaled, packed.padded_hidden);
  const int64_t b_in = floats(ffn.b_in.defined(), neurons);
  const int64_t b_gate = floats(ffn.b_gate.defined(), neurons);
  const int64_t b_out = floats(ffn.b_out.defined(), packed.padded_hidden);
  packed.storage = arena.Create();
  auto* const bytes = static_cast<std::byte*>(packed.storage.get());
  const auto array = [&](int64_t offset) { return offset < 0 ? nullptr : bytes + offset; };
  const auto float_array = [&](int64_t offset) { return reinterpret_cast<float*>(array(offset)); };
  packed.w_in = array(in);
  packed.w_gate = array(gate);
  packed.w_out = array(out);
  packed.in_scale = float_array(in_scale);
  packed.gate_scale = float_array(gate_scale);
  packed.out_scale = float_array(out_scale);
  packed.b_in = float_array(b_in);
  packed.b_gate = float_array(b_gate);
  packed.b_out = float_array(b_out);
  if (packed.b_in) CopyBias(ffn.b_in, float_array(b_in));
  if (packed.b_gate) CopyBias(ffn.b_gate, float_array(b_gate));
  switch (format) {
    case WeightFormat::kF32:
      PackAs<float>(ffn, packed);
      break;
    case WeightFormat::kBf16:
      PackAs<at::BFloat16>(ffn, packed);
      break;
    case WeightFormat::kF16:
      PackAs<at::Half>(ffn, packed);
      break;
    case WeightFormat::kInt8:
      PackAs<uint8_t>(ffn, packed);
      break;
  }
  if (packed.b_out) {
    std::fill_n(float_array(b_out), packed.padded_hidden, 0.0f);
    CopyBias(ffn.b_out, float_array(b_out));
    DivideByScale(packed, float_array(b_out));
  }
  return packed;
}

ExpertWeights WithCompensation(ExpertWeights experts, const at::Tensor& terms) {
  CheckShape("compensation", terms, {experts.num_experts, experts.hidden});
  const int64_t columns = experts.padded_hidden;
  // The kernel subtracts the terms of those that do run from the sum of all.
  experts.compensation_storage =
      Allocate((experts.num_experts + 1) * columns * int64_t{sizeof(float)});
  auto* rows = static_cast<float*>(experts.compensation_storage.get());
  std::fill_n(rows, (experts.num_experts + 1) * columns, 0.0f);
  const at::Tensor values = terms.to(at::kFloat).contiguous();
  const at::Tensor total = terms.to(at::kDouble).sum(0).to(at::kFloat);
  for (int64_t e = 0; e < experts.num_experts; ++e) {
    std::copy_n(values.data_ptr<float>() + e * experts.hidden, experts.hidden, rows + e * columns);
    DivideByScale(experts, rows + e * columns);
  }
  float* const base = rows + experts.num_experts * columns;
  std::copy_n(total.data_ptr<float>(), experts.hidden, base);
  DivideByScale(experts, base);
  for (int64_t i = 0; experts.b_out && i < experts.hidden; ++i) base[i] += experts.b_out[i];
  experts.compensation = rows;
  experts.b_out = base;
  return experts;
}

ExpertWeights WithMinMagnitude(ExpertWeights experts, const at::Tensor& min_magnitude) {
  const int64_t neurons = experts.num_experts * experts.neurons_per_expert;
  CheckShape("min_magnitude", min_magnitude, {neurons});
  experts.min_magnitude_storage = Allocate(neurons * int64_t{sizeof(float)} + kSlackBytes);
  auto* values = static_cast<float*>(experts.min_magnitude_storage.get());
  const at::Tensor in = min_magnitude.to(at::kFloat).contiguous();
  std::copy_n(in.data_ptr<float>(), neurons, values);
  std::fill_n(values + neurons, kSlackBytes / int64_t{sizeof(float)}, 0.0f);
  experts.min_magnitude = values;
  return experts;
}

namespace {

// Packs all rows of `w` in tiles; with `scales`, in INT8.
void PackTiles(const at::Tensor& w, float* scales, std::byte* to) {
  const Matrix from(w);
  const int64_t rows = w.size(0), columns = w.size(1);
  const int64_t tiles = (rows + kTileNeurons - 1) / kTileNeurons;
  at::parallel_for(0, tiles, 1, [&](int64_t first, int64_t last) {
    for (int64_t n = first * kTileNeurons; n < std::min(rows, last * kTileNeurons);
         n += kTileNeurons) {
      const int64_t width = std::min(kTileNeurons, rows - n);
      float inverse[kTileNeurons] = {};
      if (scales) {
        MeasureRows(from, n, width, columns, scales + n, inverse);
        TransposeBlocks(from, n, width, columns, inverse,
                        reinterpret_cast<uint8_t*>(to) + n * QuantizedSize(columns));
      } else {
        TransposeBlocks(from, n, width, columns, inverse,
                        reinterpret_cast<float*>(to) + n * columns);
      }
    }
  });
}

}  // namespace

RouterWeights PackRouter(const at::Tensor& w1, const at::Tensor& w2, WeightFormat format) {
  RouterWeights packed;
  packed.num_experts = w1.size(0);
  packed.hidden = w1.size(1);
  packed.format = format == WeightFormat::kInt8 ? format : WeightFormat::kF32;
  CheckShape("router.w2", w2, {packed.num_experts, packed.num_experts});
  const bool narrow = packed.format == WeightFormat::kInt8;
  Arena arena;
  const int64_t first =
      arena.Reserve(packed.num_experts * (narrow ? QuantizedSize(packed.hidden)
                                                 : packed.hidden * int64_t{sizeof(float)}));
  const int64_t scale = narrow ? arena.Reserve(packed.num_experts * int64_t{sizeof(float)}) : 0;
  const int64_t second = arena.Reserve(w2.numel() * int64_t{sizeof(float)});
  packed.storage = arena.Create();
  auto* const bytes = static_cast<std::byte*>(packed.storage.get());
  auto* const scales = narrow ? reinterpret_cast<float*>(bytes + scale) : nullptr;
  PackTiles(w1, scales, bytes + first);
  PackTiles(w2, nullptr, bytes + second);
  packed.w1 = bytes + first;
  packed.w1_scale = scales;
  packed.w2 = reinterpret_cast<const float*>(bytes + second);
  return packed;
}

LinearTiles PackLinearTiles(const at::Tensor& weight) {
  LinearTiles packed;
  packed.out = weight.size(0);
  packed.in = weight.size(1);
  Arena arena;
  const int64_t w = arena.Reserve(packed.out * QuantizedSize(packed.in));
  const int64_t scale = arena.Reserve(packed.out * int64_t{sizeof(float)});
  packed.storage = arena.Create();
  packed.bytes = arena.bytes();
  auto* const bytes = static_cast<std::byte*>(packed.storage.get());
  auto* const scales = reinterpret_cast<float*>(bytes + scale);
  PackTiles(weight, scales, bytes + w);
  packed.w = bytes + w;
  packed.scale = scales;
  return packed;
}

}  // namespace moefy::runtime
