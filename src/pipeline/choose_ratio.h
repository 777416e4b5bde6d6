// The least work that keeps what a model can do: of the rows of an evaluation, the one with the
// fewest FLOPs whose metrics lose no more than they may; and the file that tells of it.
// Thread-safe.
#pragma once

#include <filesystem>
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

// Writes what was tried and what of it keeps to the loss, and returns the latter.
std::optional<RatioChoice> WriteChoice(const std::vector<RatioChoice>& tried, double max_loss,
                                       const std::filesystem::path& file);
// Reads what was tried. Throws Error{kInput} for any other file.
std::vector<RatioChoice> ReadChoices(const std::filesystem::path& file);

}  // namespace moefy::pipeline
