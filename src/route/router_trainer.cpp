#include "moefy/route/router_trainer.h"

#include <ATen/CPUGeneratorImpl.h>

#include <algorithm>
#include <chrono>
#include <cmath>

#include "moefy/base/error.h"
#include "moefy/base/progress.h"
#include "moefy/route/selection.h"

namespace moefy::route {
namespace {

// Adds up what a choice of k experts per token catches.
class QualityTally {
 public:
  explicit QualityTally(int64_t k) : k_(k) {}

  // Both [tokens, experts].
  void Add(const at::Tensor& scores, const at::Tensor& mass) {
    const at::Tensor chosen = SelectTopK(scores, k_), ideal = SelectTopK(mass, k_);
    caught_ += mass.gather(1, chosen).sum(at::kDouble).item<double>();
    total_ += mass.sum(at::kDouble).item<double>();
    const at::Tensor relevant = Marked(ideal, mass) & (mass > 0);
    hits_ += (Marked(chosen, mass) & relevant).sum().item<int64_t>();
    relevant_ += relevant.sum().item<int64_t>();
    tokens_ += mass.size(0);
  }

  RouterQuality Get() const {
    return {total_ > 0 ? caught_ / total_ : 1.0,
            relevant_ > 0 ? static_cast<double>(hits_) / static_cast<double>(relevant_) : 1.0,
            tokens_};
  }

 private:
  // True where `chosen` points, in the shape of `mass`.
  static at::Tensor Marked(const at::Tensor& chosen, const at::Tensor& mass) {
    return at::zeros_like(mass, at::kBool).scatter_(1, chosen, true);
  }

  int64_t k_;
  double caught_ = 0, total_ = 0;
  int64_t hits_ = 0, relevant_ = 0, tokens_ = 0;
};

RouterQuality Quality(const at::Tensor& scores, const at::Tensor& mass, int64_t k) {
  QualityTally tally(k);
  tally.Add(scores, mass);
  return tally.Get();
}

// At most `max_tokens` rows, spread evenly over the dump. [tokens, hidden]
at::Tensor ReadTokens(const record::ActivationDump& dump, size_t ffn_idx, int64_t max_tokens) {
  constexpr int64_t kChunk = 8192;
  const record::DumpedFfn& ffn = dump.ffns()[ffn_idx];
  const int64_t kept = std::min(ffn.tokens, max_tokens);
  at::Tensor out = at::empty({kept, ffn.hidden}, at::kFloat);
  const auto row_of = [&](int64_t i) { return i * ffn.tokens / kept; };
  int64_t done = 0;
  for (int64_t begin = 0; begin < ffn.tokens; begin += kChunk) {
    const int64_t end = std::min(ffn.tokens, begin + kChunk);
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

// One parameter and its state. Source: Kingma and Ba, arXiv 1412.6980, algorithm 1.
class AdamParameter {
 public:
  explicit AdamParameter(const at::Tensor& start)
      : value_(start.clone()), mean_(at::zeros_like(start)), square_(at::zeros_like(start)) {}

  const at::Tensor& value() const { return value_; }
  void Step(const at::Tensor& gradient, double learning_rate) {
    constexpr double kBeta1 = 0.9, kBeta2 = 0.999, kEpsilon = 1e-8;
    ++step_;
    mean_.mul_(kBeta1).add_(gradient, 1 - kBeta1);
    square_.mul_(kBeta2).addcmul_(gradient, gradient, 1 - kBeta2);
    const double mean_bias = 1 - std::pow(kBeta1, step_);
    const double square_bias = 1 - std::pow(kBeta2, step_);
    value_.addcdiv_(mean_, square_.div(square_bias).sqrt_().add_(kEpsilon),
                    -learning_rate / mean_bias);
  }

 private:
  at::Tensor value_, mean_, square_;
  double step_ = 0;
};

// One step on a batch: x [batch, hidden] of unit rows, target [batch, experts] in [0, 1]. The loss
// is the mean binary cross-entropy of sigmoid(w2 tanh(w1 x)); its gradient is written out because
// autograd would cost more than the two products of so small a network.
void TrainStep(const at::Tensor& x, const at::Tensor& target, double learning_rate,
               AdamParameter& w1, AdamParameter& w2) {
  const at::Tensor h = at::mm(x, w1.value().t()).tanh_();  // [batch, experts]
  const at::Tensor logits = at::mm(h, w2.value().t());     // [batch, experts]
  const at::Tensor d_logits =
      at::sigmoid(logits).sub_(target).div_(static_cast<double>(logits.numel()));
  const at::Tensor d_h = at::mm(d_logits, w2.value()).mul_(1 - h * h);
  w2.Step(at::mm(d_logits.t(), h), learning_rate);
  w1.Step(at::mm(d_h.t(), x), learning_rate);
}

}  // namespace

RouterQuality MeasureRouter(Router& router, const model::FfnWeights& ffn, int64_t num_experts,
                            const at::Tensor& x, double ratio) {
  constexpr int64_t kChunk = 1024;
  const at::NoGradGuard no_grad;
  QualityTally tally(NumSelected(ratio, num_experts));
  for (int64_t begin = 0; begin < x.size(0); begin += kChunk) {
    const at::Tensor part = x.narrow(0, begin, std::min(kChunk, x.size(0) - begin));
    tally.Add(router.Scores(part), ActivationMass(ffn, part, num_experts));
  }
  return tally.Get();
}

TrainedRouter TrainMlpRouter(const model::FfnWeights& ffn, int64_t num_experts,
                             const record::ActivationDump& dump, size_t dump_ffn_idx,
                             const TrainOptions& options) {
  const auto start = std::chrono::steady_clock::now();
  const at::NoGradGuard no_grad;
  const record::DumpedFfn& dumped = dump.ffns().at(dump_ffn_idx);
  if (dumped.tokens == 0) {
    throw InputError("the activation dump holds no token of ", Quoted(dumped.name),
                     "; a router cannot be trained on nothing");
  }
  if (dumped.hidden != ffn.hidden()) {
    throw InputError("the activation dump's ", Quoted(dumped.name), " is ", dumped.hidden,
                     " wide; the FFN's inputs are ", ffn.hidden());
  }
  at::Tensor x = ReadTokens(dump, dump_ffn_idx, options.max_tokens);  // [tokens, hidden]
  if (!x.isfinite().all().item<bool>()) {
    throw InputError("the activation dump's ", Quoted(dumped.name),
                     " holds values that are not finite");
  }
  const at::Tensor mass = ActivationMass(ffn, x, num_experts);  // [tokens, experts]
  x.div_(x.norm(2, {1}, /*keepdim=*/true).clamp_min(1e-12));
  const auto [train, held_out] = SplitTokens(x.size(0), options.held_out);
  const at::Tensor held_x = x.index_select(0, held_out);
  const at::Tensor held_mass = mass.index_select(0, held_out);
  const double largest = mass.index_select(0, train).max().item<double>();
  const at::Tensor targets = largest > 0 ? mass / largest : mass;
  const int64_t k = NumSelected(options.metric_ratio, num_experts);

  const at::Tensor centers = ExpertCenters(ffn, num_experts);
  AdamParameter w1(centers), w2(at::eye(num_experts));
  at::Generator generator = at::detail::createCPUGenerator(options.seed);
  TrainedRouter result;
  for (int64_t epoch = 0; epoch <= options.epochs; ++epoch) {
    if (epoch > 0) {
      const at::Tensor order = train.index_select(0, at::randperm(train.size(0), generator));
      for (const at::Tensor& batch : order.split(options.batch_size)) {
        ThrowIfInterrupted();
        TrainStep(x.index_select(0, batch), targets.index_select(0, batch), options.learning_rate,
                  w1, w2);
      }
    }
    MlpRouter candidate(w1.value().clone(), w2.value().clone());
    const RouterQuality quality = Quality(candidate.Scores(held_x), held_mass, k);
    if (!result.router || quality.mass > result.mlp.mass) {
      result.router = std::make_unique<MlpRouter>(std::move(candidate));
      result.mlp = quality;
      result.best_epoch = epoch;
    }
  }
  SimilarityRouter similarity(centers);
  RandomRouter random(num_experts, options.seed);
  result.similarity = Quality(similarity.Scores(held_x), held_mass, k);
  result.random = Quality(random.Scores(held_x), held_mass, k);
  result.oracle = Quality(held_mass, held_mass, k);
  result.dump_tokens = dumped.tokens;
  result.train_tokens = train.size(0);
  result.seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
  return result;
}

}  // namespace moefy::route
