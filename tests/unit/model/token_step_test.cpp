// The decoder's second way to compute a token against the first, for every family that decodes.
#include "model/decode_step.h"

#include <gtest/gtest.h>

#include "moefy/base/json.h"
#include "moefy/model/linear.h"
#include "moefy/model/transformer.h"
#include "support/random_model.h"
#include "support/shared_data.h"
#include "support/split_fixtures.h"
#include "support/temp_dir.h"
#include "support/tolerances.h"

namespace moefy::model {
namespace {

class PlainKernel final : public LinearKernel {
 public:
  PlainKernel(const at::Tensor& weight, const at::Tensor& bias)
      : weight_(weight.clone()), bias_(bias.defined() ? bias.clone() : bias) {}
  at::Tensor Forward(const at::Tensor& x) const override { return at::linear(x, weight_, bias_); }
  void ForwardInto(const float* x, int64_t rows, float* y) const override {
    ++num_steps;
    const at::Tensor in = at::from_blob(const_cast<float*>(x), {rows, weight_.size(1)}, at::kFloat);
    at::from_blob(y, {rows, weight_.size(0)}, at::kFloat).copy_(Forward(in));
  }
  static inline int64_t num_steps = 0;  // of all kernels

 private:
  at::Tensor weight_, bias_;
};

// Logits of a prompt of five tokens and eleven more tokens, one by one, [12, batch, vocab]; NaN
// where a text has ended. Prompts are padded on the left, and the second and the last text end.
at::Tensor DecodeInSteps(Transformer& model, int64_t batch) {
  const at::NoGradGuard no_grad;
  at::Tensor ids = at::arange(batch * 5, at::kLong).remainder(90).add(5).view({batch, 5});
  at::Tensor mask = at::ones_like(ids);
  mask[0].narrow(0, 0, 2).fill_(0);
  ForwardInputs inputs;
  inputs.input_ids = ids;
  inputs.attention_mask = mask;
  if (model.config().architecture == Architecture::kEncoderDecoder) {
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

double Difference(const at::Tensor& found, const at::Tensor& wanted) {
  EXPECT_TRUE(at::equal(found.isnan(), wanted.isnan()));
  return ((found - wanted).nan_to_num().abs().amax() / wanted.nan_to_num().abs().amax())
      .item<double>();
}

void ExpectBothWaysAlike(const std::filesystem::path& checkpoint) {
  Transformer tensors = LoadTransformer(io::Checkpoint::Open(checkpoint));
  Transformer rows = LoadTransformer(io::Checkpoint::Open(checkpoint));
  rows.ExchangeLinears([](const at::Tensor& weight, const at::Tensor& bias) {
    return std::make_shared<PlainKernel>(weight, bias);
  });
  for (const int64_t batch : {2, 11}) {
    PlainKernel::num_steps = 0;
    const at::Tensor found = DecodeInSteps(rows, batch);
    EXPECT_GT(PlainKernel::num_steps, 0) << "the second way is not in use";
    EXPECT_LT(Difference(found, DecodeInSteps(tensors, batch)), tests::kSparseVersusDense);
  }
}

TEST(TokenStep, EveryFamilysLogitsAreThoseOfTheTensors) {
  for (const char* pico :
       {"bart-gelu", "falcon-40b-like-grouped", "falcon-7b-like-mqa", "gemma-mqa",
        "gpt2-relu-ninner", "gpt_neox-parallel", "llama-llama3-rope-scaling", "m2m_100-relu",
        "marian-swish", "mistral-gqa", "opt-350m-like-postln-proj", "opt-fp16", "pegasus-relu",
        "phi-gelu_new", "qwen2-tied", "t5-relu-tied", "t5-relu-untied-longbucket",
        "t5-v1_1-gated-gelu-untied"}) {
    SCOPED_TRACE(pico);
    ExpectBothWaysAlike(tests::Pico(pico));
  }
}

TEST(TokenStep, SoAreThoseOfFamiliesWithoutACommittedModel) {
  std::vector<Json> configs = tests::NewDecoders();
  for (const Json& config : tests::NewTextToText()) configs.push_back(config);
  for (const Json& config : configs) {
    SCOPED_TRACE(config.dump());
    const tests::TempDir dir;
    tests::WriteRandomModel(config, dir.path());
    ExpectBothWaysAlike(dir.path());
  }
}

TEST(TokenStep, SeesNoFurtherThanTheSlidingWindow) {
  const tests::TempDir dir;
  tests::CopyModel(tests::Pico("mistral-gqa"), dir.path());
  Json config = ReadJsonFile(dir / "config.json");
  config["sliding_window"] = 6;
  dir.Write("config.json", config.dump());
  Transformer all = LoadTransformer(io::Checkpoint::Open(tests::Pico("mistral-gqa")));
  Transformer few = LoadTransformer(io::Checkpoint::Open(dir.path()));
  EXPECT_GT(Difference(DecodeInSteps(few, 2), DecodeInSteps(all, 2)), 1e-3) << "no window";
  ExpectBothWaysAlike(dir.path());
}

}  // namespace
}  // namespace moefy::model
