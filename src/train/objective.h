// The loss that a training minimises: the cross-entropy of the right answers and, with a dense
// parent, the distance to it. Pure functions of a model's outputs.
#pragma once

#include <ATen/ATen.h>

#include <map>
#include <string>
#include <vector>

#include "ask/batches.h"
#include "moefy/model/transformer.h"

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

// The FFN outputs of one run by name, kept by a StateSink.
using FfnOutputs = std::map<std::string, at::Tensor>;
model::StateSink KeepFfnOutputs(FfnOutputs& outputs);
// The mean over FFNs of |student - teacher|^2 / |teacher|^2.
at::Tensor FfnLoss(const FfnOutputs& student, const FfnOutputs& teacher);

}  // namespace moefy::train
