#include "model/decode_step.h"

#include <ATen/Parallel.h>

#include <algorithm>
#include <cmath>

#include "base/buffer.h"
#include "model/decode_math.h"
#include "model/decoding_state.h"

namespace moefy::model {
namespace {

// With fewer multiplications, starting threads costs more than it gives.
constexpr int64_t kSerialWork = 1 << 16;

void Add(const float* more, int64_t size, float* x) {
  for (int64_t i = 0; i < size; ++i) x[i] += more[i];
}

void Scale(double factor, int64_t size, float* x) {
  if (factor == 1.0) return;
  for (int64_t i = 0; i < size; ++i) x[i] *= static_cast<float>(factor);
}

}  // namespace

TokenStep::TokenStep(const ModelConfig& config, const Stack& stack, const Linear& output,
                     const at::Tensor& logits_bias,
                     const std::vector<std::unique_ptr<FeedForward>>& ffns, DecodingState& state)
    : config_(config),
      stack_(stack),
      output_(output),
      logits_bias_(logits_bias),
      ffns_(ffns),
      state_(state),
      buffers_(state.buffers) {}

void TokenStep::Run(const int64_t* ids, const int64_t* mask, int64_t batch) {
  TakeTexts(ids, mask, batch);
  Embed(ids);
  AppendKeyBias(mask, batch);
  if (stack_.relative_bias.defined()) FillRelativeBias(stack_.relative_bias);
  if (config_.position == PositionKind::kRotary) {
    FillRotation(config_.rotary, buffers_.angles);
    if (config_.local_rotary) FillRotation(*config_.local_rotary, buffers_.local_angles);
  }
  for (size_t layer_idx = 0; layer_idx < stack_.blocks.size(); ++layer_idx) RunBlock(layer_idx);
  Logits(batch);
  ++state_.length;
}

void TokenStep::TakeTexts(const int64_t* ids, const int64_t* mask, int64_t batch) {
  buffers_.texts.clear();
  buffers_.positions.clear();
  for (int64_t text = 0; text < batch; ++text) {
    const bool real = !mask || mask[text] != 0;
    const int64_t position = PositionOf(config_, ids[text], real, state_.length,
                                        state_.counts[static_cast<size_t>(text)]);
    if (!real) continue;
    buffers_.texts.push_back(text);
    buffers_.positions.push_back(position);
  }
  rows_ = static_cast<int64_t>(buffers_.texts.size());
  const StackConfig& sizes = config_.decoder;
  const int64_t width = std::max(config_.hidden, config_.embedding_width);
  GrowTo(buffers_.x, rows_ * config_.hidden);
  GrowTo(buffers_.in, rows_ * width);
  GrowTo(buffers_.out, rows_ * width);
  const int64_t heads = (sizes.num_heads + 2 * sizes.num_kv_heads) * sizes.head_dim;
  GrowTo(buffers_.heads, rows_ * std::max(heads, 2 * config_.hidden));
  GrowTo(buffers_.mixed, rows_ * sizes.num_heads * sizes.head_dim);
  if (config_.norm_place == NormPlace::kParallel) GrowTo(buffers_.ffn_out, rows_ * config_.hidden);
}

void TokenStep::Embed(const int64_t* ids) {
  const int64_t hidden = config_.hidden, width = stack_.token_embedding.size(1);
  const LinearKernel* const project_in = stack_.project_in.kernel.get();
  float* const embedded = project_in ? buffers_.in.data() : buffers_.x.data();
  for (int64_t row = 0; row < rows_; ++row) {
    const int64_t id = ids[buffers_.texts[static_cast<size_t>(row)]];
    std::copy_n(stack_.token_embedding.data_ptr<float>() + id * width, width,
                embedded + row * width);
  }
  Scale(config_.embedding_scale, rows_ * width, embedded);
  for (int64_t row = 0; config_.zero_start && row < rows_; ++row) {
    if (buffers_.positions[static_cast<size_t>(row)] != config_.position_offset) continue;
    std::fill_n(embedded + row * width, width, 0.0f);
  }
  if (project_in) project_in->ForwardInto(embedded, rows_, buffers_.x.data());
  for (int64_t row = 0; row < rows_; ++row) {
    float* const x = buffers_.x.data() + row * hidden;
    const int64_t position = buffers_.positions[static_cast<size_t>(row)];
    if (stack_.position_embedding.defined()) {
      Add(stack_.position_embedding.data_ptr<float>() + position * hidden, hidden, x);
    } else if (config_.position == PositionKind::kSinusoidal &&
               position >= config_.position_offset) {
      Sinusoids(position, hidden, config_.sinusoid_steps, buffers_.out.data());
      Add(buffers_.out.data(), hidden, x);
    }
    if (stack_.token_type_embedding.defined()) {
      Add(stack_.token_type_embedding.data_ptr<float>(), hidden, x);
    }
  }
  if (stack_.embedding_norm.weight.defined()) {
    NormRows(stack_.embedding_norm, buffers_.x, buffers_.x);
  }
}

void TokenStep::AppendKeyBias(const int64_t* mask, int64_t batch) {
  at::Tensor& bias = state_.key_bias;
  if (!bias.defined()) {
    if (rows_ == batch) return;
    bias = at::zeros({batch, 1, state_.length, 1}, at::kFloat);
  }
  GrowColumns(bias, state_.length, state_.length + 1);
  for (int64_t text = 0; text < batch; ++text) {
    bias.data_ptr<float>()[text * bias.stride(0) + state_.length] =
        mask && mask[text] == 0 ? kLowestScore : 0.0f;
  }
}

// Writes the bias of every head and key from `table` [buckets, heads] to buffers_.bias.
void TokenStep::FillRelativeBias(const at::Tensor& table) {
  const int64_t heads = config_.decoder.num_heads, keys = state_.length + 1;
  GrowTo(buffers_.bias, heads * state_.self.front().keys.size(2) + heads);
  for (int64_t key = 0; key < keys; ++key) {
    const int64_t bucket = RelativeBucket(key - state_.length, table.size(0),
                                          /*bidirectional=*/false, config_.relative_max_distance);
    const float* const of_heads = table.data_ptr<float>() + bucket * heads;
    for (int64_t head = 0; head < heads; ++head) {
      buffers_.bias[static_cast<size_t>(head * keys + key)] = of_heads[head];
    }
  }
}

void TokenStep::FillRotation(const RotaryConfig& rotary, StepBuffers::Angles& angles) {
  if (!angles.frequencies.defined()) angles.frequencies = RotaryFrequencies(rotary);
  const int64_t half = angles.frequencies.size(0);
  GrowTo(angles.cos, rows_ * half);
  GrowTo(angles.sin, rows_ * half);
  for (int64_t i = 0; i < rows_ * half; ++i) {
    const float angle = static_cast<float>(buffers_.positions[static_cast<size_t>(i / half)]) *
                        angles.frequencies.data_ptr<float>()[i % half];
    angles.cos[static_cast<size_t>(i)] = std::cos(angle);
    angles.sin[static_cast<size_t>(i)] = std::sin(angle);
  }
}

// Each sub-layer reads `in` and writes `out`.
void TokenStep::RunBlock(size_t layer_idx) {
  const Block& block = stack_.blocks[layer_idx];
  const int64_t hidden = config_.hidden, size = rows_ * hidden;
  StepBuffers& b = buffers_;
  const auto feed_forward = [&](std::vector<float>& out) {
    block.FeedForwardOf(ffns_).ForwardInto(b.in.data(), rows_, hidden, out.data());
  };
  const auto self_layer = [&] {
    if (block.recurrence) {
      Recur(layer_idx);
    } else {
      SelfAttention(layer_idx);
    }
  };
  if (config_.norm_place == NormPlace::kParallel) {
    NormRows(block.attention_norm, b.x, b.in);
    self_layer();
    if (block.ffn_norm.weight.defined()) NormRows(block.ffn_norm, b.x, b.in);
    feed_forward(b.ffn_out);
    Add(b.out.data(), size, b.x.data());
    Add(b.ffn_out.data(), size, b.x.data());
    return;
  }
  const bool pre_norm = config_.norm_place == NormPlace::kPre;
  const auto residual = [&](const Norm& norm, const Norm& post_norm, const auto& sub_layer) {
    if (pre_norm && norm.defined())
      NormRows(norm, b.x, b.in);
    else
      std::copy_n(b.x.data(), size, b.in.data());
    sub_layer();
    if (post_norm.defined()) NormRows(post_norm, b.out, b.out);
    Scale(config_.residual_scale, size, b.out.data());
    Add(b.out.data(), size, b.x.data());
    if (!pre_norm) NormRows(norm, b.x, b.x);
  };
  residual(block.attention_norm, block.attention_post_norm, self_layer);
  if (block.cross) residual(block.cross_norm, {}, [&] { CrossAttention(layer_idx); });
  residual(block.ffn_norm, block.ffn_post_norm, [&] { feed_forward(b.out); });
}

void TokenStep::SelfAttention(size_t layer_idx) {
  const Attention& attention = stack_.blocks[layer_idx].attention;
  const Projected projected = Project(layer_idx);
  AppendKeysValues(layer_idx, projected);
  const bool windowed = config_.attention_of(static_cast<int64_t>(layer_idx)).windowed;
  const int64_t keys = state_.length + 1, window = windowed ? config_.sliding_window : 0;
  const int64_t first = window > 0 ? std::max<int64_t>(0, keys - window) : 0;
  const at::Tensor& table = stack_.blocks[layer_idx].relative_bias;
  if (table.defined()) FillRelativeBias(table);
  const bool relative = table.defined() || stack_.relative_bias.defined();
  Attend(attention, projected.queries, state_.self[layer_idx], first, keys, state_.key_bias,
         relative ? buffers_.bias.data() : nullptr);
}

void TokenStep::Recur(size_t layer_idx) {
  const Recurrence& unit = *stack_.blocks[layer_idx].recurrence;
  const int64_t hidden = config_.hidden;
  float* const inputs = buffers_.heads.data();
  float* const forget = inputs + rows_ * hidden;
  unit.input.kernel->ForwardInto(buffers_.in.data(), rows_, inputs);
  unit.forget.kernel->ForwardInto(buffers_.in.data(), rows_, forget);
  float* const cells = state_.cells[layer_idx].data_ptr<float>();
  for (int64_t row = 0; row < rows_; ++row) {
    RecurRow(inputs + row * hidden, forget + row * hidden, hidden,
             cells + buffers_.texts[static_cast<size_t>(row)] * hidden,
             buffers_.out.data() + row * hidden);
  }
}

void TokenStep::CrossAttention(size_t layer_idx) {
  const Attention& attention = *stack_.blocks[layer_idx].cross;
  const KeysValues& memory = state_.cross[layer_idx];
  const Rows queries{buffers_.heads.data(), config_.decoder.num_heads * config_.decoder.head_dim};
  attention.query.kernel->ForwardInto(buffers_.in.data(), rows_, queries.data);
  Attend(attention, queries, memory, 0, memory.keys.size(2), state_.memory_packing.KeyBias(),
         nullptr);
}

TokenStep::Projected TokenStep::Project(size_t layer_idx) {
  const Attention& attention = stack_.blocks[layer_idx].attention;
  const int64_t dim = config_.decoder.head_dim;
  const int64_t queries = attention.num_heads * dim, keys = attention.num_kv_heads * dim;
  const float* const in = buffers_.in.data();
  float* const heads = buffers_.heads.data();
  Projected projected;
  if (attention.fused.kernel) {
    const int64_t stride = queries + 2 * keys;
    projected = {{heads, stride}, {heads + queries, stride}, {heads + queries + keys, stride}};
    attention.fused.kernel->ForwardInto(in, rows_, heads);
  } else {
    projected.queries = {heads, queries};
    projected.keys = {heads + rows_ * queries, keys};
    projected.values = {heads + rows_ * (queries + keys), keys};
    attention.query.kernel->ForwardInto(in, rows_, projected.queries.data);
    attention.key.kernel->ForwardInto(in, rows_, projected.keys.data);
    attention.value.kernel->ForwardInto(in, rows_, projected.values.data);
  }
  const LayerAttention layer = config_.attention_of(static_cast<int64_t>(layer_idx));
  const StepBuffers::Angles* angles = nullptr;
  if (config_.position == PositionKind::kRotary && layer.rotary) {
    angles = layer.windowed && config_.local_rotary ? &buffers_.local_angles : &buffers_.angles;
  }
  PrepareHeads(projected.queries, attention.num_heads, attention.query_norm, attention.qk_norm,
               angles);
  PrepareHeads(projected.keys, attention.num_kv_heads, attention.key_norm, attention.qk_norm,
               angles);
  return projected;
}

// Norms queries or keys if there is a norm, and rotates them if there are angles.
void TokenStep::PrepareHeads(const Rows& heads, int64_t num_heads, const Norm& norm, QkNorm kind,
                             const StepBuffers::Angles* angles) {
  const int64_t dim = config_.decoder.head_dim;
  const int64_t width = kind == QkNorm::kAll ? num_heads * dim : dim;
  for (int64_t row = 0; row < rows_; ++row) {
    for (int64_t first = 0; norm.defined() && first < num_heads * dim; first += width) {
      NormRow(norm, heads[row] + first, width, heads[row] + first);
    }
    if (!angles) continue;
    const int64_t half = angles->frequencies.size(0);
    RotateHeads(heads[row], num_heads, dim, angles->cos.data() + row * half,
                angles->sin.data() + row * half, half);
  }
}

// Texts that have ended get zeros: their columns are read, but weigh nothing.
void TokenStep::AppendKeysValues(size_t layer_idx, const Projected& projected) {
  const int64_t dim = config_.decoder.head_dim, column = state_.length;
  const auto append = [&](at::Tensor& memory, const Rows& rows) {
    GrowColumns(memory, column, column + 1);
    const int64_t batch = memory.size(0), heads = memory.size(1);
    int64_t row = 0;
    for (int64_t text = 0; text < batch; ++text) {
      const bool goes_on = row < rows_ && buffers_.texts[static_cast<size_t>(row)] == text;
      for (int64_t head = 0; head < heads; ++head) {
        float* const to = memory.data_ptr<float>() + text * memory.stride(0) +
                          head * memory.stride(1) + column * dim;
        if (goes_on)
          std::copy_n(rows[row] + head * dim, dim, to);
        else
          std::fill_n(to, dim, 0.0f);
      }
      row += goes_on;
    }
  };
  append(state_.self[layer_idx].keys, projected.keys);
  append(state_.self[layer_idx].values, projected.values);
}

// Attends to keys [first_key, end_key); `relative` is [heads][end_key] or null.
void TokenStep::Attend(const Attention& attention, const Rows& queries, const KeysValues& memory,
                       int64_t first_key, int64_t end_key, const at::Tensor& key_bias,
                       const float* relative) {
  const int64_t dim = config_.decoder.head_dim, heads = attention.num_heads;
  const int64_t room = memory.keys.size(2), queries_per_key = heads / attention.num_kv_heads;
  GrowTo(buffers_.scores, rows_ * heads * room);
  const at::Tensor &keys = memory.keys, &values = memory.values;
  AttendArgs all;
  all.key_stride = keys.stride(2);
  all.value_stride = values.stride(2);
  all.num_keys = end_key - first_key;
  all.head_dim = dim;
  const int64_t grain = std::max<int64_t>(1, kSerialWork / (2 * all.num_keys * dim));
  at::parallel_for(0, rows_ * heads, grain, [&](int64_t begin, int64_t end) {
    for (int64_t i = begin; i < end; ++i) {
      const int64_t row = i / heads, head = i % heads, key_head = head / queries_per_key;
      const int64_t text = buffers_.texts[static_cast<size_t>(row)];
      float* const query = queries[row] + head * dim;
      Scale(attention.scale, dim, query);
      AttendArgs args = all;
      args.query = query;
      args.softcap = static_cast<float>(attention.softcap);
      args.keys = keys.data_ptr<float>() + text * keys.stride(0) + key_head * keys.stride(1) +
                  first_key * args.key_stride;
      args.values = values.data_ptr<float>() + text * values.stride(0) +
                    key_head * values.stride(1) + first_key * args.value_stride;
      if (key_bias.defined()) {
        args.biases[0] = key_bias.data_ptr<float>() + text * key_bias.stride(0) + first_key;
      }
      if (relative) args.biases[1] = relative + head * end_key + first_key;
      args.scores = buffers_.scores.data() + i * room;
      args.out = buffers_.mixed.data() + i * dim;
      model::Attend(args);
    }
  });
  attention.output.kernel->ForwardInto(buffers_.mixed.data(), rows_, buffers_.out.data());
}

void TokenStep::NormRows(const Norm& norm, const std::vector<float>& from, std::vector<float>& to) {
  const int64_t width = config_.hidden;
  for (int64_t row = 0; row < rows_; ++row) {
    NormRow(norm, from.data() + row * width, width, to.data() + row * width);
  }
}

void TokenStep::Logits(int64_t batch) {
  float* last = buffers_.x.data();
  int64_t width = config_.hidden;
  if (stack_.final_norm.weight.defined()) NormRows(stack_.final_norm, buffers_.x, buffers_.x);
  if (stack_.project_out.kernel) {
    stack_.project_out.kernel->ForwardInto(last, rows_, buffers_.in.data());
    last = buffers_.in.data();
    width = config_.embedding_width;
  }
  Scale(config_.logits_scale, rows_ * width, last);
  const int64_t vocab = config_.vocab_size;
  if (!buffers_.logits.defined()) buffers_.logits = at::zeros({batch, vocab}, at::kFloat);
  float* const logits = buffers_.logits.data_ptr<float>();
  output_.kernel->ForwardInto(last, rows_, logits);
  // Move logits to the rows of their texts. These are never earlier rows, so go from the last down.
  for (int64_t row = rows_ - 1; row >= 0; --row) {
    float* const of_text = logits + buffers_.texts[static_cast<size_t>(row)] * vocab;
    if (of_text != logits + row * vocab) std::copy_n(logits + row * vocab, vocab, of_text);
    if (logits_bias_.defined()) Add(logits_bias_.data_ptr<float>(), vocab, of_text);
    Softcap(static_cast<float>(config_.logits_softcap), vocab, of_text);
  }
}

}  // namespace moefy::model
