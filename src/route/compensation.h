// Cheap stand-ins for experts that do not run: a vector per expert, added when the expert is not
// chosen, and a map of low rank for all of them together (Correction, route/substitute.h).
// Adding a compensation is a function and a line in Compensations(). Pure functions.
#pragma once

#include <ATen/ATen.h>

#include <cstdint>
#include <string>
#include <vector>

#include "moefy/model/ffn.h"

namespace moefy::route {

// Sums over many tokens of what the experts of one FFN put out, from which the means come.
struct ContributionSums {
  at::Tensor dropped;         // [neurons] sum of activations over tokens whose expert did not run
  at::Tensor dropped_tokens;  // [experts] how many tokens these are
  at::Tensor all;             // [neurons] sum over all tokens
  double tokens = 0;

  ContributionSums(int64_t num_neurons, int64_t num_experts, at::Device device = at::kCPU);
  // neurons [tokens, neurons], runs Bool [tokens, experts]; these tokens count `weight` times.
  void Add(const at::Tensor& neurons, const at::Tensor& runs, double weight = 1);
};

struct Compensation {
  std::string name;
  std::string description;
  // [experts, hidden]; undefined for none.
  at::Tensor (*terms)(const ContributionSums& sums, const model::FfnWeights& ffn);
  bool corrected = false;  // with a Correction for what is then still missing
};

// none: nothing. mean: E[contribution] (G-MoEfication, EMNLP 2024). conditional: E[contribution |
// dropped], since an expert is dropped where it matters little and its mean over all tokens is too
// much there. low-rank: conditional and a Correction, ResMoE's idea (see docs/routing.md).
const std::vector<Compensation>& Compensations();
const Compensation& GetCompensation(const std::string& name);  // Error{kUsage} lists the names

}  // namespace moefy::route
