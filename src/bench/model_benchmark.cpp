#include "bench/model_benchmark.h"

#include <ATen/ATen.h>

#include <algorithm>
#include <memory>

#include "bench/machine.h"
#include "bench/model_pass.h"
#include "bench/roofline.h"
#include "model/family.h"
#include "model/input_check.h"
#include "moefy/base/error.h"

namespace moefy::bench {
namespace {

using model::Architecture;

constexpr int64_t kMostTokens = int64_t{1} << 24;  // of all prompts

// An engine at one ratio, and what its passes gave.
struct Subject {
  ModelEngine* engine = nullptr;
  double ffn_ratio = 1;                 // asked for
  std::vector<std::vector<double>> ms;  // by phase, repetition by repetition
  std::vector<std::vector<double>> ffn_ms;
  std::vector<PhaseRun> last;
};

class ModelBench {
 public:
  ModelBench(const ModelBenchmarkOptions& options, const model::ModelConfig& config)
      : options_(options), config_(config) {
    inputs_.batches = options.inputs;
    if (inputs_.batches.empty()) {
      inputs_.batches = {RandomInputs(config, options.batch, options.prompt_tokens, options.seed)};
      if (!options.prompts.empty()) {
        inputs_.batches.front().input_ids =
            at::tensor(options.prompts, at::kLong).view({options.batch, options.prompt_tokens});
      }
    }
    inputs_.new_tokens = generates() ? options.new_tokens : 0;
    phases_ = PhasesOf(config, inputs_);
  }

  ModelBenchmarkResult Run(Progress& progress) {
    const at::NoGradGuard no_grad;
    const ThreadCount threads;
    result_.cpu = CpuName();
    result_.instruction_set = runtime::InstructionSet();
    result_.texts = inputs_.texts();
    result_.tokens = inputs_.tokens();
    result_.new_tokens = inputs_.new_tokens;
    const auto make = [&](EngineKind kind, runtime::WeightFormat format) {
      return std::make_unique<ModelEngine>(kind, *options_.checkpoint, options_.moe, format,
                                           options_.seed, progress);
    };
    std::unique_ptr<ModelEngine> torch;
    if (options_.baseline) torch = make(EngineKind::kTorch, runtime::WeightFormat::kF32);
    for (const runtime::WeightFormat format : options_.weights) {
      std::unique_ptr<ModelEngine> dense, sparse;
      if (options_.baseline || !options_.moe) dense = make(EngineKind::kDense, format);
      if (options_.moe) sparse = make(EngineKind::kSparse, format);
      for (const int count : options_.threads) {
        const int set = threads.Set(count);
        const std::vector<double> ratios =
            options_.moe ? options_.ffn_ratios : std::vector<double>{1};
        for (const double ratio : ratios) {
          Measure(torch.get(), dense.get(), sparse.get(), ratio, set, progress);
        }
      }
    }
    result_.peak_memory_bytes = PeakMemoryBytes();
    threads.Set(*std::max_element(options_.threads.begin(), options_.threads.end()));
    AddRooflines();
    return std::move(result_);
  }

 private:
  bool generates() const { return config_.architecture != Architecture::kEncoder; }

  // Behind all else: what it reads would count as memory of the models.
  void AddRooflines() {
    const int64_t bytes = std::max<int64_t>(4 * LastLevelCacheBytes(), int64_t{256} << 20);
    const Roofline roofline = MeasureRoofline({at::ones({bytes / 4})});
    result_.bandwidth_gigabytes = roofline.bandwidth_gigabytes;
    result_.peak_gflops = roofline.peak_gflops;
    for (ModelBenchmarkRow& row : result_.rows) {
      row.roofline_ms = roofline.Milliseconds(row.bytes, row.flops);
    }
  }

  // One pass of each engine in turn, as often as asked, after one that warms up.
  void Measure(ModelEngine* torch, ModelEngine* dense, ModelEngine* sparse, double ffn_ratio,
               int threads, Progress& progress) {
    std::vector<Subject> subjects;
    for (ModelEngine* engine : {torch, dense, sparse}) {
      if (engine) subjects.push_back({engine, engine == sparse ? ffn_ratio : 1.0, {}, {}, {}});
    }
    if (sparse) sparse->Install(options_.selection, ffn_ratio);
    const ModelEngine& named = *subjects.back().engine;
    progress.Begin(StrCat(runtime::WeightFormatName(named.format()), ", ",
                          FormatFixed(100 * ffn_ratio, 0), " % of each FFN"),
                   static_cast<uint64_t>(options_.repetitions) + 1, "repetitions");
    for (int64_t i = 0; i <= options_.repetitions; ++i) {
      for (Subject& subject : subjects) RunOnce(subject, /*counts=*/i > 0);
      progress.Advance(1);
    }
    progress.End("");
    for (const Subject& subject : subjects) AddRows(subject, subjects, threads);
  }

  void RunOnce(Subject& subject, bool counts) const {
    subject.last = RunPass(*subject.engine, inputs_);
    subject.ms.resize(phases_.size());
    subject.ffn_ms.resize(phases_.size());
    for (size_t i = 0; counts && i < phases_.size(); ++i) {
      const PhaseRun& run = subject.last[i];
      subject.ms[i].push_back(run.ms);
      subject.ffn_ms[i].push_back(1e3 * run.counters.seconds /
                                  static_cast<double>(phases_[i].steps));
    }
  }

  void AddRows(const Subject& subject, const std::vector<Subject>& all, int threads) {
    for (size_t i = 0; i < phases_.size(); ++i) AddRow(subject, all, threads, i);
  }

  void AddRow(const Subject& subject, const std::vector<Subject>& all, int threads,
              size_t phase_idx) {
    const Phase& phase = phases_[phase_idx];
    const PhaseRun& run = subject.last[phase_idx];
    const ModelEngine& engine = *subject.engine;
    ModelBenchmarkRow row;
    row.phase = phase.name;
    row.engine = engine.kind();
    row.weights = engine.format();
    row.threads = threads;
    row.asked_ffn_ratio = subject.ffn_ratio;
    row.ms = SpreadOf(subject.ms[phase_idx]);
    row.ffn_ms = SpreadOf(subject.ffn_ms[phase_idx]);
    row.tokens_per_second = phase.tokens / row.ms.median * 1e3;
    const double weight_bytes = runtime::MeanBytesPerWeight(row.weights);
    row.bytes = phase.rest.weights * phase.runs * weight_bytes + phase.rest.cache_bytes;
    row.flops = phase.rest.flops;
    if (engine.kind() == EngineKind::kTorch) {
      row.bytes += phase.dense_ffns.weights * phase.runs * weight_bytes;
      row.flops += phase.dense_ffns.flops;
    } else {
      const auto steps = static_cast<double>(phase.steps);
      row.bytes += static_cast<double>(run.counters.weight_bytes_read) / steps;
      row.flops += (run.counters.expert_flops + run.counters.router_flops) / steps;
      row.ffn_ratio = run.counters.FfnRatio();
    }
    row.load_seconds = engine.load_seconds();
    row.own_bytes = engine.own_bytes();
    row.mapped_bytes = engine.mapped_bytes();
    for (const Subject& other : all) {
      if (!options_.baseline || other.engine == subject.engine) continue;
      const auto speedup = [&] {
        std::vector<double> ratios;
        for (size_t i = 0; i < subject.ms[phase_idx].size(); ++i) {
          ratios.push_back(other.ms[phase_idx][i] / subject.ms[phase_idx][i]);
        }
        return SpreadOf(ratios);
      };
      if (other.engine->kind() == EngineKind::kTorch) {
        row.speedup_over_torch = speedup();
        row.output_error = OutputError(other.last[phase_idx].output, run.output);
      } else if (other.engine->kind() == EngineKind::kDense &&
                 engine.kind() == EngineKind::kSparse) {
        row.speedup_over_dense = speedup();
      }
    }
    result_.rows.push_back(std::move(row));
  }

  static std::optional<double> OutputError(const at::Tensor& wanted, const at::Tensor& found) {
    if (!wanted.defined() || !found.defined()) return std::nullopt;
    return ((found - wanted).norm() / wanted.norm()).item<double>();
  }

  const ModelBenchmarkOptions& options_;
  const model::ModelConfig& config_;
  PassInputs inputs_;
  std::vector<Phase> phases_;
  ModelBenchmarkResult result_;
};

void Check(const ModelBenchmarkOptions& options, const model::ModelConfig& config) {
  if (options.batch < 1 || options.prompt_tokens < 1 || options.new_tokens < 1 ||
      options.repetitions < 1 || options.batch > kMostTokens / options.prompt_tokens) {
    throw UsageError(
        "bench needs at least one text, prompt token, new token and repetition, and at ", "most ",
        kMostTokens, " tokens of all texts");
  }
  if (options.weights.empty() || options.threads.empty() || options.ffn_ratios.empty()) {
    throw UsageError("bench needs at least one number of threads, ffn ratio and weights");
  }
  for (const int threads : options.threads) {
    if (threads < 0) throw UsageError("bench cannot run on ", threads, " threads");
  }
  const bool generates = config.architecture != Architecture::kEncoder;
  if (generates && config.head != model::Head::kLanguageModel) {
    throw UsageError("bench times encoders and models that generate; this ", config.model_type,
                     " is neither");
  }
  if (config.architecture == Architecture::kEncoderDecoder && config.decoder_start_id < 0) {
    throw UsageError("generation needs a decoder start token; the config has none");
  }
  const int64_t positions = model::NumPositions(config);
  if (positions == 0) return;
  const auto fit = [&](const char* what, int64_t tokens) {
    if (tokens > positions) {
      throw UsageError(what, " are ", tokens, " tokens; this model has ", positions, " positions");
    }
  };
  const int64_t prompt =
      options.inputs.empty() ? options.prompt_tokens : options.inputs.front().input_ids.size(1);
  fit("prompts", prompt);
  if (!generates) return;
  // The last new token is not read.
  const bool two_stacks = config.architecture == Architecture::kEncoderDecoder;
  fit(two_stacks ? "answers" : "prompts with their answers",
      (two_stacks ? 1 : prompt) + options.new_tokens - 1);
}

}  // namespace

ModelBenchmarkResult RunModelBenchmark(const ModelBenchmarkOptions& options, Progress& progress) {
  MOEFY_CHECK(options.checkpoint);
  const model::ModelConfig config = model::ReadModelConfig(*options.checkpoint, nullptr);
  Check(options, config);
  return ModelBench(options, config).Run(progress);
}

}  // namespace moefy::bench
