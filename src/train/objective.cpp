#include "train/objective.h"

#include <utility>
#include <vector>

#include "moefy/base/error.h"

namespace moefy::train {
namespace {

// What a distance to the teacher is taken of.
struct Kept {
  States ffns, hidden;
};

model::StateSink Keep(bool ffns, bool hidden, Kept& kept) {
  if (!ffns && !hidden) return nullptr;
  return [=, &kept](const std::string& name, const at::Tensor& states) {
    if (ffns && name.find("ffn.") != std::string::npos && name.ends_with(".output")) {
      kept.ffns[name] = states;
    } else if (hidden && name.find("hidden_states.") != std::string::npos) {
      kept.hidden[name] = states;
    }
  };
}

}  // namespace

std::vector<AnswerLogits> RunAnswers(model::Transformer& model, const ask::Batch& batch,
                                     const model::StateSink& sink) {
  MOEFY_CHECK(batch.targets.defined());
  if (model.config().head == model::Head::kLanguageModel) {
    const at::Tensor targets = batch.targets.flatten();
    const at::Tensor asked = (targets != ask::kNoTarget).nonzero().squeeze(1);
    const at::Tensor hidden = model.ForwardHidden(batch.inputs, sink).flatten(0, 1);
    return {{model.Logits(hidden.index_select(0, asked)), targets.index_select(0, asked)}};
  }
  const model::ForwardOutputs outputs = model.Forward(batch.inputs, sink);
  if (model.config().head == model::Head::kSequenceClassification) {
    return {{outputs.logits, batch.targets.select(1, 0)}};
  }
  return {{outputs.start_logits, batch.targets.select(1, 0)},
          {outputs.end_logits, batch.targets.select(1, 1)}};
}

LossSum AnswerLoss(const std::vector<AnswerLogits>& answers) {
  LossSum loss;
  for (const AnswerLogits& asked : answers) {
    const at::Tensor sum =
        at::cross_entropy_loss(asked.logits, asked.targets, {}, at::Reduction::Sum);
    loss.sum = loss.sum.defined() ? loss.sum + sum : sum;
    loss.count += asked.targets.numel();
  }
  return loss;
}

LossSum DistillationLoss(const std::vector<AnswerLogits>& student,
                         const std::vector<AnswerLogits>& teacher, double temperature) {
  LossSum loss;
  for (size_t i = 0; i < student.size(); ++i) {
    const at::Tensor p = at::log_softmax(teacher.at(i).logits.detach() / temperature, 1);
    const at::Tensor q = at::log_softmax(student[i].logits / temperature, 1);
    const at::Tensor sum = (p.exp() * (p - q)).sum() * (temperature * temperature);
    loss.sum = loss.sum.defined() ? loss.sum + sum : sum;
    loss.count += student[i].targets.numel();
  }
  return loss;
}

at::Tensor StatesLoss(const States& student, const States& teacher) {
  MOEFY_CHECK(!student.empty() && student.size() == teacher.size());
  at::Tensor sum;
  for (const auto& [name, states] : student) {
    const at::Tensor wanted = teacher.at(name).detach();
    const at::Tensor error = (states - wanted).square().sum() / (wanted.square().sum() + 1e-12);
    sum = sum.defined() ? sum + error : error;
  }
  return sum / static_cast<double>(student.size());
}

at::Tensor Objective(model::Transformer& model, const ask::Batch& batch,
                     const Distillation& distillation, double num_answers) {
  const DistillOptions& options = distillation.options;
  Kept student_states, teacher_states;
  const bool ffns = distillation.teacher && options.distill_ffn > 0;
  const bool hidden = distillation.teacher && options.distill_hidden > 0;
  const std::vector<AnswerLogits> student =
      RunAnswers(model, batch, Keep(ffns, hidden, student_states));
  const LossSum answers = AnswerLoss(student);
  at::Tensor objective = answers.sum / num_answers;
  if (!distillation.teacher) return objective;
  std::vector<AnswerLogits> teacher;
  {
    const at::NoGradGuard no_grad;
    teacher = RunAnswers(*distillation.teacher, batch, Keep(ffns, hidden, teacher_states));
  }
  const LossSum distance = DistillationLoss(student, teacher, options.temperature);
  objective = objective * (1 - options.distill) + distance.sum * (options.distill / num_answers);
  const double part = static_cast<double>(answers.count) / num_answers;
  if (ffns) {
    objective = objective +
                StatesLoss(student_states.ffns, teacher_states.ffns) * (options.distill_ffn * part);
  }
  if (hidden) {
    objective = objective + StatesLoss(student_states.hidden, teacher_states.hidden) *
                                (options.distill_hidden * part);
  }
  return objective;
}

}  // namespace moefy::train
