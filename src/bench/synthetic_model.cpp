#include "bench/synthetic_model.h"

#include <cmath>

#include "model/expected_tensors.h"
#include "model/family.h"
#include "moefy/base/error.h"
#include "route/learned_routers.h"
#include "runtime/packed_model.h"

namespace moefy::bench {
namespace {

constexpr int64_t kExpertNeurons = 32;

model::TensorMap WithoutFfns(const model::ModelConfig& config, model::TensorMap parameters) {
  for (const model::FfnSpec& spec : model::FfnSpecs(config)) {
    for (const std::string& name : {spec.w_in, spec.w_out}) parameters.erase(name);
  }
  return parameters;
}

}  // namespace

const std::vector<ModelShape>& ModelShapes() {
  static const std::vector<ModelShape> shapes = {
      {"t5-small", 512, 2048, 8, 64, 6, 32128},
      {"t5-base", 768, 3072, 12, 64, 12, 32128},
      {"t5-large", 1024, 4096, 16, 64, 24, 32128},
  };
  return shapes;
}

const ModelShape& GetModelShape(const std::string& name) {
  std::vector<std::string> names;
  for (const ModelShape& shape : ModelShapes()) {
    if (shape.name == name) return shape;
    names.push_back(shape.name);
  }
  throw UsageError("no end-to-end shape ", Quoted(name), DidYouMean(name, names),
                   "; known: ", Join(names));
}

model::ModelConfig MakeModelConfig(const ModelShape& shape, int64_t layers) {
  const int64_t num_layers = layers > 0 ? layers : shape.layers;
  const Json json = {{"model_type", "t5"},
                     {"architectures", {"T5ForConditionalGeneration"}},
                     {"vocab_size", shape.vocab},
                     {"d_model", shape.hidden},
                     {"d_kv", shape.head_dim},
                     {"d_ff", shape.neurons},
                     {"num_heads", shape.heads},
                     {"num_layers", num_layers},
                     {"num_decoder_layers", num_layers},
                     {"feed_forward_proj", "relu"},
                     {"tie_word_embeddings", true},
                     {"pad_token_id", 0},
                     {"eos_token_id", 1},
                     {"decoder_start_token_id", 0}};
  return model::ParseModelConfig(json, "the benchmark's configuration");
}

// Norms are 1, matrices such that what goes in comes out as large; queries also by the scaling that
// T5's attention does not do.
model::TensorMap MakeParameters(const model::ModelConfig& config, at::Generator& generator,
                                Progress& progress) {
  const std::vector<model::ExpectedTensor> expected = model::ExpectedTensors(config);
  progress.Begin("random weights", expected.size(), "tensors");
  model::TensorMap parameters;
  for (const model::ExpectedTensor& want : expected) {
    at::Tensor tensor = at::ones(want.shape);
    if (want.shape.size() == 2) {
      double scale = 1.0 / std::sqrt(static_cast<double>(want.shape[1]));
      if (want.name.find("Attention.q.") != std::string::npos) {
        scale /= std::sqrt(static_cast<double>(config.decoder.head_dim));
      }
      if (want.name.find("shared") != std::string::npos) scale = 1.0;
      const double limit = std::sqrt(3.0) * scale;
      tensor.uniform_(-limit, limit, generator);
    }
    parameters.emplace(want.name, tensor);
    progress.Advance(1);
  }
  progress.End("");
  return parameters;
}

int64_t TotalBytes(const model::TensorMap& parameters) {
  int64_t bytes = 0;
  for (const auto& [name, tensor] : parameters) bytes += static_cast<int64_t>(tensor.nbytes());
  return bytes;
}

SyntheticSparseModel::SyntheticSparseModel(const model::ModelConfig& config,
                                           const model::TensorMap& parameters,
                                           runtime::WeightFormat format, double ffn_ratio,
                                           at::Generator& generator, Progress& progress)
    : transformer_(config, WithoutFfns(config, parameters)) {
  const std::vector<model::FfnSpec> specs = model::FfnSpecs(config);
  progress.Begin(StrCat("packing ", runtime::WeightFormatName(format)), specs.size(), "FFNs");
  for (size_t i = 0; i < specs.size(); ++i) {
    const model::FfnSpec& spec = specs[i];
    model::FfnWeights ffn;
    ffn.w_in = parameters.at(spec.w_in);
    ffn.w_out = parameters.at(spec.w_out).t();
    ffn.activation = spec.activation;
    const int64_t num_experts = spec.num_neurons / kExpertNeurons;
    auto experts = std::make_shared<const runtime::ExpertWeights>(
        runtime::PackExperts(ffn, num_experts, format));
    experts_.push_back(experts);
    routers_.push_back(
        std::make_shared<route::MlpRouter>(at::randn({num_experts, spec.hidden}, generator),
                                           at::randn({num_experts, num_experts}, generator)));
    weight_bytes_ +=
        experts->ExpertBytes() * num_experts + 4 * num_experts * (spec.hidden + num_experts);
    progress.Advance(1);
  }
  progress.End("");
  runtime::UseKernels(
      transformer_, format, /*copy=*/false, /*store=*/nullptr,
      [&](const runtime::PackedLinear& linear) { weight_bytes_ += linear.WeightBytes(); });
  if (format != runtime::WeightFormat::kF32) {  // the table itself stays, for its rows
    weight_bytes_ += config.vocab_size * config.hidden * 4;
  }
  Install(ffn_ratio);
}

void SyntheticSparseModel::Install(double ffn_ratio) {
  ffns_.clear();
  for (size_t i = 0; i < experts_.size(); ++i) {
    auto ffn = std::make_unique<runtime::SparseFeedForward>(experts_[i], routers_[i], ffn_ratio);
    ffns_.push_back(ffn.get());
    transformer_.ExchangeFeedForward(i, std::move(ffn));
  }
}

runtime::SparseCounters SyntheticSparseModel::TakeCounters() {
  runtime::SparseCounters total;
  for (runtime::SparseFeedForward* ffn : ffns_) {
    total += ffn->counters();
    ffn->ResetCounters();
  }
  return total;
}

}  // namespace moefy::bench
