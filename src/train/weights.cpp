#include "train/weights.h"

#include <ATen/CPUGeneratorImpl.h>

#include <cmath>

#include "model/family.h"
#include "moefy/base/error.h"

namespace moefy::train {
namespace {

// T5's own initialisation, which has the attention scale in the query weights.
double T5Deviation(const std::string& name, const model::ModelConfig& config) {
  const auto hidden = static_cast<double>(config.hidden);
  const auto head_dim = static_cast<double>(config.decoder.head_dim);
  const auto heads = static_cast<double>(config.decoder.num_heads);
  const auto neurons = static_cast<double>(config.decoder.num_neurons);
  if (name.ends_with("shared.weight")) return 1.0;
  if (name.ends_with(".q.weight")) return 1 / std::sqrt(hidden * head_dim);
  if (name.ends_with(".o.weight")) return 1 / std::sqrt(heads * head_dim);
  if (name.ends_with(".wo.weight")) return 1 / std::sqrt(neurons);
  return 1 / std::sqrt(hidden);
}

at::Tensor Initial(const model::ExpectedTensor& expected, const model::ModelConfig& config,
                   const at::Generator& generator) {
  constexpr double kDeviation = 0.02;
  if (expected.shape.size() == 1) {
    const bool norm = expected.name.ends_with("weight") || expected.name.ends_with("gamma");
    return at::full(expected.shape, norm ? 1 - config.norm_weight_offset : 0.0, at::kFloat);
  }
  const double deviation = config.family == "t5" ? T5Deviation(expected.name, config) : kDeviation;
  return at::empty(expected.shape).normal_(0, deviation, generator);
}

constexpr const char* kLoraA = ".lora_a";
constexpr const char* kLoraB = ".lora_b";

}  // namespace

model::TensorMap InitialParameters(const model::ModelConfig& config, uint64_t seed) {
  model::TensorMap parameters;
  AddInitialParameters(config, seed, parameters);
  return parameters;
}

std::set<std::string> AddInitialParameters(const model::ModelConfig& config, uint64_t seed,
                                           model::TensorMap& parameters) {
  const at::Generator generator = at::detail::createCPUGenerator(seed);
  std::set<std::string> added;
  for (const model::ExpectedTensor& expected : model::ExpectedTensors(config)) {
    if (!expected.required || parameters.contains(expected.name)) continue;
    parameters.emplace(expected.name, Initial(expected, config, generator));
    added.insert(expected.name);
  }
  return added;
}

std::set<std::string> SelectParameters(const model::ModelConfig& config, const std::string& which) {
  std::set<std::string> names;
  if (which == "all") {
    for (const auto& expected : model::ExpectedTensors(config)) names.insert(expected.name);
  } else if (which == "ffn" || which == "w-out") {
    for (const model::FfnSpec& spec : model::FfnSpecs(config)) {
      names.insert({spec.w_out, spec.b_out});
      if (which == "ffn") names.insert({spec.w_in, spec.b_in, spec.w_gate, spec.b_gate});
    }
    names.erase("");
  } else {
    throw UsageError("--train is ", Quoted(which), "; expected all, ffn or w-out");
  }
  return names;
}

std::set<std::string> BlockMatrices(const model::ModelConfig& config) {
  std::set<std::string> names;
  for (const model::ExpectedTensor& expected : model::ExpectedTensors(config)) {
    const bool table = expected.name.find("relative_attention_bias") != std::string::npos;
    if (!expected.layers.empty() && expected.shape.size() == 2 && !table) {
      names.insert(expected.name);
    }
  }
  return names;
}

TrainableWeights::TrainableWeights(model::TensorMap parameters,
                                   const std::set<std::string>& trained, const LoraOptions& lora,
                                   uint64_t seed, const std::set<std::string>& fresh)
    : parameters_(std::move(parameters)) {
  const at::Generator generator = at::detail::createCPUGenerator(seed);
  if (lora.rank > 0) lora_scale_ = lora.alpha / static_cast<double>(lora.rank);
  for (const auto& [name, tensor] : parameters_) {
    const bool itself = lora.rank == 0 || fresh.contains(name);
    if (!fresh.contains(name) && !trained.contains(name)) continue;
    if (!itself && tensor.dim() != 2) continue;
    changed_.insert(name);
    if (itself) {
      leaves_.emplace(name, tensor.detach().requires_grad_());
      continue;
    }
    const double deviation = 1 / std::sqrt(static_cast<double>(tensor.size(1)));
    const at::Tensor a = at::empty({lora.rank, tensor.size(1)}).normal_(0, deviation, generator);
    const at::Tensor b = at::zeros({tensor.size(0), lora.rank}, device());
    leaves_.emplace(name + kLoraA, a.to(device()).requires_grad_());
    leaves_.emplace(name + kLoraB, b.requires_grad_());
  }
  MOEFY_CHECK(!leaves_.empty());
}

model::TensorMap TrainableWeights::Effective() const {
  model::TensorMap parameters = parameters_;
  for (const std::string& name : changed_) {
    const auto itself = leaves_.find(name);
    parameters[name] =
        itself != leaves_.end()
            ? itself->second
            : parameters_.at(name) +
                  at::matmul(leaves_.at(name + kLoraB), leaves_.at(name + kLoraA)) * lora_scale_;
  }
  return parameters;
}

}  // namespace moefy::train
