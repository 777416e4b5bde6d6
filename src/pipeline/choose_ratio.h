// The least work that keeps what a model can do: of the rows of an evaluation, the one with the
// fewest FLOPs whose metrics lose no more than they may. Pure functions.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "base/json.h"
#include "moefy/eval/evaluation_report.h"

namespace moefy::pipeline {

struct RatioChoice {
  std::string model, selection;
  double ffn_ratio = 1;
  double flops_ratio = 1;  // of FFNs and routers to dense FFNs
  double loss = 0;         // the largest of the tasks' relative losses of their metric
};

// "0.5%" and "0.005" alike. Throws Error{kUsage} for anything else but a share from 0 to 1.
double ParseMaxLoss(const std::string& text);

// Every row but the dense model's and those that are bounds, with the least loss first.
std::vector<RatioChoice> RatioChoices(const std::vector<eval::EvaluationReport>& reports);
// The choice with the fewest FLOPs whose loss is at most `max_loss`; nothing if all lose more.
std::optional<RatioChoice> ChooseRatio(const std::vector<RatioChoice>& choices, double max_loss);

Json ChoiceToJson(const RatioChoice& choice);
RatioChoice ChoiceFromJson(const Json& json);  // throws Json::exception

}  // namespace moefy::pipeline
