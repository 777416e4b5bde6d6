#include "trainer.h"

#include <ATen/Parallel.h>

#include <algorithm>
#include <chrono>
#include <cmath>
#include <numbers>
#include <set>

#include "ask/prepared_task.h"
#include "base/output.h"
#include "lessons.h"
#include "model/family.h"
#include "model/read_parameters.h"
#include "moefy/base/error.h"
#include "moefy/base/progress.h"
#include "penalized_ffn.h"
#include "prompts.h"
#include "task/dataset.h"
#include "task/metrics.h"
#include "train/fast_process.h"
#include "train/optimizer.h"
#include "train/trainer.h"
#include "train/weights.h"

namespace moefy::example {
namespace {

using Clock = std::chrono::steady_clock;

double SecondsSince(Clock::time_point start) {
  return std::chrono::duration<double>(Clock::now() - start).count();
}

model::ModelConfig WriteConfig(const TrainOptions& options, int64_t vocab_size,
                               const std::filesystem::path& out) {
  const Json config = {{"model_type", "t5"},
                       {"architectures", {"T5ForConditionalGeneration"}},
                       {"vocab_size", vocab_size},
                       {"d_model", options.hidden},
                       {"d_kv", options.head_dim},
                       {"d_ff", options.num_neurons},
                       {"num_layers", options.num_encoder_layers},
                       {"num_decoder_layers", options.num_decoder_layers},
                       {"num_heads", options.num_heads},
                       {"relative_attention_num_buckets", 32},
                       {"relative_attention_max_distance", 128},
                       {"dropout_rate", 0.0},
                       {"layer_norm_epsilon", 1e-6},
                       {"initializer_factor", 1.0},
                       {"feed_forward_proj", "relu"},
                       {"dense_act_fn", "relu"},
                       {"is_gated_act", false},
                       {"is_encoder_decoder", true},
                       {"tie_word_embeddings", true},
                       {"use_cache", true},
                       {"pad_token_id", 0},
                       {"eos_token_id", 1},
                       {"decoder_start_token_id", 0},
                       {"torch_dtype", "float32"}};
  WriteTextFile(out / "config.json", FormatJson(config), IfExists::kReplace);
  return model::ReadModelConfig(out / "config.json");
}

model::TensorMap Initial(const TrainOptions& options, const model::ModelConfig& config) {
  model::TensorMap parameters =
      options.initial.empty()
          ? train::InitialParameters(config, static_cast<uint64_t>(options.seed))
          : model::ReadParameters(io::Checkpoint::Open(options.initial), config);
  for (auto& [name, tensor] : parameters) tensor.requires_grad_();
  return parameters;
}

void CopyTokenizer(const std::filesystem::path& from, const std::filesystem::path& to) {
  if (std::filesystem::equivalent(from, to)) return;
  for (const char* name : {"spiece.model", "tokenizer_config.json"}) {
    WriteTextFile(to / name, ReadTextFile(from / name), IfExists::kReplace);
  }
}

std::vector<TaskResult> EvaluateTasks(model::Transformer& model,
                                      const std::vector<PenalizedFeedForward*>& ffns,
                                      const std::vector<task::TaskSpec>& specs,
                                      const text::Tokenizer& tokenizer, int64_t limit) {
  const at::NoGradGuard no_grad;
  std::vector<TaskResult> results;
  for (const task::TaskSpec& spec : specs) {
    const task::Dataset dataset = task::ReadDataset(spec, "eval", spec.directory, limit);
    const model::GenerationOptions generation;
    const auto prepared = ask::PrepareTask(spec, dataset, model.config(), tokenizer, generation);
    for (PenalizedFeedForward* ffn : ffns) ffn->StartCounting();
    std::vector<int64_t> predictions, labels;
    for (const ask::Answer& answer : prepared->Ask(model, SilentProgress())) {
      labels.push_back(dataset.examples[predictions.size()].label_idx);
      predictions.push_back(answer.label_idx);
    }
    TaskResult result{spec.name, task::Accuracy(predictions, labels).value, {}};
    for (PenalizedFeedForward* ffn : ffns) result.active.push_back(ffn->StopCounting());
    results.push_back(std::move(result));
  }
  return results;
}

std::vector<std::string> FfnNames(const model::Transformer& model) {
  std::vector<std::string> names;
  for (size_t i = 0; i < model.num_ffns(); ++i) names.push_back(model.ffn_spec(i).name);
  return names;
}

double LearningRateShare(const TrainOptions& options, int64_t step) {
  if (step <= options.warm_up) {
    return static_cast<double>(step) / static_cast<double>(options.warm_up);
  }
  const double done = static_cast<double>(step - options.warm_up) /
                      static_cast<double>(std::max<int64_t>(options.steps - options.warm_up, 1));
  return 0.5 * (1 + std::cos(std::numbers::pi * done));
}

// Short texts first: on true ones alone the loss stays where it is for a long time.
int64_t NumCandidates(const TrainOptions& options, int64_t step) {
  constexpr double kMost = 8;
  const double left = 1 - static_cast<double>(step) / static_cast<double>(options.easy_steps);
  return std::lround(1 + std::max(0.0, left) * (kMost - 1));
}

// Nothing at first: neurons that are switched off before they have learned anything stay off.
double ActivityCost(const TrainOptions& options, int64_t step) {
  const double done = static_cast<double>(step) / static_cast<double>(options.steps);
  return options.activity_cost * std::clamp((done - 0.5) / 0.25, 0.0, 1.0);
}

}  // namespace

TrainReport Train(const TrainOptions& options, const std::filesystem::path& task_directory,
                  const std::filesystem::path& vocabulary, const std::filesystem::path& out,
                  const std::function<void(const TrainProgress&)>& report) {
  at::set_num_threads(static_cast<int>(options.threads));
  const train::FastProcess fast;
  const auto start = Clock::now();
  const std::vector<task::TaskSpec> specs = ReadSpecs(task_directory);
  const std::unique_ptr<text::Tokenizer> tokenizer = text::LoadTokenizer(vocabulary);
  const model::ModelConfig config = WriteConfig(options, tokenizer->vocab_size(), out);

  const model::TensorMap parameters = Initial(options, config);
  model::Transformer model(config, parameters);
  const std::vector<PenalizedFeedForward*> ffns = PenalizeAll(model);
  // Reads from the encoder's last states whether a place still counts; only while training.
  const at::Tensor probe = at::zeros({2, config.hidden}).requires_grad_();
  const std::set<std::string> matrices = train::BlockMatrices(config);
  model::TensorMap trained = parameters;
  trained.emplace("probe", probe);
  train::Optimizer optimizer(trained, [&](const std::string& name, const at::Tensor&) {
    const bool muon = matrices.contains(name);
    return train::Optimizer::Rule{muon, muon ? 0.05 : 0.0};
  });
  Lessons lessons(specs, *tokenizer, config.decoder_start_id, options.tokens_per_batch,
                  static_cast<uint64_t>(options.seed));

  TrainReport result;
  double loss_sum = 0;
  int64_t since_report = 0;
  for (int64_t step = 1; step <= options.steps; ++step) {
    ThrowIfInterrupted();
    const Lesson lesson = lessons.Next(NumCandidates(options, step));
    at::Tensor encoded;  // [batch, tokens, hidden]
    const auto keep = [&](const std::string& name, const at::Tensor& states) {
      if (name == "encoder.last_hidden_state") encoded = states;
    };
    const at::Tensor logits = model.Forward(lesson.inputs, keep).logits;
    // [batch, 1 + hints, vocab]
    at::Tensor loss = at::cross_entropy_loss(logits.flatten(0, 1), lesson.targets.flatten());
    if (lesson.standings.defined()) {
      loss = loss + at::cross_entropy_loss(at::linear(encoded, probe).flatten(0, 1),
                                           lesson.standings.flatten());
    }
    at::Tensor activity = at::zeros({});
    for (const PenalizedFeedForward* ffn : ffns) activity = activity + ffn->mean_activation();
    (loss + activity * ActivityCost(options, step)).backward();
    const double share = LearningRateShare(options, step);
    optimizer.Step(options.matrix_rate * share, options.entry_rate * share, /*max_norm=*/1.0);

    loss_sum += loss.item<double>();
    ++since_report;
    if (step % options.report_every != 0 && step != options.steps) continue;
    result.last_loss = loss_sum / static_cast<double>(since_report);
    if (result.first_loss == 0) result.first_loss = result.last_loss;
    loss_sum = 0;
    since_report = 0;
    report({step, result.last_loss, SecondsSince(start),
            EvaluateTasks(model, ffns, specs, *tokenizer, options.report_rows)});
  }
  model::WriteTensors(parameters, out / "model.safetensors");
  CopyTokenizer(vocabulary, out);
  result.seconds = SecondsSince(start);
  result.ffn_names = FfnNames(model);
  result.results = EvaluateTasks(model, ffns, specs, *tokenizer, /*limit=*/0);
  return result;
}

TrainReport Evaluate(const std::filesystem::path& checkpoint,
                     const std::filesystem::path& task_directory) {
  at::set_num_threads(static_cast<int>(TrainOptions().threads));
  const train::FastProcess fast;
  const auto start = Clock::now();
  const std::vector<task::TaskSpec> specs = ReadSpecs(task_directory);
  const std::unique_ptr<text::Tokenizer> tokenizer = text::LoadTokenizer(checkpoint);
  model::Transformer model = model::LoadTransformer(io::Checkpoint::Open(checkpoint));
  const std::vector<PenalizedFeedForward*> ffns = PenalizeAll(model);
  TrainReport result;
  result.results = EvaluateTasks(model, ffns, specs, *tokenizer, /*limit=*/0);
  result.ffn_names = FfnNames(model);
  result.seconds = SecondsSince(start);
  return result;
}

}  // namespace moefy::example
