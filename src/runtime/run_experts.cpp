// The public calls, and the same on plain memory: tokens in chunks, each a ChunkRun.
#include <ATen/ATen.h>
#include <ATen/Parallel.h>

#include <algorithm>

#include "moefy/base/error.h"
#include "runtime/sparse_call.h"
#include "runtime/sparse_ffn.h"
#include "runtime/sparse_rows.h"

namespace moefy::runtime {
namespace {

Scratch& ThreadScratch() {
  thread_local Scratch scratch;
  return scratch;
}

// Chunk after chunk; `set_up(run, first token)` says what each is to run.
template <class SetUp>
void RunChunks(const ExpertWeights& experts, const float* x, int64_t num_tokens, float* y,
               SparseCounters* counters, const SetUp& set_up) {
  int64_t expert_loads = 0, pairs = 0, live = 0;
  for (int64_t begin = 0; begin < num_tokens; begin += kChunkTokens) {
    ChunkRun run(experts, x + begin * experts.hidden, std::min(kChunkTokens, num_tokens - begin),
                 y + begin * experts.hidden, ThreadScratch());
    set_up(run, begin);
    run.Execute(at::get_num_threads());
    expert_loads += run.num_active_experts();
    pairs += run.num_pairs();
    live += experts.min_magnitude ? run.CountLiveNeurons()
                                  : run.num_pairs() * experts.neurons_per_expert;
  }
  if (counters) {
    counters->tokens += num_tokens;
    counters->expert_tokens += pairs;
    counters->neurons_evaluated += pairs * experts.neurons_per_expert;
    counters->neurons_total += num_tokens * experts.num_experts * experts.neurons_per_expert;
    counters->expert_loads += expert_loads;
    counters->weight_bytes_read += expert_loads * experts.ExpertBytes();
    const int64_t first_products =
        pairs * experts.neurons_per_expert * (experts.num_matrices() - 1);
    counters->expert_flops += 2.0 * static_cast<double>((first_products + live) * experts.hidden);
  }
}

// `run(x, tokens, y)` on the memory of tensors.
template <class Run>
at::Tensor OnTensors(const ExpertWeights& experts, const at::Tensor& x, const Run& run) {
  MOEFY_CHECK(x.dim() == 2 && x.size(1) == experts.hidden && x.scalar_type() == at::kFloat);
  const at::Tensor in = x.contiguous();
  at::Tensor y = at::empty_like(in, at::MemoryFormat::Contiguous);
  run(in.data_ptr<float>(), x.size(0), y.data_ptr<float>());
  return y;
}

}  // namespace

Map MapOf(const model::Activation& activation) {
  using model::Activation;
  constexpr std::pair<Activation::Kind, Map::Kind> kMaps[] = {
      {Activation::kRelu, Map::kRelu},
      {Activation::kRelu2, Map::kRelu2},
      {Activation::kRelu6, Map::kRelu6},
      {Activation::kFatRelu, Map::kFatRelu},
      {Activation::kLeakyRelu, Map::kLeakyRelu},
      {Activation::kGelu, Map::kGelu},
      {Activation::kGelu10, Map::kGelu10},
      {Activation::kGeluTanh, Map::kGeluTanh},
      {Activation::kQuickGelu, Map::kQuickGelu},
      {Activation::kSilu, Map::kSilu},
      {Activation::kMish, Map::kMish}};
  for (const auto& [kind, map] : kMaps) {
    if (kind != activation.kind) continue;
    return {map, static_cast<float>(activation.threshold), activation.on_both,
            activation.makes_zeros()};
  }
  MOEFY_CHECK(false && "an activation without a kernel");
  return {};
}

void RunExpertRows(const ExpertWeights& experts, const float* x, int64_t tokens,
                   const int64_t* chosen, int64_t num_chosen, float* y, SparseCounters* counters) {
  RunChunks(experts, x, tokens, y, counters, [&](ChunkRun& run, int64_t begin) {
    run.RunChosen(chosen + begin * num_chosen, num_chosen);
  });
}

at::Tensor RunExperts(const ExpertWeights& experts, const at::Tensor& x, const at::Tensor& chosen,
                      SparseCounters* counters) {
  MOEFY_CHECK(chosen.dim() == 2 && chosen.size(0) == x.size(0) &&
              chosen.scalar_type() == at::kLong);
  const at::Tensor choices = chosen.contiguous();  // [tokens, k]
  return OnTensors(experts, x, [&](const float* in, int64_t tokens, float* y) {
    RunExpertRows(experts, in, tokens, choices.data_ptr<int64_t>(), chosen.size(1), y, counters);
  });
}

void RunRoutedRows(const ExpertWeights& experts, const RouterWeights& router,
                   const SelectionRule& rule, const float* x, int64_t tokens, float* y,
                   SparseCounters* counters) {
  MOEFY_CHECK(router.num_experts == experts.num_experts && router.hidden == experts.hidden);
  RunChunks(experts, x, tokens, y, counters,
            [&](ChunkRun& run, int64_t) { run.RunRouted(router, rule); });
}

at::Tensor RunRouted(const ExpertWeights& experts, const RouterWeights& router,
                     const SelectionRule& rule, const at::Tensor& x, SparseCounters* counters) {
  return OnTensors(experts, x, [&](const float* in, int64_t tokens, float* y) {
    RunRoutedRows(experts, router, rule, in, tokens, y, counters);
  });
}

void RunAllExpertRows(const ExpertWeights& experts, const float* x, int64_t tokens, float* y,
                      SparseCounters* counters) {
  RunChunks(experts, x, tokens, y, counters, [](ChunkRun& run, int64_t) { run.RunAll(); });
}

at::Tensor RunAllExperts(const ExpertWeights& experts, const at::Tensor& x,
                         SparseCounters* counters) {
  return OnTensors(experts, x, [&](const float* in, int64_t tokens, float* y) {
    RunAllExpertRows(experts, in, tokens, y, counters);
  });
}

at::Tensor Route(const RouterWeights& router, const SelectionRule& rule, const at::Tensor& x) {
  MOEFY_CHECK(x.dim() == 2 && x.size(1) == router.hidden && x.scalar_type() == at::kFloat);
  ExpertWeights shape;  // what ChunkRun needs to know of it
  shape.num_experts = router.num_experts;
  shape.hidden = router.hidden;
  shape.neurons_per_expert = kTileNeurons;
  const at::Tensor inputs = x.contiguous();
  const int64_t num_chosen = rule.num_shared + rule.num_selected;
  at::Tensor chosen = at::empty({x.size(0), num_chosen}, at::kLong);
  Scratch& scratch = ThreadScratch();
  for (int64_t begin = 0; begin < x.size(0); begin += kChunkTokens) {
    const int64_t count = std::min(kChunkTokens, x.size(0) - begin);
    ChunkRun run(shape, inputs.data_ptr<float>() + begin * router.hidden, count, nullptr, scratch);
    run.RunRouted(router, rule);
    run.Execute(at::get_num_threads(), /*only_route=*/true);
    std::copy_n(scratch.chosen.begin(), count * num_chosen,
                chosen.data_ptr<int64_t>() + begin * num_chosen);
  }
  return chosen;
}

void SelectRows(const float* scores, int64_t tokens, int64_t num_experts, const SelectionRule& rule,
                int64_t* chosen) {
  const int64_t num_chosen = rule.num_shared + rule.num_selected;
  MOEFY_CHECK(num_chosen <= num_experts);
  at::parallel_for(0, tokens, 16, [&](int64_t begin, int64_t end) {
    Scratch& scratch = ThreadScratch();
    GrowTo(scratch.keys, num_experts);
    GrowTo(scratch.chosen, num_chosen);
    for (int64_t t = begin; t < end; ++t) {
      SelectRow(scores + t * num_experts, num_experts, rule, scratch.keys.data(),
                scratch.chosen.data());
      std::copy_n(scratch.chosen.begin(), num_chosen, chosen + t * num_chosen);
    }
  });
}

at::Tensor SelectExperts(const at::Tensor& scores, const SelectionRule& rule) {
  MOEFY_CHECK(scores.scalar_type() == at::kFloat);
  const int64_t tokens = scores.size(0), num_experts = scores.size(1);
  const at::Tensor in = scores.to(at::kCPU).contiguous();
  at::Tensor out = at::empty({tokens, rule.num_shared + rule.num_selected}, at::kLong);
  SelectRows(in.data_ptr<float>(), tokens, num_experts, rule, out.data_ptr<int64_t>());
  return out.to(scores.device());
}

std::string InstructionSet() { return ChosenInstructionSet(); }

}  // namespace moefy::runtime
