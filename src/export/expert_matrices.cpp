#include "export/expert_matrices.h"

#include "moefy/model/ffn.h"

namespace moefy::exports {

ExpertMatrices ReadExpertMatrices(const split::MoeCheckpoint& moe, size_t ffn_idx,
                                  const ExportPlan& plan) {
  const model::FfnWeights ffn = model::ReadFfnWeights(moe.weights(), moe.ffns().at(ffn_idx).spec);
  const int64_t hidden = ffn.hidden();
  const int64_t shared_rows = plan.sizes.shared * plan.sizes.neurons;
  const int64_t rows = ffn.num_neurons() - shared_rows;
  const auto chosen = [&](const at::Tensor& matrix) {  // [experts, neurons, hidden]
    return matrix.narrow(0, shared_rows, rows).reshape({plan.sizes.experts, -1, hidden});
  };
  ExpertMatrices out;
  out.w_gate = chosen(ffn.w_gate);
  out.w_in = chosen(ffn.w_in);
  out.w_out = chosen(ffn.w_out).transpose(1, 2).contiguous().mul_(plan.w_out_factor);
  if (plan.sizes.shared_neurons == 0) return out;
  const auto shared = [&](const at::Tensor& matrix) {
    return plan.sizes.shared > 0 ? matrix.narrow(0, 0, shared_rows)
                                 : at::zeros({plan.sizes.shared_neurons, hidden});
  };
  out.shared_w_gate = shared(ffn.w_gate);
  out.shared_w_in = shared(ffn.w_in);
  out.shared_w_out = shared(ffn.w_out).t().contiguous().mul_(plan.shared_w_out_factor);
  return out;
}

at::Tensor SharedGate(int64_t hidden) { return at::full({1, hidden}, 0x1p-20); }

}  // namespace moefy::exports
