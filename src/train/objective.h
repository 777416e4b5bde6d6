// What a training makes smaller: the cross-entropy of the right answers and, where a dense parent
// is at hand, the distance to it. Pure functions of a model's outputs.
#pragma once

#include <ATen/ATen.h>

#include <map>
#include <string>
#include <vector>

#include "ask/batches.h"
#include "moefy/model/transformer.h"

namespace moefy::train {

// What a model says where a batch asks for answers. A language model's targets are as
// transformers' `labels` (the caller has shifted them), a classification head's one class per row;
// a span head has two of these, of starts and of ends.
struct AnswerLogits {
  at::Tensor logits;   // [answers, classes], differentiable
  at::Tensor targets;  // [answers] I64
};

// Runs the model, the head only where batch.targets holds an answer.
std::vector<AnswerLogits> RunAnswers(model::Transformer& model, const ask::Batch& batch,
                                     const model::StateSink& sink = nullptr);

// Sums over answers, so that the parts of a batch add up.
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

// FFN outputs of one run by name, kept by a StateSink.
using FfnOutputs = std::map<std::string, at::Tensor>;
model::StateSink KeepFfnOutputs(FfnOutputs& outputs);
// Mean over FFNs of |student - teacher|^2 / |teacher|^2.
at::Tensor FfnLoss(const FfnOutputs& student, const FfnOutputs& teacher);

}  // namespace moefy::train
