#include "model/layers.h"

#include <ATen/Parallel.h>
#include <ATen/core/grad_mode.h>

#include <algorithm>
#include <vector>

#include "model/attend_by_kernel.h"
#include "model/decode_math.h"

namespace moefy::model {
namespace {

// With fewer rows than these, the norm is done before a thread would start.
constexpr int64_t kNormRowsPerThread = 16;
constexpr int64_t kRotatedRowsPerThread = 16;

bool RunsKernel(const Norm& norm, const at::Tensor& x) {
  return norm.kernel && !at::GradMode::is_enabled() && x.is_cpu() && x.scalar_type() == at::kFloat;
}

// The norm of x + added, or of x if `added` is undefined; `sum`, if given, gets what is normed.
at::Tensor NormByKernel(const Norm& norm, const at::Tensor& x, const at::Tensor& added,
                        at::Tensor* sum) {
  const at::Tensor in = x.contiguous();
  at::Tensor out = at::empty_like(in, at::MemoryFormat::Contiguous);
  const int64_t width = in.size(-1);
  NormRowsArgs all;
  all.width = width;
  all.weight = norm.weight.data_ptr<float>();
  all.bias = norm.bias.defined() ? norm.bias.data_ptr<float>() : nullptr;
  all.epsilon = static_cast<float>(norm.epsilon);
  const auto at = [&](const at::Tensor& tensor, int64_t row) {
    return tensor.data_ptr<float>() + row * width;
  };
  at::parallel_for(0, in.numel() / width, kNormRowsPerThread, [&](int64_t begin, int64_t end) {
    NormRowsArgs args = all;
    args.rows = end - begin;
    args.x = at(in, begin);
    if (added.defined()) args.added = at(added, begin);
    if (sum) args.sum = at(*sum, begin);
    args.out = at(out, begin);
    norm.kernel(args);
  });
  return out;
}

}  // namespace

at::Tensor Norm::operator()(const at::Tensor& x) const {
  if (RunsKernel(*this, x)) return NormByKernel(*this, x, {}, nullptr);
  if (bias.defined()) return at::layer_norm(x, {x.size(-1)}, weight, bias, epsilon);
  if (at::GradMode::is_enabled() || !x.is_cpu() || x.scalar_type() != at::kFloat) {
    return x * at::rsqrt(x.square().mean(-1, /*keepdim=*/true) + epsilon) * weight;
  }
  // This loop passes over memory once; the tensors above pass five times.
  const at::Tensor in = x.contiguous();
  at::Tensor out = at::empty_like(in, at::MemoryFormat::Contiguous);
  const int64_t width = in.size(-1);
  at::parallel_for(0, in.numel() / width, kNormRowsPerThread, [&](int64_t begin, int64_t end) {
    for (int64_t row = begin; row < end; ++row) {
      NormRow(*this, in.data_ptr<float>() + row * width, width,
              out.data_ptr<float>() + row * width);
    }
  });
  return out;
}

at::Tensor Norm::OfSum(at::Tensor& x, at::Tensor& added) const {
  if (added.defined() && defined() && RunsKernel(*this, x) && added.is_contiguous()) {
    at::Tensor sum = at::empty_like(x, at::MemoryFormat::Contiguous);
    at::Tensor out = NormByKernel(*this, x, added, &sum);
    x = sum;
    added = at::Tensor();
    return out;
  }
  if (added.defined()) x = x + added;
  added = at::Tensor();
  return defined() ? (*this)(x) : x;
}

namespace {

// The rows of each text of `real` [batch, tokens], Bool on the CPU; none if padding lies between a
// text's tokens.
std::vector<Packing::Text> TextLengths(const at::Tensor& real) {
  const at::Tensor mask = real.contiguous();
  const bool* column = mask.data_ptr<bool>();
  std::vector<Packing::Text> texts;
  int64_t row = 0;
  for (int64_t b = 0; b < mask.size(0); ++b, column += mask.size(1)) {
    const bool* const end = column + mask.size(1);
    const bool* const first = std::find(column, end, true);
    const bool* const last = std::find(first, end, false);
    if (std::find(last, end, true) != end) return {};
    texts.push_back({row, last - first});
    row += last - first;
  }
  return texts;
}

}  // namespace

Packing::Packing(int64_t batch, int64_t tokens, const at::Tensor& mask)
    : batch_(batch), tokens_(tokens) {
  if (!mask.defined()) return;
  const at::Tensor real = mask != 0;
  if (real.all().item<bool>()) return;
  lengths_ = TextLengths(real.cpu());
  rows_ = real.flatten().nonzero().flatten();
  key_bias_ = at::zeros({batch, 1, 1, tokens}, mask.options().dtype(at::kFloat))
                  .masked_fill_(real.logical_not().view({batch, 1, 1, tokens}), kLowestScore);
}

Packing Packing::AsTexts() const {
  if (lengths_.empty()) return *this;
  Packing texts(1, rows_.size(0), {});
  texts.texts_ = lengths_;
  return texts;
}

int64_t Packing::longest_text() const {
  int64_t longest = 0;
  for (const Text& text : texts_) longest = std::max(longest, text.count);
  return longest;
}

at::Tensor Packing::Pack(const at::Tensor& padded) const {
  const at::Tensor flat = padded.flatten(0, 1);
  return rows_.defined() ? flat.index_select(0, rows_) : flat;
}

at::Tensor Packing::Unpack(const at::Tensor& packed) const {
  const int64_t width = packed.size(1);
  if (!rows_.defined()) return packed.view({batch_, tokens_, width});
  return at::zeros({batch_ * tokens_, width}, packed.options())
      .index_copy_(0, rows_, packed)
      .view({batch_, tokens_, width});
}

at::Tensor ToHeads(const at::Tensor& packed, int64_t num_heads, const Packing& packing) {
  return packing.Unpack(packed)
      .view({packing.batch(), packing.tokens(), num_heads, -1})
      .transpose(1, 2);
}

namespace {

// Norms x [rows, heads * head_dim], each head by itself or all together; returns x without a norm.
at::Tensor NormHeads(const Norm& norm, QkNorm kind, int64_t num_heads, const at::Tensor& x) {
  if (!norm.defined()) return x;
  if (kind == QkNorm::kAll) return norm(x);
  return norm(x.reshape({x.size(0), num_heads, x.size(1) / num_heads})).flatten(1);
}

// Caps the scores, in place if nothing is differentiated.
at::Tensor CapScores(const at::Tensor& scores, double cap) {
  if (cap == 0) return scores;
  if (at::GradMode::is_enabled()) return at::tanh(scores / cap) * cap;
  at::Tensor in_place = scores;
  return in_place.div_(cap).tanh_().mul_(cap);
}

// Rotates `packed` [rows, heads * head_dim] in place if nothing is differentiated and it is on the
// CPU: one pass over memory instead of eight.
at::Tensor RotateRows(const at::Tensor& packed, int64_t num_heads, const Rotation& rotation) {
  if (!rotation.cos.defined()) return packed;
  if (!at::GradMode::is_enabled() && packed.is_cpu() && packed.scalar_type() == at::kFloat &&
      packed.stride(1) == 1 && packed.size(0) > 0) {
    MOEFY_CHECK(rotation.cos.size(0) == packed.size(0) && rotation.cos.is_contiguous() &&
                rotation.sin.is_contiguous());
    const int64_t half = rotation.cos.size(2);
    auto* const first = packed.data_ptr<float>();
    const auto *cos = rotation.cos.data_ptr<float>(), *sin = rotation.sin.data_ptr<float>();
    at::parallel_for(0, packed.size(0), kRotatedRowsPerThread, [&](int64_t begin, int64_t end) {
      for (int64_t row = begin; row < end; ++row) {
        RotateHeads(first + row * packed.stride(0), num_heads, packed.size(1) / num_heads,
                    cos + row * half, sin + row * half, half);
      }
    });
    return packed;
  }
  // The last size is not -1, because LibTorch could not tell it if there are no rows.
  return Rotate(packed.view({packed.size(0), num_heads, packed.size(1) / num_heads}), rotation)
      .flatten(1);
}

// Maps q [batch, heads, tokens, head_dim], with `memory` and `bias` as Attention takes them, to
// [batch, tokens, heads * head_dim]. Each thread takes one head at a time, so that scores stay in
// the cache, nothing is copied, and LibTorch without MKL does not start and join its threads for
// every head. Not differentiable, and for the CPU only.
at::Tensor AttendByHead(const at::Tensor& q, const KeysValues& memory, const at::Tensor& bias,
                        double softcap) {
  const int64_t batch = q.size(0), heads = q.size(1), tokens = q.size(2), dim = q.size(3);
  const int64_t queries_per_key = heads / memory.keys.size(1);
  const at::Tensor full_bias =
      bias.defined() ? bias.expand({batch, heads, tokens, memory.keys.size(2)}) : bias;
  at::Tensor out = at::empty({batch, tokens, heads * dim}, q.options());
  const at::Tensor by_head = out.view({batch, tokens, heads, dim}).transpose(1, 2);
  at::parallel_for(0, batch * heads, 1, [&](int64_t begin, int64_t end) {
    const at::NoGradGuard no_grad;  // each thread has its own mode
    for (int64_t i = begin; i < end; ++i) {
      const int64_t b = i / heads, head = i % heads, key_head = head / queries_per_key;
      at::Tensor scores =  // [tokens, keys]
          CapScores(at::mm(q[b][head], memory.keys[b][key_head].t()), softcap);
      if (full_bias.defined()) scores.add_(full_bias[b][head]);
      at::Tensor mixed = by_head[b][head];
      at::mm_out(mixed, at::softmax(scores, -1), memory.values[b][key_head]);
    }
  });
  return out;
}

// Does the same for all heads at once, [batch, tokens, heads * head_dim]: for gradients, for GPUs,
// and for one or two tokens, with which a head is hardly any work.
at::Tensor AttendAtOnce(at::Tensor q, const KeysValues& memory, const at::Tensor& bias,
                        double softcap) {
  const int64_t batch = q.size(0), heads = q.size(1), tokens = q.size(2);
  const int64_t kv_heads = memory.keys.size(1), keys = memory.keys.size(2);
  // The query heads of one key head count as further queries to it, so that no key is repeated.
  if (kv_heads != heads) q = q.reshape({batch, kv_heads, -1, q.size(3)});
  at::Tensor scores = CapScores(at::matmul(q, memory.keys.transpose(2, 3)), softcap);
  scores = scores.view({batch, heads, tokens, keys});
  if (bias.defined()) {
    scores = at::GradMode::is_enabled() ? scores + bias : scores.add_(bias);
  }
  at::Tensor weights = at::softmax(scores, -1);
  if (kv_heads != heads) weights = weights.view({batch, kv_heads, -1, keys});
  at::Tensor mixed = at::matmul(weights, memory.values);
  if (kv_heads != heads) mixed = mixed.view({batch, heads, tokens, -1});
  return mixed.transpose(1, 2).flatten(2);
}

}  // namespace

std::pair<at::Tensor, at::Tensor> Attention::QueriesAndKeys(const at::Tensor& x) const {
  if (!fused.kernel) return {query(x), key(x)};
  const at::Tensor all = fused(x);
  const int64_t queries = num_heads * head_dim;
  return {all.narrow(1, 0, queries), all.narrow(1, queries, num_kv_heads * head_dim)};
}

KeysValues Attention::Project(const at::Tensor& x, const Packing& packing,
                              const Rotation& rotation) const {
  const auto to_keys = [&](const at::Tensor& keys) {
    return ToHeads(
        RotateRows(NormHeads(key_norm, qk_norm, num_kv_heads, keys), num_kv_heads, rotation),
        num_kv_heads, packing);
  };
  if (!fused.kernel) {
    return {to_keys(key(x)), ToHeads(value(x), num_kv_heads, packing)};
  }
  const at::Tensor all = fused(x);
  const int64_t queries = num_heads * head_dim, keys = num_kv_heads * head_dim;
  return {to_keys(all.narrow(1, queries, keys)),
          ToHeads(all.narrow(1, queries + keys, keys), num_kv_heads, packing),
          all.narrow(1, 0, queries)};
}

at::Tensor Attention::operator()(const at::Tensor& x, const Packing& packing,
                                 const Rotation& rotation, const KeysValues& memory,
                                 const ScoreBias& bias) const {
  const at::Tensor queries = NormHeads(query_norm, qk_norm, num_heads,
                                       memory.queries.defined() ? memory.queries : query(x));
  at::Tensor q = ToHeads(RotateRows(queries, num_heads, rotation), num_heads, packing);
  const bool by_kernel = kernel && !at::GradMode::is_enabled() && memory.keys.stride(3) == 1 &&
                         memory.values.stride(3) == 1 && q.stride(3) == 1;
  if (scale != 1.0 && !by_kernel) q = q * scale;
  if (by_kernel && !packing.texts().empty()) {
    return output(AttendTexts(*this, q, memory, bias, packing));
  }
  const auto attend = [&](const at::Tensor& part, int64_t first) {
    const at::Tensor part_bias = bias.Rows(first, part.size(2));
    if (by_kernel) {
      const int64_t keys = memory.keys.size(2);
      const int64_t visible = bias.causal ? bias.first_query + first + 1 : keys;
      return AttendByKernel(*this, part, memory, part_bias, visible);
    }
    return at::GradMode::is_enabled() || part.size(2) <= 2 || !part.is_cpu()
               ? AttendAtOnce(part, memory, part_bias, softcap)
               : AttendByHead(part, memory, part_bias, softcap);
  };
  const int64_t tokens = q.size(2);
  const int64_t block = QueriesPerBlock(q.size(0), num_heads, tokens, memory.keys.size(2));
  if (block >= tokens) return output(packing.Pack(attend(q, 0)));
  std::vector<at::Tensor> parts;
  for (int64_t first = 0; first < tokens; first += block) {
    const int64_t count = std::min(block, tokens - first);
    parts.push_back(attend(q.narrow(2, first, count), first));
  }
  const at::Tensor mixed = at::cat(parts, 1);
  return output(packing.Pack(mixed));
}

}  // namespace moefy::model
