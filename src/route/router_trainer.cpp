#include "moefy/route/router_trainer.h"

#include <algorithm>
#include <chrono>
#include <cmath>

#include "moefy/base/error.h"
#include "moefy/route/compensation.h"
#include "moefy/route/least_squares.h"
#include "moefy/route/output_error.h"
#include "moefy/route/selection.h"
#include "route/router_fit.h"

namespace moefy::route {
namespace {

// Tokens whose outputs the held-out errors are of, at most, spread evenly.
constexpr int64_t kErrorTokens = 2048;
// Tokens from which compensation and W_out are found, at most.
constexpr int64_t kSumTokens = 16384;
constexpr int64_t kChunk = 1024;

at::Tensor SpreadEvenly(const at::Tensor& rows, int64_t max_rows) {
  const int64_t kept = std::min(max_rows, rows.size(0));
  if (kept == rows.size(0)) return rows;
  return rows.index_select(
      0, (at::arange(kept, rows.options().dtype(at::kLong)) * rows.size(0)).div(kept, "floor"));
}

// Held-out tokens with all that is known of them.
struct HeldOut {
  at::Tensor x, mass;   // [tokens, hidden], [tokens, experts]
  at::Tensor sample_x;  // some of x: those of `sample`
  OutputSample sample;
  const model::FfnWeights& ffn;
  int64_t num_experts;

  HeldOut(const model::FfnWeights& weights, int64_t experts, const at::Tensor& inputs)
      : x(inputs),
        mass(Importance(GetTarget("mass"), weights, inputs, experts)),
        sample_x(SpreadEvenly(inputs, kErrorTokens)),
        sample(weights, sample_x, experts),
        ffn(weights),
        num_experts(experts) {}

  RouterQuality Measure(Router& router, double ratio) const {
    const int64_t k = NumSelected(ratio, num_experts);
    const at::Tensor scores = router.Scores(x);
    const at::Tensor chosen = TopKMask(scores, k);
    const at::Tensor relevant = TopKMask(mass, k) & (mass > 0);
    const auto num_relevant = relevant.sum().item<double>();
    RouterQuality quality;
    quality.mass = CaughtShare(scores, mass, k);
    quality.recall =
        num_relevant > 0 ? (chosen & relevant).sum().item<double>() / num_relevant : 1.0;
    quality.output_error = Error(router, ratio);
    quality.tokens = x.size(0);
    return quality;
  }
  double Error(Router& router, double ratio, const Stand& stand = {}) const {
    return sample.Error(TopKMask(router.Scores(sample_x), NumSelected(ratio, num_experts)), stand);
  }
};

// At most `max_tokens` rows, spread evenly over the dump. [tokens, hidden]
at::Tensor ReadTokens(const record::ActivationDump& dump, size_t ffn_idx, int64_t max_tokens) {
  constexpr int64_t kReadRows = 8192;
  const record::DumpedFfn& ffn = dump.ffns()[ffn_idx];
  const int64_t kept = std::min(ffn.tokens, max_tokens);
  at::Tensor out = at::empty({kept, ffn.hidden}, at::kFloat);
  const auto row_of = [&](int64_t i) { return i * ffn.tokens / kept; };
  int64_t done = 0;
  for (int64_t begin = 0; begin < ffn.tokens; begin += kReadRows) {
    const int64_t end = std::min(ffn.tokens, begin + kReadRows);
    std::vector<int64_t> rows;
    for (int64_t i = done; i < kept && row_of(i) < end; ++i) rows.push_back(row_of(i) - begin);
    if (rows.empty()) continue;
    const auto count = static_cast<int64_t>(rows.size());
    const at::Tensor read = dump.ReadInputs(ffn_idx, begin, end);
    out.narrow(0, done, count).copy_(read.index_select(0, at::tensor(at::ArrayRef<int64_t>(rows))));
    done += count;
  }
  return out;
}

struct Tokens {
  at::Tensor train, held_out;  // I64 row indices
};

// Held out: up to 50 runs of neighbours at even distances. Neighbours are words of one text, and a
// word held out between two trained ones would measure memory.
Tokens SplitTokens(int64_t num_tokens, double held_out) {
  const auto wanted =
      static_cast<int64_t>(std::clamp(std::round(held_out * static_cast<double>(num_tokens)), 1.0,
                                      std::max(1.0, static_cast<double>(num_tokens - 1))));
  const int64_t num_runs = std::min<int64_t>(wanted, 50);
  std::vector<char> is_held(num_tokens, 0);
  for (int64_t run = 0; run < num_runs; ++run) {
    const int64_t length = wanted * (run + 1) / num_runs - wanted * run / num_runs;
    const int64_t end = num_tokens * (run + 1) / num_runs;
    std::fill(is_held.begin() + (end - length), is_held.begin() + end, 1);
  }
  std::vector<int64_t> train, held;
  for (int64_t i = 0; i < num_tokens; ++i) (is_held[i] ? held : train).push_back(i);
  if (train.empty()) train = held;  // a single token
  return {at::tensor(at::ArrayRef<int64_t>(train)), at::tensor(at::ArrayRef<int64_t>(held))};
}

// What stands in for the experts that do not run, as far as it makes both the output and what tells
// its tokens apart better: first the compensation, then W_out with it. `x` are training tokens.
Stand FitStand(Router& router, const HeldOut& held_out, const at::Tensor& x,
               const TrainOptions& options) {
  const Compensation& compensation = GetCompensation(options.compensation);
  Stand kept;
  const at::Tensor inputs = SpreadEvenly(x, kSumTokens);
  const int64_t k = NumSelected(options.metric_ratio, held_out.num_experts);
  const at::Tensor held_runs = TopKMask(router.Scores(held_out.sample_x), k);
  double error = held_out.sample.Error(held_runs),
         varying = held_out.sample.VaryingError(held_runs);
  const auto keep_if_better = [&](const Stand& candidate) {
    const double error_with = held_out.sample.Error(held_runs, candidate);
    const double varying_with = held_out.sample.VaryingError(held_runs, candidate);
    if (error_with < error && varying_with < varying) {
      kept = candidate;
      error = error_with;
      varying = varying_with;
    }
  };
  const auto for_each_chunk = [&](const auto& use) {
    for (const at::Tensor& part : inputs.split(kChunk)) {
      ThrowIfInterrupted();
      use(model::NeuronActivations(held_out.ffn, part), TopKMask(router.Scores(part), k));
    }
  };
  if (compensation.name != "none") {
    ContributionSums sums(held_out.ffn.num_neurons(), held_out.num_experts, inputs.device());
    for_each_chunk(
        [&](const at::Tensor& neurons, const at::Tensor& runs) { sums.Add(neurons, runs); });
    keep_if_better({compensation.terms(sums, held_out.ffn), {}});
  }
  if (options.least_squares) {
    OutputLeastSquares squares(held_out.ffn, kept.compensation);
    for_each_chunk(
        [&](const at::Tensor& neurons, const at::Tensor& runs) { squares.Add(neurons, runs); });
    const at::Tensor terms = kept.compensation;
    for (const double strength : {1e-3, 1e-2, 1e-1, 1.0}) {
      keep_if_better({terms, squares.Solve(strength)});
    }
  }
  return kept;
}

void CheckInputs(const record::DumpedFfn& dumped, const model::FfnWeights& ffn) {
  if (dumped.tokens == 0) {
    throw InputError("the activation dump holds no token of ", Quoted(dumped.name),
                     "; a router cannot be trained on nothing");
  }
  if (dumped.hidden != ffn.hidden()) {
    throw InputError("the activation dump's ", Quoted(dumped.name), " is ", dumped.hidden,
                     " wide; the FFN's inputs are ", ffn.hidden());
  }
}

}  // namespace

RouterQuality MeasureRouter(Router& router, const model::FfnWeights& ffn, int64_t num_experts,
                            const at::Tensor& x, double ratio) {
  const at::NoGradGuard no_grad;
  return HeldOut(ffn, num_experts, x).Measure(router, ratio);
}

int64_t TrainedRouter::DeadExperts() const { return (load == 0).sum().item<int64_t>(); }

double TrainedRouter::LoadEntropy() const {
  if (load.size(0) < 2) return 1;
  const at::Tensor share = load / load.sum();
  return -at::xlogy(share, share).sum().item<double>() /
         std::log(static_cast<double>(load.size(0)));
}

TrainedRouter TrainRouter(const model::FfnWeights& given_ffn, int64_t num_experts,
                          const record::ActivationDump& dump, size_t dump_ffn_idx,
                          const TrainOptions& options) {
  const auto start = std::chrono::steady_clock::now();
  const at::NoGradGuard no_grad;
  const record::DumpedFfn& dumped = dump.ffns().at(dump_ffn_idx);
  CheckInputs(dumped, given_ffn);
  const model::FfnWeights ffn = given_ffn.To(options.device);
  const at::Tensor x = ReadTokens(dump, dump_ffn_idx, options.max_tokens);  // [tokens, hidden]
  if (!x.isfinite().all().item<bool>()) {
    throw InputError("the activation dump's ", Quoted(dumped.name),
                     " holds values that are not finite");
  }
  const auto [train, held] = SplitTokens(x.size(0), options.held_out);
  const at::Tensor train_x = x.index_select(0, train).to(options.device);
  const HeldOut held_out(ffn, num_experts, x.index_select(0, held).to(options.device));

  const Target& target = GetTarget(options.target);
  at::Tensor wanted = Importance(target, ffn, train_x, num_experts);  // [tokens, experts]
  if (const double largest = wanted.max().item<double>(); largest > 0) wanted.div_(largest);
  const int64_t k = NumSelected(options.metric_ratio, num_experts);
  Fitted fitted = FitRouter({ffn, num_experts, train_x, wanted, held_out.x,
                             Importance(target, ffn, held_out.x, num_experts), k, options});
  TrainedRouter result;
  result.router = std::move(fitted.router);
  result.best_epoch = fitted.best_epoch;
  const Stand stand = FitStand(*result.router, held_out, train_x, options);
  result.compensation = stand.compensation;
  result.w_out = stand.w_out;

  const double ratio = options.metric_ratio;
  SimilarityRouter similarity(ExpertCenters(ffn, num_experts));
  RandomRouter random(num_experts, options.seed);
  OracleRouter oracle(ffn, num_experts, GetTarget("mass"));
  OracleRouter oracle_output(ffn, num_experts, GetTarget("output-norm"));
  result.routed = held_out.Measure(*result.router, ratio);
  result.similarity = held_out.Measure(similarity, ratio);
  result.random = held_out.Measure(random, ratio);
  result.oracle = held_out.Measure(oracle, ratio);
  result.oracle_output = held_out.Measure(oracle_output, ratio);
  result.neuron_oracle_error = held_out.sample.NeuronOracleError(ratio);
  result.final_error = held_out.Error(*result.router, ratio, stand);

  const at::Tensor scores = result.router->Scores(held_out.x);
  result.load = TopKMask(scores, k).to(at::kFloat).mean(0);
  result.thresholds = ThresholdTable(scores);
  result.errors = at::empty({static_cast<int64_t>(kCurveRatios.size())}, at::kFloat);
  for (size_t i = 0; i < kCurveRatios.size(); ++i) {
    result.errors[static_cast<int64_t>(i)] = held_out.Error(*result.router, kCurveRatios[i], stand);
  }
  result.dump_tokens = dumped.tokens;
  result.train_tokens = train.size(0);
  result.seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
  return result;
}

}  // namespace moefy::route
