#include "route/target.h"

#include "moefy/base/error.h"
#include "route/training_tokens.h"

namespace moefy::route {
namespace {

at::Tensor ByExpert(const at::Tensor& neurons, int64_t num_experts) {
  return neurons.view({neurons.size(0), num_experts, neurons.size(1) / num_experts});
}

at::Tensor Mass(const model::FfnWeights&, const at::Tensor& neurons, int64_t num_experts,
                const at::Tensor&) {
  return ByExpert(neurons, num_experts).abs().sum(2);
}

// |h W - c|^2 = h (W W^T) h^T - 2 h (W c^T) + |c|^2, with W W^T as small as the expert.
at::Tensor Deviation(const model::FfnWeights& ffn, const at::Tensor& neurons, int64_t num_experts,
                     const at::Tensor& stand_in) {
  const at::Tensor w_out = ffn.w_out.reshape({num_experts, -1, ffn.hidden()});
  const at::Tensor gram = at::bmm(w_out, w_out.transpose(1, 2));        // [experts, size, size]
  const at::Tensor h = ByExpert(neurons, num_experts).transpose(0, 1);  // [experts, tokens, size]
  at::Tensor square = at::bmm(h, gram).mul_(h).sum(2);                  // [experts, tokens]
  if (stand_in.defined()) {
    const at::Tensor along = at::bmm(h, at::bmm(w_out, stand_in.unsqueeze(2))).squeeze(2);
    square = square - 2 * along + stand_in.square().sum(1, /*keepdim=*/true);
  }
  return square.clamp_min_(0).sqrt_().t().contiguous();
}

at::Tensor OutputNorm(const model::FfnWeights& ffn, const at::Tensor& neurons, int64_t num_experts,
                      const at::Tensor&) {
  return Deviation(ffn, neurons, num_experts, {});
}

}  // namespace

const std::vector<Target>& Targets() {
  static const std::vector<Target> targets = {
      {"mass", "oracle", "sum of the neurons' magnitudes (the paper's)", Mass},
      {"output-norm", "oracle-output", "length of what the expert adds to the output", OutputNorm},
      {"deviation", "oracle-deviation", "how far that is from what stands in for the expert",
       Deviation},
  };
  return targets;
}

const Target& GetTarget(const std::string& name) {
  std::vector<std::string> names;
  for (const Target& target : Targets()) {
    if (target.name == name) return target;
    names.push_back(target.name);
  }
  throw UsageError("unknown target ", Quoted(name), DidYouMean(name, names), "; one of ",
                   Join(names));
}

at::Tensor Importance(const Target& target, const model::FfnWeights& ffn, const at::Tensor& x,
                      int64_t num_experts, const at::Tensor& stand_in) {
  MOEFY_CHECK(ffn.num_neurons() % num_experts == 0);
  at::Tensor importance = at::empty({x.size(0), num_experts}, x.options());
  for (int64_t begin = 0; begin < x.size(0); begin += kChunkTokens) {
    const int64_t tokens = std::min(kChunkTokens, x.size(0) - begin);
    const at::Tensor neurons = model::NeuronActivations(ffn, x.narrow(0, begin, tokens));
    importance.narrow(0, begin, tokens)
        .copy_(target.importance(ffn, neurons, num_experts, stand_in));
  }
  return importance;
}

}  // namespace moefy::route
