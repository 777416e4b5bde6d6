#include "bench/end_to_end.h"

#include <ATen/ATen.h>
#include <ATen/CPUGeneratorImpl.h>

#include <algorithm>
#include <array>
#include <functional>

#include "base/stopwatch.h"
#include "bench/machine.h"
#include "bench/roofline.h"
#include "bench/synthetic_model.h"
#include "model/model_work.h"
#include "moefy/base/error.h"

namespace moefy::bench {
namespace {

constexpr int64_t kPromptTokens = 32;  // of the encoder, before decoding

struct Decoded {
  double ms = 0;                   // per token
  std::vector<at::Tensor> logits;  // per token, [1, vocab]; of a forced run only
};

class EndToEnd {
 public:
  EndToEnd(const EndToEndOptions& options, const ModelShape& shape)
      : options_(options),
        shape_(shape),
        config_(MakeModelConfig(shape, options.layers)),
        generator_(at::detail::createCPUGenerator(options.seed)) {}

  EndToEndResult Run(Progress& progress) {
    const at::NoGradGuard no_grad;
    const ThreadCount threads;
    threads.Set(*std::max_element(options_.threads.begin(), options_.threads.end()));
    result_.cpu = CpuName();
    result_.instruction_set = runtime::InstructionSet();
    const model::TensorMap parameters = MakeParameters(config_, generator_, progress);
    result_.dense_weight_bytes = TotalBytes(parameters);
    std::vector<at::Tensor> matrices;
    for (const auto& [name, tensor] : parameters) matrices.push_back(tensor);
    roofline_ = MeasureRoofline(matrices);
    result_.bandwidth_gigabytes = roofline_.bandwidth_gigabytes;
    result_.peak_gflops = roofline_.peak_gflops;
    model::Transformer dense(config_, parameters);
    ids_ = at::randint(2, shape_.vocab, {options_.batch, options_.tokens}, generator_, at::kLong);
    for (const runtime::WeightFormat format : options_.weights) {
      SyntheticSparseModel sparse(config_, parameters, format, 1.0, generator_, progress);
      EndToEndRow row;
      row.weights = format;
      row.weight_bytes = sparse.weight_bytes();
      row.logits_error = LogitsError(dense, sparse);
      for (const int count : options_.threads) {
        row.threads = threads.Set(count);
        for (const double ffn_ratio : options_.ffn_ratios) {
          row.ffn_ratio = ffn_ratio;
          sparse.Install(ffn_ratio);
          Measure(dense, sparse, row, progress);
        }
      }
    }
    return std::move(result_);
  }

 private:
  int64_t PromptTokens() const { return std::min(kPromptTokens, options_.tokens); }

  double Encode(model::Transformer& transformer) const {
    model::ForwardInputs inputs;
    inputs.input_ids = ids_;
    return Milliseconds([&] { transformer.StartDecoding(inputs); });
  }

  // Greedy, or along `forced` token ids.
  // `on_start` is called when the clock starts.
  Decoded Decode(
      model::Transformer& transformer, const std::vector<int64_t>& forced = {},
      const std::function<void()>& on_start = [] {}) const {
    model::ForwardInputs inputs;
    inputs.input_ids = ids_.narrow(0, 0, 1).narrow(1, 0, PromptTokens());
    const auto state = transformer.StartDecoding(inputs);
    at::Tensor id = at::zeros({1, 1}, at::kLong);
    Decoded out;
    transformer.Decode(*state, id);  // the first step also projects the memory
    on_start();
    const Stopwatch stopwatch;
    for (int64_t i = 0; i < options_.decoded_tokens; ++i) {
      if (!forced.empty()) id.fill_(forced[static_cast<size_t>(i)]);
      const at::Tensor logits = transformer.Decode(*state, id);
      if (forced.empty())
        id.fill_(logits.argmax());
      else
        out.logits.push_back(logits.clone());
    }
    out.ms = stopwatch.Milliseconds() / static_cast<double>(options_.decoded_tokens);
    return out;
  }

  // What the repetitions of one row gave.
  struct Tally {
    std::vector<double> dense_ms, sparse_ms, ffn_ms, speedup;
    runtime::SparseCounters counters;
  };

  // Two rows, which begin as `row`.
  void Measure(model::Transformer& dense, SyntheticSparseModel& sparse, const EndToEndRow& row,
               Progress& progress) {
    const auto encode = [&](model::Transformer& model) {
      sparse.TakeCounters();
      return Encode(model);
    };
    const auto decode = [&](model::Transformer& model) {
      return Decode(model, {}, [&] { sparse.TakeCounters(); }).ms;
    };
    const auto repeat = [&](Tally& tally, const auto& run, int64_t units, bool counts) {
      const double dense_ms = run(dense), sparse_ms = run(sparse.transformer());
      const runtime::SparseCounters counters = sparse.TakeCounters();
      if (!counts) return;
      tally.dense_ms.push_back(dense_ms);
      tally.sparse_ms.push_back(sparse_ms);
      tally.ffn_ms.push_back(counters.seconds * 1e3 / static_cast<double>(units));
      tally.speedup.push_back(dense_ms / sparse_ms);
      tally.counters += counters;
    };
    Tally encoder, decoder;
    progress.Begin(StrCat(runtime::WeightFormatName(row.weights), ", ",
                          FormatFixed(100 * row.ffn_ratio, 0), " % of each FFN"),
                   static_cast<uint64_t>(options_.repetitions) + 1, "repetitions");
    for (int64_t i = 0; i <= options_.repetitions; ++i) {  // the first warms up
      repeat(encoder, encode, 1, i > 0);
      repeat(decoder, decode, options_.decoded_tokens, i > 0);
      progress.Advance(1);
    }
    progress.End("");
    const int64_t tokens = options_.batch * options_.tokens;
    AddRow(row, StrCat("encoder ", options_.batch, " x ", options_.tokens), encoder, 1,
           model::AttentionWork(config_, config_.encoder,
                                {.tokens = static_cast<double>(tokens),
                                 .keys = static_cast<double>(tokens * options_.tokens)}));
    // The step before the clock starts has a column too.
    const double columns = 1 + (static_cast<double>(options_.decoded_tokens) + 1) / 2;
    AddRow(row, "decoder, 1 token", decoder, options_.decoded_tokens,
           model::AttentionWork(config_, config_.decoder,
                                {.tokens = 1,
                                 .keys = columns,
                                 .texts = 1,
                                 .cached = columns,
                                 .memory = static_cast<double>(PromptTokens()),
                                 .logits = 1}));
  }

  // `units` calls or tokens in a repetition; `rest` is one unit's work outside the FFNs.
  void AddRow(EndToEndRow row, const std::string& what, const Tally& tally, int64_t units,
              const model::Work& rest) {
    row.what = what;
    row.dense_ms = SpreadOf(tally.dense_ms);
    row.sparse_ms = SpreadOf(tally.sparse_ms);
    row.ffn_ms = SpreadOf(tally.ffn_ms);
    row.speedup = SpreadOf(tally.speedup);
    const auto runs = static_cast<double>(options_.repetitions * units);
    row.expert_bytes = static_cast<double>(tally.counters.weight_bytes_read) / runs;
    row.bytes = row.expert_bytes + rest.cache_bytes +
                rest.weights * runtime::MeanBytesPerWeight(row.weights);
    row.flops = rest.flops + (tally.counters.expert_flops + tally.counters.router_flops) / runs;
    row.roofline_ms = roofline_.Milliseconds(row.bytes, row.flops);
    result_.rows.push_back(row);
  }

  // With all experts on, as `sparse` must be.
  double LogitsError(model::Transformer& dense, SyntheticSparseModel& sparse) const {
    std::vector<int64_t> ids;
    for (int64_t i = 0; i < options_.decoded_tokens; ++i) ids.push_back(2 + 31 * i % 1000);
    const Decoded wanted = Decode(dense, ids), found = Decode(sparse.transformer(), ids);
    const at::Tensor all = at::cat(wanted.logits), difference = at::cat(found.logits) - all;
    return (difference.norm() / all.norm()).item<double>();
  }

  const EndToEndOptions& options_;
  const ModelShape& shape_;
  model::ModelConfig config_;
  at::Generator generator_;
  at::Tensor ids_;  // [batch, tokens]
  Roofline roofline_;
  EndToEndResult result_;
};

}  // namespace

EndToEndResult RunEndToEnd(const EndToEndOptions& options, Progress& progress) {
  const ModelShape& shape = GetModelShape(options.shape);
  if (options.batch < 1 || options.tokens < 1 || options.decoded_tokens < 1 ||
      options.repetitions < 1 || options.layers < 0 || options.weights.empty() ||
      options.ffn_ratios.empty() || options.threads.empty()) {
    throw UsageError("end to end needs a batch, tokens, decoded tokens, repetitions, weights, ffn ",
                     "ratios and threads");
  }
  return EndToEnd(options, shape).Run(progress);
}

}  // namespace moefy::bench
