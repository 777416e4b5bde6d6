// The part of a call (runtime/sparse_call.h) that is different for small experts
// (runtime/small_tiles.h), after the tokens were grouped by expert. In order: SetUp by one thread;
// the first product's items, by whatever threads; for INT8 each token's; the second product's.
// Two threads never write to the same place, and each sum has one fixed order.
#pragma once

#include <cstdint>

#include "runtime/expert_weights.h"
#include "runtime/scratch.h"

namespace moefy::runtime {

struct SmallCall {
  const ExpertWeights& experts;
  Scratch& scratch;          // with its tiles
  const float* x = nullptr;  // with zeros up to a multiple of 16 after each row
  int64_t x_stride = 0;
  QuantizedRows x_quantized = {};   // INT8: in place of x
  const int32_t* tokens = nullptr;  // what the tiles' pairs point into
  int64_t num_tokens = 0;
  int64_t experts_per_token = 0;  // at most
  float* y = nullptr;             // [num_tokens, hidden]

  // Set by SetUp:
  int64_t num_slots = 0;
  int64_t num_first_items = 0, num_token_items = 0, num_second_items = 0;
  QuantizedRows h_quantized = {};

  void SetUp(int threads);
  void FirstItem(int64_t item) const;
  void TokenItem(int64_t t, int thread) const;
  void SecondItem(int64_t item, int thread) const;

 private:
  void CutIntoBlocks();
  void ListPairs();
  void PanelItem(int64_t item, int thread) const;
  void StripItem(int64_t strip, int thread) const;
  int64_t tiles_per_item() const;
  int64_t unit_stride() const;
  bool quantized() const { return experts.format == WeightFormat::kInt8; }
  bool leaves_out() const { return experts.activation.makes_zeros() || experts.min_magnitude; }
};

}  // namespace moefy::runtime
