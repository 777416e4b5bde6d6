#include "runtime/run_experts.h"

#include <ATen/ATen.h>
#include <ATen/Parallel.h>

#include <algorithm>

#include "moefy/base/error.h"
#include "runtime/dot_rows.h"
#include "runtime/scratch.h"
#include "runtime/sparse_call.h"

namespace moefy::runtime {
namespace {

// Runs the tokens chunk after chunk; `set_up(run, first token)` says what each chunk is to run.
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

}  // namespace

SparseCounters& SparseCounters::operator+=(const SparseCounters& other) {
  tokens += other.tokens;
  dense_tokens += other.dense_tokens;
  expert_tokens += other.expert_tokens;
  neurons_evaluated += other.neurons_evaluated;
  neurons_total += other.neurons_total;
  expert_loads += other.expert_loads;
  weight_bytes_read += other.weight_bytes_read;
  router_flops += other.router_flops;
  expert_flops += other.expert_flops;
  seconds += other.seconds;
  return *this;
}

void RunExpertRows(const ExpertWeights& experts, const float* x, int64_t tokens,
                   const int64_t* chosen, int64_t num_chosen, float* y, SparseCounters* counters) {
  RunChunks(experts, x, tokens, y, counters, [&](ChunkRun& run, int64_t begin) {
    run.RunChosen(chosen + begin * num_chosen, num_chosen);
  });
}

at::Tensor RunExperts(const ExpertWeights& experts, const at::Tensor& x, const at::Tensor& chosen,
                      SparseCounters* counters) {
  MOEFY_CHECK(x.dim() == 2 && x.size(1) == experts.hidden && x.scalar_type() == at::kFloat);
  MOEFY_CHECK(chosen.dim() == 2 && chosen.size(0) == x.size(0) &&
              chosen.scalar_type() == at::kLong);
  const at::Tensor choices = chosen.contiguous();  // [tokens, k]
  const at::Tensor in = x.contiguous();
  at::Tensor y = at::empty_like(in, at::MemoryFormat::Contiguous);
  RunExpertRows(experts, in.data_ptr<float>(), x.size(0), choices.data_ptr<int64_t>(),
                chosen.size(1), y.data_ptr<float>(), counters);
  return y;
}

void RunRoutedRows(const ExpertWeights& experts, const RouterWeights& router,
                   const route::SelectionRule& rule, const float* x, int64_t tokens, float* y,
                   SparseCounters* counters) {
  MOEFY_CHECK(router.num_experts == experts.num_experts && router.hidden == experts.hidden);
  RunChunks(experts, x, tokens, y, counters,
            [&](ChunkRun& run, int64_t) { run.RunRouted(router, rule); });
}

void RunAllExpertRows(const ExpertWeights& experts, const float* x, int64_t tokens, float* y,
                      SparseCounters* counters) {
  RunChunks(experts, x, tokens, y, counters, [](ChunkRun& run, int64_t) { run.RunAll(); });
}

at::Tensor Route(const RouterWeights& router, const route::SelectionRule& rule,
                 const at::Tensor& x) {
  MOEFY_CHECK(x.dim() == 2 && x.size(1) == router.hidden && x.scalar_type() == at::kFloat);
  ExpertWeights shape;  // what ChunkRun needs to know of it
  shape.num_experts = router.num_experts;
  shape.hidden = router.hidden;
  shape.neurons_per_expert = kTileNeurons;
  shape.format = router.format;
  const at::Tensor inputs = x.contiguous();
  const int64_t num_chosen = rule.num_chosen();
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

std::string InstructionSet() { return ChosenInstructionSet(); }

}  // namespace moefy::runtime
