// The two ways to compute a decoder's next token, on the same weights: with LibTorch's tensors
// (Transformer::Impl::Run), and row by row with kernels (TokenStep).
#pragma once

#include <gtest/gtest.h>

#include <functional>
#include <initializer_list>
#include <limits>
#include <memory>

#include "model/linear.h"
#include "moefy/model/transformer.h"
#include "support/tolerances.h"

namespace moefy::tests {

// A kernel that multiplies as LibTorch does: what differs between the ways is all the rest.
class PlainKernel final : public model::LinearKernel {
 public:
  PlainKernel(const at::Tensor& weight, const at::Tensor& bias)
      : weight_(weight.clone()), bias_(bias.defined() ? bias.clone() : bias) {}
  at::Tensor Forward(const at::Tensor& x) const override { return at::linear(x, weight_, bias_); }
  void ForwardInto(const float* x, int64_t rows, float* y) const override {
    ++num_steps;
    const at::Tensor in = at::from_blob(const_cast<float*>(x), {rows, weight_.size(1)}, at::kFloat);
    at::from_blob(y, {rows, weight_.size(0)}, at::kFloat).copy_(Forward(in));
  }
  static inline int64_t num_steps = 0;  // calls of ForwardInto, all kernels together

 private:
  at::Tensor weight_, bias_;
};

// Logits of a prompt of five tokens and eleven more tokens, one by one, [12, batch, vocab]; NaN
// where a text has ended. Prompts are padded on the left, and the second and the last text end.
inline at::Tensor DecodeInSteps(model::Transformer& model, int64_t batch) {
  const at::NoGradGuard no_grad;
  at::Tensor ids = at::arange(batch * 5, at::kLong).remainder(90).add(5).view({batch, 5});
  at::Tensor mask = at::ones_like(ids);
  mask[0].narrow(0, 0, 2).fill_(0);
  model::ForwardInputs inputs;
  inputs.input_ids = ids;
  inputs.attention_mask = mask;
  if (model.config().architecture == model::Architecture::kEncoderDecoder) {
    inputs.attention_mask = mask.flip(1);
    ids = at::full({batch, 1}, 3, at::kLong);
    mask = at::Tensor();
  }
  const auto state = model.StartDecoding(inputs);
  std::vector<at::Tensor> logits;
  for (int64_t step = 0; step < 12; ++step) {
    logits.push_back(model.Decode(*state, ids, mask).clone());
    if (step > 4) logits.back()[batch - 1].fill_(NAN);
    if (step > 6) logits.back()[1].fill_(NAN);
    ids = at::arange(batch, at::kLong).view({batch, 1}).add(7 * step + 5).remainder(90);
    mask = step < 4 ? at::Tensor() : at::ones({batch, 1}, at::kBool);
    if (step >= 4) mask[batch - 1].zero_();
    if (step >= 6) mask[1].zero_();
  }
  return at::stack(logits);
}

// The largest difference, as a share of the largest number of `wanted`; infinite for other shapes.
inline double LogitsDifference(const at::Tensor& found, const at::Tensor& wanted) {
  if (found.sizes() != wanted.sizes()) return std::numeric_limits<double>::infinity();
  EXPECT_TRUE(at::equal(found.isnan(), wanted.isnan()));
  return ((found - wanted).nan_to_num().abs().amax() / wanted.nan_to_num().abs().amax())
      .item<double>();
}

// Fails unless both ways give the same logits for batches of these sizes, at least two texts each.
// Returns the tensors' logits of the first batch. `load` makes the model anew, with the same
// weights each time.
inline at::Tensor ExpectBothWaysAlike(const std::function<model::Transformer()>& load,
                                      std::initializer_list<int64_t> batches = {2, 11}) {
  model::Transformer tensors = load();
  model::Transformer rows = load();
  rows.ExchangeLinears([](const at::Tensor& weight, const at::Tensor& bias, bool) {
    return std::make_shared<PlainKernel>(weight, bias);
  });
  at::Tensor first;
  for (const int64_t batch : batches) {
    PlainKernel::num_steps = 0;
    const at::Tensor found = DecodeInSteps(rows, batch), wanted = DecodeInSteps(tensors, batch);
    EXPECT_GT(PlainKernel::num_steps, 0) << "the second way is not in use";
    EXPECT_LT(LogitsDifference(found, wanted), kSparseVersusDense);
    if (!first.defined()) first = wanted;
  }
  return first;
}

}  // namespace moefy::tests
