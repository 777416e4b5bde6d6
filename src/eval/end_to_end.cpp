#include "moefy/eval/end_to_end.h"

#include <ATen/ATen.h>
#include <ATen/CPUGeneratorImpl.h>
#include <ATen/Parallel.h>

#include <algorithm>
#include <chrono>
#include <cmath>
#include <functional>

#include "moefy/base/error.h"
#include "moefy/eval/machine.h"
#include "moefy/model/family.h"
#include "moefy/model/transformer.h"
#include "moefy/runtime/packed_linear.h"
#include "moefy/runtime/sparse_ffn.h"

namespace moefy::eval {
namespace {

using Clock = std::chrono::steady_clock;

double MillisecondsSince(Clock::time_point start) {
  return std::chrono::duration<double, std::milli>(Clock::now() - start).count();
}

struct Shape {
  std::string name;
  int64_t hidden, neurons, heads, head_dim, layers, vocab;
};

const std::vector<Shape>& Shapes() {
  static const std::vector<Shape> shapes = {
      {"t5-small", 512, 2048, 8, 64, 6, 32128},
      {"t5-base", 768, 3072, 12, 64, 12, 32128},
      {"t5-large", 1024, 4096, 16, 64, 24, 32128},
  };
  return shapes;
}

model::ModelConfig MakeConfig(const Shape& shape, int64_t layers) {
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

// As T5 is initialised: norms 1, matrices so that what goes in comes out as large; queries also by
// the scaling that T5's attention does not do.
model::TensorMap MakeParameters(const model::ModelConfig& config, int64_t head_dim,
                                at::Generator& generator, Progress& progress) {
  const std::vector<model::ExpectedTensor> expected = model::ExpectedTensors(config);
  progress.Begin("random weights", expected.size(), "tensors");
  model::TensorMap parameters;
  for (const model::ExpectedTensor& want : expected) {
    at::Tensor tensor = at::ones(want.shape);
    if (want.shape.size() == 2) {
      double scale = 1.0 / std::sqrt(static_cast<double>(want.shape[1]));
      if (want.name.find("Attention.q.") != std::string::npos) {
        scale /= std::sqrt(static_cast<double>(head_dim));
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

int64_t Bytes(const model::TensorMap& parameters) {
  int64_t bytes = 0;
  for (const auto& [name, tensor] : parameters) bytes += static_cast<int64_t>(tensor.nbytes());
  return bytes;
}

// A Transformer that runs sparsely in one weight format.
class SparseTransformer {
 public:
  SparseTransformer(const model::ModelConfig& config, const model::TensorMap& parameters,
                    runtime::WeightFormat format, double ffn_ratio, at::Generator& generator,
                    Progress& progress)
      : transformer_(config, WithoutFfns(config, parameters)) {
    const std::vector<model::FfnSpec> specs = model::FfnSpecs(config);
    progress.Begin(StrCat("packing ", runtime::WeightFormatName(format)), specs.size(), "FFNs");
    for (size_t i = 0; i < specs.size(); ++i) {
      const model::FfnSpec& spec = specs[i];
      model::FfnWeights ffn;
      ffn.w_in = parameters.at(spec.w_in);
      ffn.w_out = parameters.at(spec.w_out).t();
      ffn.activation = spec.activation;
      const int64_t num_experts = spec.num_neurons / 32;
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
    transformer_.ExchangeLinears([&](const at::Tensor& weight, const at::Tensor& bias) {
      auto linear = std::make_shared<runtime::PackedLinear>(weight, bias, format);
      linear_bytes_ += linear->WeightBytes();
      return linear;
    });
    weight_bytes_ += linear_bytes_;
    if (format != runtime::WeightFormat::kF32) {  // the table itself stays, for its rows
      weight_bytes_ += config.vocab_size * config.hidden * 4;
    }
    Install(ffn_ratio);
  }

  void Install(double ffn_ratio) {
    ffns_.clear();
    for (size_t i = 0; i < experts_.size(); ++i) {
      auto ffn = std::make_unique<runtime::SparseFeedForward>(experts_[i], routers_[i], ffn_ratio);
      ffns_.push_back(ffn.get());
      transformer_.ExchangeFeedForward(i, std::move(ffn));
    }
  }

  model::Transformer& transformer() { return transformer_; }
  int64_t weight_bytes() const { return weight_bytes_; }
  // Of all FFNs since the last call.
  runtime::SparseCounters TakeCounters() {
    runtime::SparseCounters total;
    for (runtime::SparseFeedForward* ffn : ffns_) {
      total += ffn->counters();
      ffn->ResetCounters();
    }
    return total;
  }

 private:
  static model::TensorMap WithoutFfns(const model::ModelConfig& config,
                                      model::TensorMap parameters) {
    for (const model::FfnSpec& spec : model::FfnSpecs(config)) {
      for (const std::string& name : {spec.w_in, spec.w_out}) parameters.erase(name);
    }
    return parameters;
  }

  model::Transformer transformer_;
  std::vector<std::shared_ptr<const runtime::ExpertWeights>> experts_;
  std::vector<std::shared_ptr<route::Router>> routers_;
  std::vector<runtime::SparseFeedForward*> ffns_;  // owned by transformer_
  int64_t weight_bytes_ = 0;
  int64_t linear_bytes_ = 0;
};

struct Decoded {
  double ms = 0;                   // per token
  std::vector<at::Tensor> logits;  // per token, [1, vocab]
};

class EndToEnd {
 public:
  EndToEnd(const EndToEndOptions& options, const Shape& shape)
      : options_(options),
        shape_(shape),
        config_(MakeConfig(shape, options.layers)),
        generator_(at::detail::createCPUGenerator(options.seed)) {}

  EndToEndResult Run(Progress& progress) {
    const at::NoGradGuard no_grad;
    const int threads_before = at::get_num_threads();
    UseThreads(options_.threads);
    result_.cpu = CpuName();
    result_.instruction_set = runtime::InstructionSet();
    result_.ffn_ratio = options_.ffn_ratio;
    result_.threads = at::get_num_threads();
    const model::TensorMap parameters =
        MakeParameters(config_, shape_.head_dim, generator_, progress);
    result_.dense_weight_bytes = Bytes(parameters);
    model::Transformer dense(config_, parameters);
    ids_ = at::randint(2, shape_.vocab, {options_.batch, options_.tokens}, generator_, at::kLong);
    for (const runtime::WeightFormat format : options_.weights) {
      SparseTransformer sparse(config_, parameters, format, options_.ffn_ratio, generator_,
                               progress);
      result_.sparse_weight_bytes.push_back(sparse.weight_bytes());
      Measure(dense, sparse, format, progress);
    }
    at::set_num_threads(threads_before);
    return std::move(result_);
  }

 private:
  double Encode(model::Transformer& transformer) const {
    model::ForwardInputs inputs;
    inputs.input_ids = ids_;
    const Clock::time_point start = Clock::now();
    transformer.StartDecoding(inputs);
    return MillisecondsSince(start);
  }

  // Greedy, or along `forced` token ids.
  // `on_start` is called when the clock starts.
  Decoded Decode(
      model::Transformer& transformer, const std::vector<int64_t>& forced = {},
      const std::function<void()>& on_start = [] {}) const {
    model::ForwardInputs inputs;
    inputs.input_ids = ids_.narrow(0, 0, 1).narrow(1, 0, std::min<int64_t>(32, ids_.size(1)));
    const auto state = transformer.StartDecoding(inputs);
    at::Tensor id = at::zeros({1, 1}, at::kLong);
    Decoded out;
    transformer.Decode(*state, id);  // the first step also projects the memory
    on_start();
    const Clock::time_point start = Clock::now();
    for (int64_t i = 0; i < options_.decoded_tokens; ++i) {
      if (!forced.empty()) id.fill_(forced[static_cast<size_t>(i)]);
      out.logits.push_back(transformer.Decode(*state, id));
      if (forced.empty()) id = out.logits.back().argmax(1, true);
    }
    out.ms = MillisecondsSince(start) / static_cast<double>(options_.decoded_tokens);
    return out;
  }

  void Measure(model::Transformer& dense, SparseTransformer& sparse, runtime::WeightFormat format,
               Progress& progress) {
    const std::string name = runtime::WeightFormatName(format);
    const auto calls = static_cast<double>(options_.repetitions);
    EndToEndRow encoder, decoder;
    encoder.what = StrCat("encoder ", options_.batch, " x ", options_.tokens);
    decoder.what = "decoder, 1 token";
    encoder.weights = decoder.weights = format;
    std::vector<double> dense_ms[2], sparse_ms[2], ffn_ms[2], speedup[2];
    double expert_bytes[2] = {};
    progress.Begin(name, static_cast<uint64_t>(options_.repetitions) + 1, "repetitions");
    for (int64_t i = 0; i <= options_.repetitions; ++i) {
      for (const int which : {0, 1}) {
        const auto measure = [&](model::Transformer& model) {
          sparse.TakeCounters();
          return which == 0 ? Encode(model) : Decode(model, {}, [&] { sparse.TakeCounters(); }).ms;
        };
        const double dense_time = measure(dense);
        const double sparse_time = measure(sparse.transformer());
        const runtime::SparseCounters counters = sparse.TakeCounters();
        if (i == 0) continue;  // warms up
        const double units = which == 0 ? 1 : static_cast<double>(options_.decoded_tokens);
        dense_ms[which].push_back(dense_time);
        sparse_ms[which].push_back(sparse_time);
        ffn_ms[which].push_back(counters.seconds * 1e3 / units);
        speedup[which].push_back(dense_time / sparse_time);
        expert_bytes[which] += static_cast<double>(counters.weight_bytes_read) / calls / units;
      }
      progress.Advance(1);
    }
    progress.End("");
    for (const int which : {0, 1}) {
      EndToEndRow& row = which == 0 ? encoder : decoder;
      row.dense_ms = SpreadOf(dense_ms[which]);
      row.sparse_ms = SpreadOf(sparse_ms[which]);
      row.ffn_ms = SpreadOf(ffn_ms[which]);
      row.speedup = SpreadOf(speedup[which]);
      row.expert_bytes = expert_bytes[which];
      result_.rows.push_back(row);
    }
    result_.logits_error.push_back(LogitsError(dense, sparse));
  }

  double LogitsError(model::Transformer& dense, SparseTransformer& sparse) const {
    sparse.Install(1.0);
    std::vector<int64_t> ids;
    for (int64_t i = 0; i < options_.decoded_tokens; ++i) ids.push_back(2 + 31 * i % 1000);
    const Decoded wanted = Decode(dense, ids), found = Decode(sparse.transformer(), ids);
    const at::Tensor all = at::cat(wanted.logits), difference = at::cat(found.logits) - all;
    return (difference.norm() / all.norm()).item<double>();
  }

  const EndToEndOptions& options_;
  const Shape& shape_;
  model::ModelConfig config_;
  at::Generator generator_;
  at::Tensor ids_;  // [batch, tokens]
  EndToEndResult result_;
};

}  // namespace

const std::vector<std::string>& EndToEndShapes() {
  static const std::vector<std::string> names = [] {
    std::vector<std::string> out;
    for (const Shape& shape : Shapes()) out.push_back(shape.name);
    return out;
  }();
  return names;
}

EndToEndResult RunEndToEnd(const EndToEndOptions& options, Progress& progress) {
  const auto found = std::find_if(Shapes().begin(), Shapes().end(),
                                  [&](const Shape& shape) { return shape.name == options.shape; });
  if (found == Shapes().end()) {
    throw UsageError("no end-to-end shape ", Quoted(options.shape),
                     DidYouMean(options.shape, EndToEndShapes()),
                     "; known: ", Join(EndToEndShapes()));
  }
  if (options.batch < 1 || options.tokens < 1 || options.decoded_tokens < 1 ||
      options.repetitions < 1 || options.layers < 0 || options.weights.empty()) {
    throw UsageError("end to end needs a batch, tokens, decoded tokens, repetitions and weights");
  }
  return EndToEnd(options, *found).Run(progress);
}

}  // namespace moefy::eval
