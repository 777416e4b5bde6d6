#include "bench/model_pass.h"

#include <ATen/ATen.h>
#include <ATen/CPUGeneratorImpl.h>

#include <algorithm>

#include "base/stopwatch.h"
#include "moefy/base/error.h"

namespace moefy::bench {
namespace {

using model::Architecture;
using model::Head;

// Real tokens of each text, [texts].
at::Tensor Lengths(const model::ForwardInputs& inputs) {
  if (inputs.attention_mask.defined()) return inputs.attention_mask.sum(1);
  return at::full({inputs.input_ids.size(0)}, inputs.input_ids.size(1), at::kLong);
}

at::Tensor AllLengths(const PassInputs& inputs) {
  std::vector<at::Tensor> lengths;
  for (const model::ForwardInputs& batch : inputs.batches) lengths.push_back(Lengths(batch));
  return at::cat(lengths).to(at::kDouble);
}

double Sum(const at::Tensor& values) { return values.sum().item<double>(); }

// What a head gives, or the last states without one.
at::Tensor Shown(const model::ForwardOutputs& outputs) {
  for (const at::Tensor& tensor : {outputs.logits, outputs.start_logits}) {
    if (tensor.defined()) return tensor;
  }
  return outputs.last_hidden_state;
}

runtime::SparseCounters Since(const runtime::SparseCounters& before,
                              const runtime::SparseCounters& after) {
  runtime::SparseCounters out;
  out.neurons_evaluated = after.neurons_evaluated - before.neurons_evaluated;
  out.neurons_total = after.neurons_total - before.neurons_total;
  out.weight_bytes_read = after.weight_bytes_read - before.weight_bytes_read;
  out.router_flops = after.router_flops - before.router_flops;
  out.expert_flops = after.expert_flops - before.expert_flops;
  out.seconds = after.seconds - before.seconds;
  return out;
}

// Runs the phases of one pass and keeps their time and counters.
class PassRunner {
 public:
  explicit PassRunner(ModelEngine& engine) : engine_(engine) {}

  template <typename Work>
  void Run(int64_t steps, const Work& work) {
    const runtime::SparseCounters before = engine_.Counters();
    PhaseRun run;
    run.ms = Milliseconds([&] { run.output = work(); }) / static_cast<double>(steps);
    run.counters = Since(before, engine_.Counters());
    if (run.output.defined()) run.output = run.output.clone();  // a later step may overwrite it
    runs_.push_back(std::move(run));
  }
  std::vector<PhaseRun> Take() { return std::move(runs_); }

 private:
  ModelEngine& engine_;
  std::vector<PhaseRun> runs_;
};

}  // namespace

int64_t PassInputs::texts() const {
  int64_t texts = 0;
  for (const model::ForwardInputs& batch : batches) texts += batch.input_ids.size(0);
  return texts;
}

int64_t PassInputs::tokens() const { return static_cast<int64_t>(Sum(AllLengths(*this))); }

model::ForwardInputs RandomInputs(const model::ModelConfig& config, int64_t batch, int64_t tokens,
                                  uint64_t seed) {
  at::Generator generator = at::detail::createCPUGenerator(seed);
  model::ForwardInputs inputs;
  inputs.input_ids = at::randint(0, config.input_vocab_size, {batch, tokens}, generator, at::kLong);
  // Padding and ends may mean something to positions or pooling.
  int64_t* const ids = inputs.input_ids.data_ptr<int64_t>();
  const auto special = [&](int64_t id) { return id == config.pad_id || id == config.eos_id; };
  for (int64_t i = 0; i < batch * tokens; ++i) {
    while (special(ids[i]) && config.input_vocab_size > 2) {
      ids[i] = (ids[i] + 1) % config.input_vocab_size;
    }
  }
  return inputs;
}

std::vector<Phase> PhasesOf(const model::ModelConfig& config, const PassInputs& inputs) {
  const at::Tensor lengths = AllLengths(inputs);
  const auto texts = static_cast<double>(inputs.texts());
  const double tokens = Sum(lengths), all_pairs = Sum(lengths * lengths);
  const bool generates = config.architecture != Architecture::kEncoder;
  std::vector<Phase> phases;
  const auto add = [&](const char* name, const model::StackConfig& stack,
                       const model::StackInput& input, int64_t steps, double runs) {
    phases.push_back({name, steps, input.tokens, model::AttentionWork(config, stack, input),
                      model::DenseFfnWork(config, stack, input.tokens), runs});
  };
  if (config.architecture != Architecture::kDecoder) {
    const bool all_logits = config.head == Head::kMaskedLanguageModel;
    add("encode", config.encoder,
        {.tokens = tokens, .keys = all_pairs, .logits = all_logits ? tokens : 0}, 1,
        static_cast<double>(inputs.batches.size()));
  }
  if (!generates) return phases;
  double before = tokens / texts;  // columns of a text before the first step of decoding
  double memory = 0;
  if (config.architecture == Architecture::kDecoder) {
    add("prefill", config.decoder,
        {.tokens = tokens, .keys = (all_pairs + tokens) / 2, .logits = texts}, 1, 1);
  } else {
    memory = before;
    before = 1;
    add("first token", config.decoder,
        {.tokens = texts,
         .keys = texts,
         .texts = texts,
         .memory = memory,
         .reads_memory = false,
         .logits = texts},
        1, 1);
  }
  const int64_t steps = inputs.new_tokens - 1;
  if (steps < 1) return phases;
  const double columns = before + (static_cast<double>(steps) + 1) / 2;  // on the mean
  add("decode", config.decoder,
      {.tokens = texts,
       .keys = texts * columns,
       .texts = texts,
       .cached = columns,
       .memory = memory,
       .logits = texts},
      steps, 1);
  return phases;
}

std::vector<PhaseRun> RunPass(ModelEngine& engine, const PassInputs& inputs) {
  model::Transformer& transformer = engine.transformer();
  const model::ModelConfig& config = transformer.config();
  PassRunner runner(engine);
  if (config.architecture == Architecture::kEncoder) {
    runner.Run(1, [&] {
      at::Tensor first;
      for (const model::ForwardInputs& batch : inputs.batches) {
        const at::Tensor shown = Shown(transformer.Forward(batch));
        if (!first.defined()) first = shown;
      }
      return first;
    });
    return runner.Take();
  }
  const model::ForwardInputs& batch = inputs.batches.front();
  std::shared_ptr<model::DecodingState> state;
  at::Tensor ids = batch.input_ids, mask = batch.attention_mask, logits;
  const auto start = [&] {
    state = transformer.StartDecoding(batch);
    return at::Tensor();
  };
  if (config.architecture == Architecture::kEncoderDecoder) {
    runner.Run(1, start);
    ids = at::full({batch.input_ids.size(0), 1}, std::max<int64_t>(0, config.decoder_start_id),
                   at::kLong);
    mask = at::Tensor();
  } else {
    start();
  }
  runner.Run(1, [&] { return logits = transformer.Decode(*state, ids, mask); });
  const int64_t steps = inputs.new_tokens - 1;
  if (steps < 1) return runner.Take();
  at::Tensor next = at::empty({ids.size(0), 1}, at::kLong);
  runner.Run(steps, [&] {
    for (int64_t i = 0; i < steps; ++i) {
      next.copy_(logits.argmax(1, /*keepdim=*/true));
      logits = transformer.Decode(*state, next);
    }
    return at::Tensor();
  });
  return runner.Take();
}

}  // namespace moefy::bench
