#include "eval/sparsity_study.h"

#include <ATen/core/grad_mode.h>
#include "base/table.h"

#include <algorithm>
#include <cmath>

#include "eval/report.h"
#include "model/contribution.h"
#include "moefy/base/strings.h"

namespace moefy::eval {
namespace {

// `together` [n, n] F32 counts the tokens on which both neurons fire, and on the diagonal those on
// which each fires.
void StudyCorrelation(const at::Tensor& together, int64_t tokens, FfnSparsity& out) {
  const at::Tensor rate = together.diagonal() / static_cast<double>(tokens);
  const at::Tensor varies = (rate > 0).logical_and(rate < 1).nonzero().view({-1});
  const int64_t n = varies.numel();
  if (n < 2) return;
  const at::Tensor p = rate.index_select(0, varies).to(at::kDouble);
  const at::Tensor deviation = (p * (1 - p)).sqrt();
  at::Tensor phi = together.index_select(0, varies).index_select(1, varies).to(at::kDouble);
  phi.div_(static_cast<double>(tokens)).sub_(at::outer(p, p)).div_(at::outer(deviation, deviation));
  phi.fill_diagonal_(0);
  out.correlation_rms =
      std::sqrt(phi.square().sum().item<double>() / static_cast<double>(n * (n - 1)));
  phi.fill_diagonal_(-2);  // a neuron is no neighbour of itself
  const auto nearest = std::get<0>(phi.topk(std::min(kNeighbours, n - 1), 1));
  out.correlation_nearest = nearest.mean().item<double>();
}

std::string Percent(double share) { return FormatFixed(100 * share, 1); }

}  // namespace

FfnSparsity StudySparsity(const std::string& name, const model::FfnWeights& ffn,
                          const record::RecordedInputs& inputs, int64_t max_tokens) {
  const at::NoGradGuard no_grad;
  const int64_t n = ffn.num_neurons();
  FfnSparsity out;
  out.ffn = name;
  out.neurons = n;
  out.tokens = std::min(max_tokens, inputs.tokens());
  out.exact = model::HasExactZeros(ffn);
  if (out.tokens == 0) return out;
  at::Tensor together = at::zeros({n, n});
  at::Tensor needed = at::zeros({static_cast<int64_t>(kStudyShares.size())}, at::kDouble);
  std::vector<double> active;  // per token
  inputs.Visit(max_tokens, [&](const at::Tensor& x) {
    const model::NeuronUse use = model::UseNeurons(ffn, x);
    const at::Tensor fires = use.fires.to(at::kFloat);
    together.addmm_(fires.t(), fires);
    needed += model::NeuronsNeeded(use.contributions, {kStudyShares.begin(), kStudyShares.end()})
                  .to(at::kDouble)
                  .sum(1);
    const at::Tensor shares = fires.mean(1, false, at::kDouble).contiguous();
    active.insert(active.end(), shares.data_ptr<double>(),
                  shares.data_ptr<double>() + shares.numel());
  });
  const auto tokens = static_cast<double>(out.tokens);
  std::ranges::sort(active);
  for (const double share : active) out.active += share / tokens;
  for (size_t i = 0; i < kStudyPercentiles.size(); ++i) {
    const double rank = kStudyPercentiles[i] / 100.0 * (tokens - 1);
    out.active_percentiles[i] = active[static_cast<size_t>(std::lround(rank))];
  }
  for (size_t i = 0; i < kStudyShares.size(); ++i) {
    out.needed[i] =
        needed[static_cast<int64_t>(i)].item<double>() / tokens / static_cast<double>(n);
  }
  const at::Tensor rates = (together.diagonal().to(at::kDouble) / tokens).contiguous();
  out.rates.assign(rates.data_ptr<double>(), rates.data_ptr<double>() + n);
  std::ranges::sort(out.rates, std::greater<>());
  out.dead = std::ranges::count(out.rates, 0.0);
  out.hot = std::ranges::count_if(out.rates, [](double rate) { return rate > 0.5; });
  StudyCorrelation(together, out.tokens, out);
  return out;
}

std::string FormatSparsity(const std::vector<FfnSparsity>& study) {
  std::vector<std::vector<std::string>> rows;
  bool exact = true, measured = true;
  for (const FfnSparsity& ffn : study) {
    exact = exact && ffn.exact;
    measured = measured && !ffn.exact;
    rows.push_back({ffn.ffn, FormatCount(static_cast<uint64_t>(ffn.tokens)),
                    FormatCount(static_cast<uint64_t>(ffn.neurons)), Percent(ffn.active),
                    Percent(ffn.active_percentiles[0]), Percent(ffn.active_percentiles[2]),
                    Percent(ffn.active_percentiles[4]), Percent(ffn.needed[0]),
                    Percent(ffn.needed[1]), Percent(ffn.needed[2]), std::to_string(ffn.dead),
                    std::to_string(ffn.hot), FormatFixed(ffn.correlation_nearest, 3),
                    FormatFixed(ffn.correlation_rms, 3)});
  }
  const std::string fires =
      exact      ? "above zero"
      : measured ? "the fewest that make up 90 % of a token's contributions"
                 : "above zero under ReLU, else the fewest that make up 90 % of the contributions";
  return StrCat("active: % of the neurons that fire on a token (", fires,
                "), with percentiles over tokens;\nfor 90, 95, 99 %: % of the neurons that make up "
                "so much of a token's contributions\n") +
         FormatTable({"FFN", "tokens", "neurons", "active", "p5", "p50", "p95", "for 90 %",
                      "for 95 %", "for 99 %", "dead", "hot", "corr. nearest", "corr. rms"},
                     rows);
}

Json SparsityToJson(const std::vector<FfnSparsity>& study) {
  Json out = Json::array();
  for (const FfnSparsity& ffn : study) {
    Json percentiles = Json::object(), needed = Json::object();
    for (size_t i = 0; i < kStudyPercentiles.size(); ++i) {
      percentiles[std::to_string(kStudyPercentiles[i])] = ffn.active_percentiles[i];
    }
    for (size_t i = 0; i < kStudyShares.size(); ++i) {
      needed[FormatFixed(100 * kStudyShares[i], 0)] = ffn.needed[i];
    }
    out.push_back({{"ffn", ffn.ffn},
                   {"tokens", ffn.tokens},
                   {"neurons", ffn.neurons},
                   {"fires", ffn.exact ? "above zero" : "by contribution"},
                   {"active", ffn.active},
                   {"active_percentiles", percentiles},
                   {"needed", needed},
                   {"dead", ffn.dead},
                   {"hot", ffn.hot},
                   {"correlation_nearest", ffn.correlation_nearest},
                   {"correlation_rms", ffn.correlation_rms},
                   {"rates", ffn.rates}});
  }
  return out;
}

}  // namespace moefy::eval
