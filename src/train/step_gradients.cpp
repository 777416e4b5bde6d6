#include "train/step_gradients.h"

#include <charconv>
#include <span>
#include <string>

#include "base/ranks.h"
#include "model/device.h"
#include "moefy/base/error.h"
#include "train/epoch_plan.h"

namespace moefy::train {
namespace {

// What rank 0 announces that has no more steps; a step is announced by its number.
constexpr const char* kNoMoreSteps = "end";

int64_t NumAnswers(const ask::Batch& batch) {
  return (batch.targets != ask::kNoTarget).sum().item<int64_t>();
}

int64_t NumAnswers(const std::vector<ask::Batch>& batches) {
  int64_t count = 0;
  for (const ask::Batch& batch : batches) count += NumAnswers(batch);
  return count;
}

std::vector<ask::Sequence> Share(const std::vector<ask::Sequence>& sequences, size_t share,
                                 size_t num_shares) {
  std::vector<ask::Sequence> taken;
  for (size_t i = share; i < sequences.size(); i += num_shares) taken.push_back(sequences[i]);
  return taken;
}

// Has `share` change the values of a tensor, wherever it is.
template <typename ShareValues>
void ShareTensor(const at::Tensor& tensor, const ShareValues& share) {
  const at::NoGradGuard no_grad;
  const at::Tensor values = tensor.detach().to(at::kCPU, at::kFloat).contiguous();
  share(std::span<float>(values.data_ptr<float>(), static_cast<size_t>(values.numel())));
  if (!values.is_alias_of(tensor)) tensor.copy_(values);
}

}  // namespace

model::Transformer BuildModel(const TrainingSetup& setup, double ffn_ratio) {
  model::Transformer model(setup.config, setup.weights.Effective());
  if (setup.install) setup.install(model, ffn_ratio);
  return model;
}

std::vector<ask::Batch> BatchesOf(const TrainingSetup& setup, const TrainerOptions& options,
                                  const std::vector<ask::Sequence>& sequences) {
  std::vector<ask::Batch> batches =
      ask::MakeBatches(sequences, setup.config, setup.pad_id, options.batch_tokens);
  for (ask::Batch& batch : batches) {
    batch.inputs = model::OnDevice(batch.inputs, setup.weights.device());
    batch.targets = model::OnDevice(batch.targets, setup.weights.device());
  }
  return batches;
}

StepGradients::StepGradients(const TrainingSetup& setup, const TrainerOptions& options)
    : setup_(setup),
      options_(options),
      steps_per_epoch_((static_cast<int64_t>(setup.sequences.size()) + options.batch_size - 1) /
                       options.batch_size) {}

double StepGradients::Add(int64_t step) {
  if (!setup_.among_ranks) return AddShare(step, 0, 1);
  Ranks::Get().Announce(std::to_string(step));
  ShareWeights();
  return SumUp(AddShare(step, 0, static_cast<size_t>(Ranks::Get().size())));
}

void StepGradients::Finish() const {
  if (setup_.among_ranks) Ranks::Get().Announce(kNoMoreSteps);
}

void StepGradients::Serve() {
  Ranks& ranks = Ranks::Get();
  for (;;) {
    const std::optional<std::string> announced = ranks.NextJob();
    if (!announced || *announced == kNoMoreSteps) return;
    int64_t step = 0;
    std::from_chars(announced->data(), announced->data() + announced->size(), step);
    ShareWeights();
    SumUp(AddShare(step, static_cast<size_t>(ranks.rank()), static_cast<size_t>(ranks.size())));
    for (const auto& [name, leaf] : setup_.weights.leaves()) leaf.mutable_grad().zero_();
  }
}

double StepGradients::AddShare(int64_t step, size_t share, size_t num_shares) {
  const int64_t epoch = step / steps_per_epoch_;
  if (epoch != planned_epoch_) {
    plan_ = PlanEpoch(setup_.sequences, options_.batch_size, static_cast<uint64_t>(options_.seed),
                      epoch);
    planned_epoch_ = epoch;
  }
  const std::vector<ask::Sequence> taken =
      TakeSequences(setup_.sequences, plan_[static_cast<size_t>(step % steps_per_epoch_)],
                    options_.token_dropout, static_cast<uint64_t>(options_.seed), step);
  std::vector<ask::Batch> batches = BatchesOf(setup_, options_, taken);
  const auto num_answers = static_cast<double>(NumAnswers(batches));
  if (num_shares > 1) batches = BatchesOf(setup_, options_, Share(taken, share, num_shares));
  const double ratio = setup_.ffn_ratios[static_cast<size_t>(step) % setup_.ffn_ratios.size()];
  double loss = 0;
  for (const ask::Batch& batch : batches) {
    // What is made of weights must be made anew when they have changed.
    model::Transformer model = BuildModel(setup_, ratio);
    at::Tensor part = Objective(model, batch, setup_.distillation, num_answers);
    if (setup_.pressure) {
      part = part + setup_.pressure->TakePenalty() *
                        (static_cast<double>(NumAnswers(batch)) / num_answers);
    }
    part.backward();
    loss += part.item<double>();
  }
  return loss;
}

void StepGradients::ShareWeights() const {
  for (const auto& [name, leaf] : setup_.weights.leaves()) {
    ShareTensor(leaf, [](std::span<float> values) { Ranks::Get().Broadcast(values); });
  }
}

double StepGradients::SumUp(double loss) const {
  const at::NoGradGuard no_grad;
  for (const auto& [name, leaf] : setup_.weights.leaves()) {
    if (!leaf.grad().defined()) leaf.mutable_grad() = at::zeros_like(leaf);
    ShareTensor(leaf.grad(), [](std::span<float> values) { Ranks::Get().SumIntoFirst(values); });
  }
  auto sum = static_cast<float>(loss);
  Ranks::Get().SumIntoFirst({&sum, 1});
  return sum;
}

}  // namespace moefy::train
