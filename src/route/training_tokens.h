// The recorded inputs of one FFN, parted into those to learn from and those held out.
#pragma once

#include <ATen/ATen.h>

#include <cstdint>
#include <vector>

#include "record/activation_dump.h"

namespace moefy::route {

// Tokens whose neurons are in memory at once.
inline constexpr int64_t kChunkTokens = 1024;

class TrainingTokens {
 public:
  // At most `max_tokens` are in memory at once. Of a larger dump, the held-out tokens are spread
  // evenly over it, and passes take the others in turn. Throws Error{kInput} for values that are
  // not finite, here or when they are read.
  TrainingTokens(const record::ActivationDump& dump, size_t ffn_idx, double held_out,
                 int64_t max_tokens);

  // After so many passes every token has been learned from.
  int64_t num_passes() const { return num_passes_; }
  int64_t num_train() const { return static_cast<int64_t>(train_.size()); }  // of all passes
  const at::Tensor& held_out() const { return held_out_; }                   // [tokens, hidden]
  // What pass 0, 1, ... learns from, in the dump's order; after the last comes the first again.
  at::Tensor Pass(int64_t pass) const;  // [tokens, hidden]

 private:
  at::Tensor Read(const std::vector<int64_t>& rows) const;

  const record::ActivationDump& dump_;
  size_t ffn_idx_;
  std::vector<int64_t> train_;  // rows
  int64_t num_passes_ = 1;
  at::Tensor held_out_;
};

}  // namespace moefy::route
