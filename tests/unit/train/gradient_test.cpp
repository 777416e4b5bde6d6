// Gradients of the loss, dense and through masked experts, against finite differences in double.
#include <gtest/gtest.h>

#include "model/family.h"
#include "runtime/sparse_model.h"
#include "support/split_fixtures.h"
#include "train/masked_ffn.h"
#include "train/objective.h"
#include "train/weights.h"

namespace moefy::train {
namespace {

ask::Batch MakeBatch(const model::ModelConfig& config) {
  const auto sequence = [&](int64_t length, std::vector<int64_t> target) {
    ask::Sequence made;
    for (int64_t i = 0; i < length; ++i) made.input.ids.push_back(5 + (i * 7) % 40);
    made.input.token_type_ids.assign(made.input.ids.size(), 0);
    made.target = std::move(target);
    return made;
  };
  std::vector<ask::Sequence> sequences = {sequence(6, {9, 11, 4}), sequence(4, {8, 7})};
  if (config.head == model::Head::kSequenceClassification) {
    sequences = {sequence(6, {1}), sequence(4, {0})};
  } else if (config.head == model::Head::kQuestionAnswering) {
    sequences = {sequence(6, {2, 3}), sequence(4, {0, 0})};
  }
  return ask::MakeBatches(sequences, config, 0, 64).front();
}

// Half of the experts by similarity, through MaskedFeedForward.
void InstallMasked(const split::MoeCheckpoint& moe, model::Transformer& model) {
  const auto selections = route::ReadRoutedFfns(moe, route::ParseSelection("similarity"), 0.5);
  for (size_t i = 0; i < model.num_ffns(); ++i) {
    const auto& dense = dynamic_cast<model::DenseFeedForward&>(model.feed_forward(i));
    model.ExchangeFeedForward(
        i, std::make_unique<MaskedFeedForward>(dense.weights(), moe.ffns()[i].plan.num_experts(),
                                               selections[i]));
  }
}

// The derivative along a random direction, both ways.
void CheckDirection(const std::string& pico, bool masked) {
  const tests::TempDir dir;
  tests::SplitInto(tests::Pico(pico), dir / "moe", 4);
  const split::MoeCheckpoint moe = split::MoeCheckpoint::Open(dir / "moe");
  const model::ModelConfig& config = moe.config();
  model::TensorMap parameters = model::ReadParameters(moe.weights(), config);
  at::manual_seed(3);
  model::TensorMap direction;
  for (auto& [name, tensor] : parameters) {
    tensor = tensor.to(at::kDouble).requires_grad_();
    direction.emplace(name, at::randn(tensor.sizes(), at::kDouble));
  }
  const ask::Batch batch = MakeBatch(config);
  const auto loss_of = [&](const model::TensorMap& at) {
    model::Transformer model(config, at);
    if (masked) InstallMasked(moe, model);
    return AnswerLoss(RunAnswers(model, batch)).sum;
  };
  loss_of(parameters).backward();
  double analytic = 0;
  for (const auto& [name, tensor] : parameters) {
    if (tensor.grad().defined()) analytic += (tensor.grad() * direction[name]).sum().item<double>();
  }
  const at::NoGradGuard no_grad;
  constexpr double kStep = 1e-6;
  const auto moved = [&](double step) {
    model::TensorMap at;
    for (const auto& [name, tensor] : parameters) at[name] = tensor + direction[name] * step;
    return loss_of(at).item<double>();
  };
  const double numeric = (moved(kStep) - moved(-kStep)) / (2 * kStep);
  EXPECT_NEAR(analytic, numeric, 1e-4 * std::max(1.0, std::abs(numeric)));
  EXPECT_GT(std::abs(numeric), 1e-3);  // or the comparison would say little
}

constexpr const char* kModels[] = {"t5-relu-tied",     "t5-v1_1-gated-gelu-untied",
                                   "bert-cls-gelu",    "bert-qa-gelu",
                                   "gpt2-relu-ninner", "llama-llama3-rope-scaling",
                                   "gemma-mqa",        "falcon-7b-like-mqa",
                                   "m2m_100-relu",     "phi-gelu_new"};

TEST(Gradient, OfDenseModels) {
  for (const char* pico : kModels) {
    SCOPED_TRACE(pico);
    CheckDirection(pico, /*masked=*/false);
  }
}

TEST(Gradient, ThroughTheChosenExperts) {
  for (const char* pico : kModels) {
    SCOPED_TRACE(pico);
    CheckDirection(pico, /*masked=*/true);
  }
}

}  // namespace
}  // namespace moefy::train
