#include "runtime/expert_weights.h"

#include <ATen/ATen.h>
#include <ATen/Parallel.h>

#include <algorithm>
#include <cmath>
#include <cstring>

#include "moefy/base/error.h"
#include "moefy/model/ffn.h"
#include "runtime/small_tiles.h"

namespace moefy::runtime {
namespace {

template <class T>
T Narrowed(float value, float inverse_scale) {
  if constexpr (std::is_same_v<T, uint8_t>) {
    return StoredInt8(value, inverse_scale);
  } else {
    return static_cast<T>(value);
  }
}

// Puts the largest absolute value / 127 of each of `columns` columns into `scales`, 1 for a column
// of zeros.
void MeasureColumns(const MatrixView& from, int64_t rows, int64_t columns, float* scales) {
  at::parallel_for(0, columns, 16, [&](int64_t first, int64_t last) {
    for (int64_t c = first; c < last; ++c) {
      float largest = 0;
      for (int64_t n = 0; n < rows; ++n) largest = std::max(largest, std::abs(from(n, c)));
      scales[c] = largest > 0 ? largest / 127.0f : 1.0f;
    }
  });
}

// Packs rows of W_out, one tile, `panel` columns at a time: those from column c on go to where(c).
// Goes column by column, because W_out is stored that way. `scales` [columns], for INT8.
template <class T, class Where>
void CopyPanels(const MatrixView& from, int64_t first_row, int64_t width, int64_t hidden,
                int64_t padded_hidden, int64_t panel, const float* scales, const Where& where) {
  for (int64_t begin = 0; begin < padded_hidden; begin += panel) {
    const int64_t columns = std::min(padded_hidden - begin, panel);
    auto* const to = reinterpret_cast<T*>(where(begin));
    for (int64_t i = 0; i < columns; ++i) {
      const float inverse = scales ? 1.0f / scales[begin + i] : 1.0f;
      for (int64_t n = 0; n < width; ++n) {
        const float value = begin + i < hidden ? from(first_row + n, begin + i) : 0.0f;
        to[n * columns + i] = Narrowed<T>(value, inverse);
      }
    }
  }
}

void CheckShape(const char* what, const at::Tensor& tensor, at::IntArrayRef shape) {
  if (!tensor.defined() || tensor.sizes() == shape) return;
  throw InputError(what, " has shape ", FormatShape(tensor.sizes().vec()), "; expected ",
                   FormatShape(shape.vec()));
}

// Packs one expert after the other into `packed`, whose arrays are there already; T is what w_out
// consists of.
template <class T>
void PackAs(const model::FfnWeights& ffn, const ExpertWeights& packed) {
  const MatrixView w_in(ffn.w_in), w_out(ffn.w_out);
  const MatrixView w_gate(packed.w_gate ? ffn.w_gate : ffn.w_in);
  const int64_t hidden = packed.hidden, padded_hidden = packed.padded_hidden;
  const int64_t in_bytes = packed.InBytes();
  // The arrays are ours, and still writable here.
  const auto at = [](const std::byte* array, int64_t offset) {
    return const_cast<std::byte*>(array) + offset;
  };
  const auto from = [](const float* scales, int64_t n) {
    return scales ? const_cast<float*>(scales) + n : nullptr;
  };
  const bool small = packed.small(), strips = small && packed.out_scale;
  const auto pack_tile = [&](int64_t n, int64_t width) {
    const auto pack = small ? PackSmallTile : PackTile;
    const int64_t in = small ? packed.InOffset(n / packed.neurons_per_expert) : n * in_bytes;
    pack(w_in, n, width, hidden, packed.format, from(packed.in_scale, n), at(packed.w_in, in));
    if (packed.w_gate) {
      pack(w_gate, n, width, hidden, packed.format, from(packed.gate_scale, n),
           at(packed.w_gate, in));
    }
    if (strips) return;
    CopyPanels<T>(w_out, n, width, hidden, padded_hidden,
                  small ? kSmallPanelColumns : kPanelColumns, packed.out_scale,
                  [&](int64_t column) { return at(packed.w_out, packed.OutOffset(n, column)); });
  };
  if (packed.out_scale) {
    auto* const scales = const_cast<float*>(packed.out_scale);
    std::fill_n(scales, padded_hidden, 1.0f);
    MeasureColumns(w_out, packed.num_experts * packed.neurons_per_expert, hidden, scales);
  }
  if (strips) {
    PackStrips(w_out, packed.num_experts, packed.neurons_per_expert, hidden, packed.out_scale,
               reinterpret_cast<uint8_t*>(at(packed.w_out, 0)));
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

std::shared_ptr<void> AllocateFloats(int64_t count) {
  WeightArena arena;
  arena.Reserve(count * int64_t{sizeof(float)});
  return arena.Create().memory;
}

void CopyBias(const at::Tensor& bias, float* to) {
  const at::Tensor contiguous = bias.contiguous();
  std::memcpy(to, contiguous.data_ptr<float>(), contiguous.nbytes());
}

// Divides a row of outputs by what the kernels multiply sums with in the end.
void DivideByScale(const ExpertWeights& experts, float* row) {
  for (int64_t i = 0; experts.out_scale && i < experts.padded_hidden; ++i) {
    row[i] /= experts.out_scale[i];
  }
}

}  // namespace

WeightFormat ExpertWeights::out_format() const {
  return format == WeightFormat::kInt4 ? WeightFormat::kInt8 : format;
}

int64_t ExpertWeights::InBytes() const {
  return small() ? SmallRowBytes(format, hidden) : TileRowBytes(format, hidden);
}

int64_t ExpertWeights::InOffset(int64_t expert) const {
  return expert * (small() ? SmallNeurons(neurons_per_expert) : neurons_per_expert) * InBytes();
}

int64_t ExpertWeights::OutOffset(int64_t first_neuron, int64_t column) const {
  const int64_t bytes = BytesPerWeight(out_format());
  if (!small()) {
    const int64_t in_expert = first_neuron % neurons_per_expert;
    const int64_t width = std::min(kTileNeurons, neurons_per_expert - in_expert);
    return (first_neuron * padded_hidden + column * width) * bytes;
  }
  const int64_t columns = std::min(kSmallPanelColumns, padded_hidden - column);
  return (num_experts * neurons_per_expert * column + first_neuron * columns) * bytes;
}

int64_t ExpertWeights::OutBytes() const { return padded_hidden * BytesPerWeight(out_format()); }

int64_t ExpertWeights::ExpertBytes() const {
  const int64_t scales = in_scale ? num_matrices() - 1 : 0;
  const int64_t floats = scales + (b_in ? 1 : 0) + (b_gate ? 1 : 0);
  return neurons_per_expert *
         ((num_matrices() - 1) * InBytes() + hidden * BytesPerWeight(out_format()) +
          floats * int64_t{sizeof(float)});
}

ExpertWeights PackExperts(const model::FfnWeights& ffn, int64_t num_experts, WeightFormat format,
                          const PackedSlot& slot) {
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

  WeightArena arena;
  const bool gated = ffn.w_gate.defined(), scaled = format == WeightFormat::kInt8;
  const bool out_scaled = packed.out_format() == WeightFormat::kInt8;
  const auto floats = [&](bool wanted, int64_t count) {
    return wanted ? arena.Reserve(count * int64_t{sizeof(float)}) : -1;
  };
  const int64_t in = arena.Reserve(packed.InOffset(num_experts));
  const int64_t gate = gated ? arena.Reserve(packed.InOffset(num_experts)) : -1;
  const bool strips = packed.small() && out_scaled;
  const int64_t out =
      arena.Reserve(strips ? StripsBytes(num_experts, packed.neurons_per_expert, hidden)
                           : neurons * packed.OutBytes());
  const int64_t in_scale = floats(scaled, neurons);
  const int64_t gate_scale = floats(scaled && gated, neurons);
  const int64_t out_scale = floats(out_scaled, packed.padded_hidden);
  const int64_t b_in = floats(ffn.b_in.defined(), neurons);
  const int64_t b_gate = floats(ffn.b_gate.defined(), neurons);
  const int64_t b_out = floats(ffn.b_out.defined(), packed.padded_hidden);
  const PackedBytes created = arena.Create(slot);
  packed.storage = created.memory;
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
  if (created.is_filled) return packed;
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
    case WeightFormat::kInt4:
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
  experts.compensation_storage = AllocateFloats((experts.num_experts + 1) * columns);
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
  experts.min_magnitude_storage = AllocateFloats(neurons);
  auto* values = static_cast<float*>(experts.min_magnitude_storage.get());
  const at::Tensor in = min_magnitude.to(at::kFloat).contiguous();
  std::copy_n(in.data_ptr<float>(), neurons, values);
  experts.min_magnitude = values;
  return experts;
}

}  // namespace moefy::runtime
