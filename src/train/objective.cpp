#include "moefy/train/objective.h"

#include <utility>
#include <vector>

#include "moefy/base/error.h"

namespace moefy::train {
namespace {

struct Asked {
  at::Tensor logits;   // [answers, classes]
  at::Tensor targets;  // [answers]
};

// Where the answers are.
std::vector<Asked> Answers(const model::ForwardOutputs& outputs, const eval::Batch& batch,
                           const model::ModelConfig& config) {
  MOEFY_CHECK(batch.targets.defined());
  switch (config.head) {
    case model::Head::kSequenceClassification:
      return {{outputs.logits, batch.targets.select(1, 0)}};
    case model::Head::kQuestionAnswering:
      return {{outputs.start_logits, batch.targets.select(1, 0)},
              {outputs.end_logits, batch.targets.select(1, 1)}};
    default:
      break;
  }
  const at::Tensor targets = batch.targets.flatten();
  const at::Tensor asked = (targets != eval::kNoTarget).nonzero().squeeze(1);
  return {{outputs.logits.flatten(0, 1).index_select(0, asked), targets.index_select(0, asked)}};
}

}  // namespace

LossSum AnswerLoss(const model::ForwardOutputs& outputs, const eval::Batch& batch,
                   const model::ModelConfig& config) {
  LossSum loss;
  for (const Asked& asked : Answers(outputs, batch, config)) {
    const at::Tensor sum =
        at::cross_entropy_loss(asked.logits, asked.targets, {}, at::Reduction::Sum);
    loss.sum = loss.sum.defined() ? loss.sum + sum : sum;
    loss.count += asked.targets.numel();
  }
  return loss;
}

LossSum DistillationLoss(const model::ForwardOutputs& outputs, const model::ForwardOutputs& teacher,
                         const eval::Batch& batch, const model::ModelConfig& config,
                         double temperature) {
  const std::vector<Asked> student = Answers(outputs, batch, config);
  const std::vector<Asked> parent = Answers(teacher, batch, config);
  LossSum loss;
  for (size_t i = 0; i < student.size(); ++i) {
    const at::Tensor p = at::log_softmax(parent[i].logits.detach() / temperature, 1);
    const at::Tensor q = at::log_softmax(student[i].logits / temperature, 1);
    const at::Tensor sum = (p.exp() * (p - q)).sum() * (temperature * temperature);
    loss.sum = loss.sum.defined() ? loss.sum + sum : sum;
    loss.count += student[i].targets.numel();
  }
  return loss;
}

model::StateSink KeepFfnOutputs(FfnOutputs& outputs) {
  return [&outputs](const std::string& name, const at::Tensor& states) {
    if (name.find("ffn.") != std::string::npos && name.ends_with(".output")) outputs[name] = states;
  };
}

at::Tensor FfnLoss(const FfnOutputs& student, const FfnOutputs& teacher) {
  MOEFY_CHECK(!student.empty() && student.size() == teacher.size());
  at::Tensor sum;
  for (const auto& [name, states] : student) {
    const at::Tensor wanted = teacher.at(name).detach();
    const at::Tensor error = (states - wanted).square().sum() / (wanted.square().sum() + 1e-12);
    sum = sum.defined() ? sum + error : error;
  }
  return sum / static_cast<double>(student.size());
}

}  // namespace moefy::train
