#include "model/layers.h"

#include <cmath>
#include <limits>

namespace moefy::model {
namespace {

// Not minus infinity: a row of nothing but -inf softmaxes to NaN, and its gradient with it.
constexpr float kLowest = std::numeric_limits<float>::lowest();

}  // namespace

at::Tensor Norm::operator()(const at::Tensor& x) const {
  if (bias.defined()) return at::layer_norm(x, {x.size(-1)}, weight, bias, epsilon);
  return x * at::rsqrt(x.square().mean(-1, /*keepdim=*/true) + epsilon) * weight;
}

Packing::Packing(int64_t batch, int64_t tokens, const at::Tensor& mask)
    : batch_(batch), tokens_(tokens) {
  if (!mask.defined()) return;
  const at::Tensor real = mask != 0;
  if (real.all().item<bool>()) return;
  rows_ = real.flatten().nonzero().flatten();
  key_bias_ = at::zeros({batch, 1, 1, tokens})
                  .masked_fill_(real.logical_not().view({batch, 1, 1, tokens}), kLowest);
}

at::Tensor Packing::Pack(const at::Tensor& padded) const {
  const at::Tensor flat = padded.flatten(0, 1);
  return rows_.defined() ? flat.index_select(0, rows_) : flat;
}

at::Tensor Packing::Unpack(const at::Tensor& packed) const {
  const int64_t width = packed.size(1);
  if (!rows_.defined()) return packed.view({batch_, tokens_, width});
  return at::zeros({batch_ * tokens_, width}, packed.options())
      .index_copy(0, rows_, packed)
      .view({batch_, tokens_, width});
}

at::Tensor Packing::Positions() const {
  if (rows_.defined()) return at::remainder(rows_, tokens_);
  return at::arange(tokens_, at::kLong).repeat({batch_});
}

at::Tensor Attention::operator()(const at::Tensor& x, const Packing& x_packing,
                                 const at::Tensor& memory, const Packing& memory_packing,
                                 const at::Tensor& bias) const {
  // [rows, heads * head_dim] -> [batch, heads, tokens, head_dim]
  const auto heads = [this](const at::Tensor& packed, const Packing& packing) {
    return packing.Unpack(packed)
        .view({packing.batch(), packing.tokens(), num_heads, -1})
        .transpose(1, 2);
  };
  at::Tensor q = heads(query(x), x_packing);
  const at::Tensor k = heads(key(memory), memory_packing);
  const at::Tensor v = heads(value(memory), memory_packing);
  if (scale != 1.0) q = q * scale;
  at::Tensor scores = at::matmul(q, k.transpose(2, 3));  // [batch, heads, queries, keys]
  if (bias.defined()) scores = scores + bias;
  const at::Tensor mixed = at::matmul(at::softmax(scores, -1), v);  // [batch, heads, queries, dim]
  return output(x_packing.Pack(mixed.transpose(1, 2).flatten(2)));
}

at::Tensor RelativeBias(const at::Tensor& table, int64_t query_tokens, int64_t key_tokens,
                        bool bidirectional, int64_t max_distance) {
  int64_t num_buckets = table.size(0);
  // Key position minus query position, [queries, keys].
  const at::Tensor relative = at::arange(key_tokens, at::kLong).unsqueeze(0) -
                              at::arange(query_tokens, at::kLong).unsqueeze(1);
  at::Tensor bucket = at::zeros_like(relative);
  at::Tensor distance;
  if (bidirectional) {
    num_buckets /= 2;
    bucket = (relative > 0).to(at::kLong) * num_buckets;
    distance = relative.abs();
  } else {
    distance = (-relative).clamp_min(0);
  }
  // Half of the buckets are for exact distances, the other half grow logarithmically.
  const int64_t max_exact = num_buckets / 2;
  const at::Tensor logarithmic =
      max_exact + (at::log(distance.to(at::kFloat) / static_cast<double>(max_exact)) /
                   std::log(static_cast<double>(max_distance) / static_cast<double>(max_exact)) *
                   static_cast<double>(num_buckets - max_exact))
                      .clamp_min(0)  // distance 0 gives -inf, and is not used
                      .to(at::kLong);
  bucket =
      bucket + at::where(distance < max_exact, distance, logarithmic.clamp_max(num_buckets - 1));
  return at::embedding(table, bucket).permute({2, 0, 1}).unsqueeze(0);
}

at::Tensor CausalBias(int64_t tokens) {
  return at::full({tokens, tokens}, kLowest).triu(1).view({1, 1, tokens, tokens});
}

at::Tensor AddBias(const at::Tensor& a, const at::Tensor& b) {
  if (!a.defined()) return b;
  return b.defined() ? a + b : a;
}

}  // namespace moefy::model
