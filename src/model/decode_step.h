// The second way to compute a token: runs one more token of every text through a decoder whose
// linear maps are kernels (model/linear.h), on the CPU and without gradients. It computes the sums
// of Transformer::Impl::Run row by row, without a tensor, because for a few rows LibTorch's tensors
// and calls take longer than the sums do (decision 13). Both ways must honour every field of
// ModelConfig: tests/unit/model/decode_step_fields_test.cpp.
// Thread-safety: one call at a time, parallel inside.
#pragma once

#include <ATen/ATen.h>

#include <cstdint>
#include <memory>
#include <vector>

#include "model/stack.h"
#include "moefy/model/config.h"
#include "moefy/model/feed_forward.h"

namespace moefy::model {

struct DecodingState;

// Buffers that a decoding keeps from step to step, so that no step allocates. Rows are the texts
// that go on.
struct StepBuffers {
  std::vector<int64_t> texts;      // [rows] in the batch
  std::vector<int64_t> positions;  // [rows]
  std::vector<float> x;            // [rows][hidden], the residual stream
  std::vector<float> in, out;      // [rows][hidden or embedding width]
  std::vector<float> ffn_out;      // [rows][hidden]
  std::vector<float> heads;        // queries, keys and values of all rows
  std::vector<float> mixed;        // [rows][heads][head_dim]
  std::vector<float> scores;       // [rows][heads][keys]
  std::vector<float> bias;         // [heads][keys], what relative positions add to scores
  // Rotation angles: `angles` of layers that see all tokens, `local_angles` of layers with a
  // window.
  struct Angles {
    std::vector<float> cos, sin;  // [rows][rotated dimensions / 2]
    at::Tensor frequencies;       // [rotated dimensions / 2]
  };
  Angles angles, local_angles;
  at::Tensor logits;  // [batch][vocab]
};

class TokenStep {
 public:
  TokenStep(const ModelConfig& config, const Stack& stack, const Linear& output,
            const at::Tensor& logits_bias, const std::vector<std::unique_ptr<FeedForward>>& ffns,
            DecodingState& state);

  // Runs the step on ids [batch]. mask [batch] is 0 for texts that have ended; null means that none
  // has. `state` must have begun. The logits are in its buffers; those of a text that has ended
  // mean nothing.
  void Run(const int64_t* ids, const int64_t* mask, int64_t batch);

 private:
  // Rows of numbers in one of the buffers.
  struct Rows {
    float* data = nullptr;
    int64_t stride = 0;
    float* operator[](int64_t row) const { return data + row * stride; }
  };
  struct Projected {
    Rows queries, keys, values;
  };

  void TakeTexts(const int64_t* ids, const int64_t* mask, int64_t batch);
  void Embed(const int64_t* ids);
  void AppendKeyBias(const int64_t* mask, int64_t batch);
  void FillRelativeBias(const at::Tensor& table);
  void FillRotation(const RotaryConfig& rotary, StepBuffers::Angles& angles);
  void RunBlock(size_t layer_idx);
  Projected Project(size_t layer_idx);
  void PrepareHeads(const Rows& heads, int64_t num_heads, const Norm& norm, QkNorm kind,
                    const StepBuffers::Angles* angles);
  void AppendKeysValues(size_t layer_idx, const Projected& projected);
  void Attend(const Attention& attention, const Rows& queries, const KeysValues& memory,
              int64_t first_key, int64_t end_key, const at::Tensor& key_bias,
              const float* relative);
  void SelfAttention(size_t layer_idx);
  void Recur(size_t layer_idx);
  void CrossAttention(size_t layer_idx);
  void NormRows(const Norm& norm, const std::vector<float>& from, std::vector<float>& to);
  void Logits(int64_t batch);

  const ModelConfig& config_;
  const Stack& stack_;
  const Linear& output_;
  const at::Tensor& logits_bias_;
  const std::vector<std::unique_ptr<FeedForward>>& ffns_;
  DecodingState& state_;
  StepBuffers& buffers_;
  int64_t rows_ = 0;
};

}  // namespace moefy::model
