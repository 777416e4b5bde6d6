#include "runtime/sparse_model.h"

#include <algorithm>

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
      transformer_(model::LoadTransformer(moe.weights(), nullptr, source_.parts())),
      format_(format) {
  const bool neuronwise = route::RunsNeuronwise(moe, route::kStoredRouter);
  if (neuronwise && recorder) {
    throw UsageError(moe.directory(), " runs neuron by neuron (its routers are first-product), ",
                     "which packed checkpoints do not hold yet; `moefy run --weights ",
                     WeightFormatName(format), "` packs it at each start");
  }
  UseKernels(transformer_, format, source_.store());
  // What packing frees would stay with the process, and add up to a fifth of the weights.
  ReturnFreedMemory();
  PackFfns(neuronwise, progress);
}

void SparseModel::PackFfns(bool neuronwise, Progress& progress) {
  if (neuronwise ? !neuronwise_.empty() : !experts_.empty()) return;
  progress.Begin(neuronwise ? "packing neurons" : "packing experts", moe_.ffns().size(), "FFNs");
  for (size_t i = 0; i < moe_.ffns().size(); ++i) {
    const split::MoeFfn& ffn = moe_.ffns()[i];
    const model::FfnWeights weights = source_.ReadFfn(ffn.spec);
    if (neuronwise) {
      const at::Tensor worth = route::ReadRouter(moe_, i)->Parameters().front();
      neuronwise_.push_back(std::make_shared<const NeuronwiseWeights>(weights, worth, format_));
    } else {
      experts_.push_back(std::make_shared<const ExpertWeights>(
          PackExperts(weights, ffn.plan.num_experts(), format_, source_.Slot(i).Of("experts"))));
    }
    ReturnFreedMemory();
    progress.Advance(1);
  }
  progress.End(WeightFormatName(format_));
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
  const bool neuronwise = route::RunsNeuronwise(moe_, selection.router);
  PackFfns(neuronwise, SilentProgress());
  installed_.clear();
  for (size_t i = 0; i < ffns.size(); ++i) {
    const auto install = [&](auto ffn) {
      installed_.push_back(&ffn->counters());
      transformer_.ExchangeFeedForward(i, std::move(ffn));
    };
    if (neuronwise) {
      if (ffns[i].plan.min_magnitude.defined()) {
        throw UsageError("--selection ", selection.Text(),
                         ": a share of neurons is for experts of ",
                         "many; first-product routers choose single neurons by --ffn-ratio");
      }
      install(std::make_unique<NeuronwiseFeedForward>(neuronwise_[i], ffns[i].plan.rule));
    } else {
      install(MakeSparse(experts_[i], ffns[i]));
    }
  }
}

SparseCounters SparseModel::Counters() const {
  SparseCounters total;
  for (const SparseCounters* counters : installed_) total += *counters;
  return total;
}

double SparseModel::DenseFlops() const {
  double flops = 0;
  for (size_t i = 0; i < installed_.size(); ++i) {
    const model::FfnSpec& spec = moe_.ffns()[i].spec;
    const double per_token =
        (spec.gated() ? 6.0 : 4.0) * static_cast<double>(spec.hidden * spec.num_neurons);
    flops += per_token * static_cast<double>(installed_[i]->tokens);
  }
  return flops;
}

}  // namespace moefy::runtime
