// The loss that a training minimises: the cross-entropy of the right answers and, with a
// teacher, the distance to it. Functions of a model's outputs, but for RunAnswers and Objective,
// which run it.
#pragma once

#include <ATen/ATen.h>

#include <map>
#include <string>
#include <vector>

#include "ask/batches.h"
#include "moefy/model/transformer.h"
#include "train/trainer_options.h"

namespace moefy::train {

// A model's outputs where a batch asks for answers. The targets of a language model are
// transformers' `labels` (the caller has shifted them), those of a classification head one class
// per row. A span head has two of these, for starts and for ends.
struct AnswerLogits {
  at::Tensor logits;   // [answers, classes], differentiable
  at::Tensor targets;  // [answers] I64
};

// Runs the model, and its head only where batch.targets holds an answer.
std::vector<AnswerLogits> RunAnswers(model::Transformer& model, const ask::Batch& batch,
                                     const model::StateSink& sink = nullptr);

// A sum over answers, so that the parts of a batch add up.
struct LossSum {
  at::Tensor sum;     // scalar, differentiable
  int64_t count = 0;  // answers: target tokens, labels, or starts and ends of spans
};

// The cross-entropy of every answer, in nats.
LossSum AnswerLoss(const std::vector<AnswerLogits>& answers);

// KL(teacher || student) of the answers' distributions at a temperature, times its square
// (Hinton et al., arXiv 1503.02531, section 2).
LossSum DistillationLoss(const std::vector<AnswerLogits>& student,
                         const std::vector<AnswerLogits>& teacher, double temperature);

// What a run computed on the way, by the names of model::StateSink.
using States = std::map<std::string, at::Tensor>;
// The mean over states of |student - teacher|^2 / |teacher|^2.
at::Tensor StatesLoss(const States& student, const States& teacher);

// The distance to another model, as a part of the objective.
struct Distillation {
  model::Transformer* teacher = nullptr;  // nullptr: none
  DistillOptions options;
};

// What a batch contributes to a step's objective, a differentiable scalar. Runs the model and, with
// distillation, the teacher. num_answers: of all batches of the step.
at::Tensor Objective(model::Transformer& model, const ask::Batch& batch,
                     const Distillation& distillation, double num_answers);

}  // namespace moefy::train
