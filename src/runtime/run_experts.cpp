// The public calls: tokens in chunks, each a ChunkRun.
#include <ATen/ATen.h>
#include <ATen/Parallel.h>

#include <algorithm>

#include "moefy/base/error.h"
#include "moefy/runtime/sparse_ffn.h"
#include "runtime/chunk_run.h"

namespace moefy::runtime {
namespace {

Scratch& ThreadScratch() {
  thread_local Scratch scratch;
  return scratch;
}

// Chunk after chunk; `set_up(run, first token)` says what each is to run.
template <class SetUp>
at::Tensor RunChunks(const ExpertWeights& experts, const at::Tensor& x, SparseCounters* counters,
                     const SetUp& set_up) {
  MOEFY_CHECK(x.dim() == 2 && x.size(1) == experts.hidden && x.scalar_type() == at::kFloat);
  const at::Tensor inputs = x.contiguous();  // [tokens, hidden]
  at::Tensor y = at::empty_like(inputs, at::MemoryFormat::Contiguous);
  const int64_t num_tokens = x.size(0);
  int64_t expert_loads = 0, pairs = 0, live = 0;
  for (int64_t begin = 0; begin < num_tokens; begin += kChunkTokens) {
    ChunkRun run(experts, inputs.data_ptr<float>() + begin * experts.hidden,
                 std::min(kChunkTokens, num_tokens - begin),
                 y.data_ptr<float>() + begin * experts.hidden, ThreadScratch());
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
  return y;
}

}  // namespace

Map MapOf(model::Activation activation) {
  switch (activation) {
    case model::Activation::kRelu:
      return Map::kRelu;
    case model::Activation::kGelu:
      return Map::kGelu;
    case model::Activation::kGeluTanh:
      return Map::kGeluTanh;
    case model::Activation::kSilu:
      return Map::kSilu;
  }
  return Map::kNone;
}

at::Tensor RunExperts(const ExpertWeights& experts, const at::Tensor& x, const at::Tensor& chosen,
                      SparseCounters* counters) {
  MOEFY_CHECK(chosen.dim() == 2 && chosen.size(0) == x.size(0) &&
              chosen.scalar_type() == at::kLong);
  const at::Tensor choices = chosen.contiguous();  // [tokens, k]
  const int64_t num_chosen = chosen.size(1);
  return RunChunks(experts, x, counters, [&](ChunkRun& run, int64_t begin) {
    run.RunChosen(choices.data_ptr<int64_t>() + begin * num_chosen, num_chosen);
  });
}

at::Tensor RunRouted(const ExpertWeights& experts, const RouterWeights& router,
                     const SelectionRule& rule, const at::Tensor& x, SparseCounters* counters) {
  MOEFY_CHECK(router.num_experts == experts.num_experts && router.hidden == experts.hidden);
  return RunChunks(experts, x, counters,
                   [&](ChunkRun& run, int64_t) { run.RunRouted(router, rule); });
}

at::Tensor RunAllExperts(const ExpertWeights& experts, const at::Tensor& x,
                         SparseCounters* counters) {
  return RunChunks(experts, x, counters, [](ChunkRun& run, int64_t) { run.RunAll(); });
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

at::Tensor SelectExperts(const at::Tensor& scores, const SelectionRule& rule) {
  const int64_t tokens = scores.size(0), experts = scores.size(1);
  const int64_t num_chosen = rule.num_shared + rule.num_selected;
  MOEFY_CHECK(num_chosen <= experts && scores.scalar_type() == at::kFloat);
  const at::Tensor in = scores.to(at::kCPU).contiguous();
  at::Tensor out = at::empty({tokens, num_chosen}, at::kLong);
  at::parallel_for(0, tokens, 16, [&](int64_t begin, int64_t end) {
    Scratch& scratch = ThreadScratch();
    GrowTo(scratch.keys, experts);
    GrowTo(scratch.chosen, num_chosen);
    for (int64_t t = begin; t < end; ++t) {
      SelectRow(in.data_ptr<float>() + t * experts, experts, rule, scratch.keys.data(),
                scratch.chosen.data());
      std::copy_n(scratch.chosen.begin(), num_chosen, out.data_ptr<int64_t>() + t * num_chosen);
    }
  });
  return out.to(scores.device());
}

std::string InstructionSet() { return ChosenInstructionSet(); }

}  // namespace moefy::runtime
