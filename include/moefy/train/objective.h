// What a training makes smaller: the cross-entropy of the right answers and, where a dense parent
// is at hand, the distance to it. Pure functions of a model's outputs.
#pragma once

#include <ATen/ATen.h>

#include <map>
#include <string>

#include "moefy/eval/batches.h"
#include "moefy/model/config.h"
#include "moefy/model/transformer.h"

namespace moefy::train {

// Sums over answers, so that the parts of a batch add up.
struct LossSum {
  at::Tensor sum;     // scalar, differentiable
  int64_t count = 0;  // answers: target tokens, labels, or starts and ends of spans
};

// Of every answer that batch.targets holds, in nats. A language model's are as transformers'
// `labels` (the caller has shifted them), a classification head's one class per row, a span head's
// start and end.
LossSum AnswerLoss(const model::ForwardOutputs& outputs, const eval::Batch& batch,
                   const model::ModelConfig& config);

// KL(teacher || student) of the answers' distributions at a temperature, times its square
// (Hinton et al., arXiv 1503.02531, section 2).
LossSum DistillationLoss(const model::ForwardOutputs& outputs, const model::ForwardOutputs& teacher,
                         const eval::Batch& batch, const model::ModelConfig& config,
                         double temperature);

// FFN outputs of one run by name, kept by a StateSink.
using FfnOutputs = std::map<std::string, at::Tensor>;
model::StateSink KeepFfnOutputs(FfnOutputs& outputs);
// Mean over FFNs of |student - teacher|^2 / |teacher|^2.
at::Tensor FfnLoss(const FfnOutputs& student, const FfnOutputs& teacher);

}  // namespace moefy::train
