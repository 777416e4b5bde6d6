#include "model/layers.h"

namespace moefy::model {

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
                  .masked_fill_(real.logical_not().view({batch, 1, 1, tokens}), kLowestScore);
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

namespace {

// [rows, heads * head_dim] -> [batch, heads, tokens, head_dim]
at::Tensor ToHeads(const at::Tensor& packed, int64_t num_heads, const Packing& packing) {
  return packing.Unpack(packed)
      .view({packing.batch(), packing.tokens(), num_heads, -1})
      .transpose(1, 2);
}

at::Tensor RotateRows(const at::Tensor& packed, int64_t num_heads, const Rotation& rotation) {
  if (!rotation.cos.defined()) return packed;
  return Rotate(packed.view({packed.size(0), num_heads, -1}), rotation).flatten(1);
}

}  // namespace

KeysValues Attention::Project(const at::Tensor& x, const Packing& packing,
                              const Rotation& rotation) const {
  if (!fused.kernel) {
    return {ToHeads(RotateRows(key(x), num_kv_heads, rotation), num_kv_heads, packing),
            ToHeads(value(x), num_kv_heads, packing)};
  }
  const at::Tensor all = fused(x);
  const int64_t queries = num_heads * head_dim, keys = num_kv_heads * head_dim;
  return {ToHeads(RotateRows(all.narrow(1, queries, keys), num_kv_heads, rotation), num_kv_heads,
                  packing),
          ToHeads(all.narrow(1, queries + keys, keys), num_kv_heads, packing),
          all.narrow(1, 0, queries)};
}

at::Tensor Attention::operator()(const at::Tensor& x, const Packing& packing,
                                 const Rotation& rotation, const KeysValues& memory,
                                 const at::Tensor& bias) const {
  const at::Tensor queries = memory.queries.defined() ? memory.queries : query(x);
  at::Tensor q = ToHeads(RotateRows(queries, num_heads, rotation), num_heads, packing);
  if (scale != 1.0) q = q * scale;
  const int64_t batch = q.size(0), tokens = q.size(2), keys = memory.keys.size(2);
  // The query heads of one key head are further queries to it: nothing is repeated.
  if (num_kv_heads != num_heads) q = q.reshape({batch, num_kv_heads, -1, q.size(3)});
  at::Tensor scores = at::matmul(q, memory.keys.transpose(2, 3));
  scores = scores.view({batch, num_heads, tokens, keys});
  if (bias.defined()) {
    scores = at::GradMode::is_enabled() ? scores + bias : scores.add_(bias);
  }
  at::Tensor weights = at::softmax(scores, -1);
  if (num_kv_heads != num_heads) weights = weights.view({batch, num_kv_heads, -1, keys});
  at::Tensor mixed = at::matmul(weights, memory.values);
  if (num_kv_heads != num_heads) mixed = mixed.view({batch, num_heads, tokens, -1});
  return output(packing.Pack(mixed.transpose(1, 2).flatten(2)));
}

}  // namespace moefy::model
