#include "runtime/sparse_model.h"

#include "base/heap.h"
#include "moefy/base/error.h"
#include "route/router_reader.h"
#include "runtime/packed_model.h"

namespace moefy::runtime {

SparseModel::SparseModel(const split::MoeCheckpoint& moe, uint64_t seed, WeightFormat format,
                         Progress& progress, PackedRecorder* recorder)
    : moe_(moe),
      seed_(seed),
      source_(moe.weights(), format, recorder),
      transformer_(model::LoadTransformer(moe.weights(), nullptr, source_.parts())) {
  UseKernels(transformer_, format, /*copy=*/true, source_.store());
  // What packing frees would stay with the process, and add up to a fifth of the weights.
  ReturnFreedMemory();
  progress.Begin("packing experts", moe.ffns().size(), "FFNs");
  for (const split::MoeFfn& ffn : moe.ffns()) {
    experts_.push_back(std::make_shared<const ExpertWeights>(
        PackExperts(source_.ReadFfn(ffn.spec), ffn.plan.num_experts(), format,
                    source_.Slot(experts_.size()).Of("experts"))));
    ReturnFreedMemory();
    progress.Advance(1);
  }
  progress.End(WeightFormatName(format));
}

void SparseModel::Install(const route::Selection& selection, double ffn_ratio) {
  if (source_.is_packed() && selection.router != "random") {
    const std::string stored = route::StoredRouterKind(moe_);
    if (stored.empty() || route::NameStored(moe_, selection).router != stored) {
      throw UsageError("--selection ", selection.Text(), " is made from the weights, which ",
                       moe_.directory(), " holds packed only; use stored, or the checkpoint that ",
                       "it was made from");
    }
  }
  const std::vector<route::RoutedFfn> ffns =
      route::ReadRoutedFfns(moe_, selection, ffn_ratio, seed_);
  installed_.clear();
  for (size_t ffn_idx = 0; ffn_idx < experts_.size(); ++ffn_idx) {
    auto sparse = MakeSparse(experts_[ffn_idx], ffns[ffn_idx]);
    installed_.push_back(sparse.get());
    transformer_.ExchangeFeedForward(ffn_idx, std::move(sparse));
  }
}

SparseCounters SparseModel::Counters() const {
  SparseCounters total;
  for (const SparseFeedForward* ffn : installed_) total += ffn->counters();
  return total;
}

double SparseModel::DenseFlops() const {
  double flops = 0;
  for (size_t i = 0; i < installed_.size(); ++i) {
    const model::FfnSpec& spec = moe_.ffns()[i].spec;
    const double per_token =
        (spec.gated() ? 6.0 : 4.0) * static_cast<double>(spec.hidden * spec.num_neurons);
    flops += per_token * static_cast<double>(installed_[i]->counters().tokens);
  }
  return flops;
}

}  // namespace moefy::runtime
