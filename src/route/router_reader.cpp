#include "route/router_reader.h"

#include <algorithm>
#include <cstring>
#include <limits>

#include "base/json.h"
#include "io/finite.h"
#include "moefy/base/error.h"
#include "route/budget.h"
#include "route/router_format.h"

namespace moefy::route {
namespace {

// Reads an F32 tensor of that shape, where kAnySize allows any extent. Throws Error{kInput} for any
// other tensor.
at::Tensor ReadF32(const io::SafetensorsFile& file, const std::string& name,
                   const std::vector<int64_t>& shape) {
  const io::TensorInfo* info = file.Find(name);
  if (!info || info->dtype != io::DType::kF32 || !io::HasShape(*info, shape)) {
    throw InputError(file.path(), ": expected a tensor ", Quoted(name), ", F32 ",
                     FormatShape(shape), ", found ", io::DescribeType(info));
  }
  at::Tensor out =
      at::empty(std::vector<int64_t>(info->shape.begin(), info->shape.end()), at::kFloat);
  const auto bytes = file.Bytes(*info);
  WithContext(file.path().string(), [&] { io::CheckFinite(*info, bytes); });
  std::memcpy(out.data_ptr(), bytes.data(), out.nbytes());
  return out;
}

void RequireRouters(const split::MoeCheckpoint& moe) {
  if (HasRouters(moe)) return;
  throw UsageError(moe.directory(),
                   " has no routers; `moefy route-train` trains them, and "
                   "--selection similarity does without");
}

// What moefy.json says of each FFN's router.
std::vector<JsonObject> ListedFfns(const split::MoeCheckpoint& moe) {
  const JsonObject manifest(moe.manifest(), split::kMoeManifest);
  std::vector<JsonObject> listed = manifest.GetObject("router").GetObjects("ffns");
  if (listed.size() != moe.ffns().size()) {
    throw InputError(manifest.PathOf("router"), " lists ", listed.size(), " FFNs; expected ",
                     moe.ffns().size());
  }
  return listed;
}

double DumpedTokens(const JsonObject& listed_ffn) {
  return static_cast<double>(
      listed_ffn.GetInt("dump_tokens", 1, std::numeric_limits<int64_t>::max()));
}

}  // namespace

std::string StoredRouterKind(const split::MoeCheckpoint& moe) {
  const JsonObject manifest(moe.manifest(), split::kMoeManifest);
  // The first versions of moefy, which had one kind only, did not name it.
  return manifest.Has("router") ? manifest.GetObject("router").GetString("kind", "mlp") : "";
}

bool HasRouters(const split::MoeCheckpoint& moe) { return !StoredRouterKind(moe).empty(); }

std::unique_ptr<Router> ReadRouter(const split::MoeCheckpoint& moe, size_t ffn_idx,
                                   at::Device device) {
  RequireRouters(moe);
  const split::MoeFfn& ffn = moe.ffns().at(ffn_idx);
  const RouterKind& kind = GetRouterKind(StoredRouterKind(moe));
  const auto shapes = kind.shapes(ffn.spec, ffn.plan.num_experts());
  std::vector<at::Tensor> parameters;
  for (size_t i = 0; i < shapes.size(); ++i) {
    // The first tensor, [width, hidden] where a width is free, decides the width of all.
    std::vector<int64_t> shape = shapes[i];
    if (i > 0) std::ranges::replace(shape, kAnySize, parameters[0].size(0));
    parameters.push_back(ReadF32(moe.extras(), NameOf(ffn, kind.tensors[i]), shape).to(device));
  }
  if (!kind.make_with_ffn) return kind.make(parameters, ffn.spec.activation);
  return kind.make_with_ffn(parameters, ffn.spec, ffn.plan.num_experts(), [&moe, &ffn, device] {
    return model::ReadFfnWeights(moe.weights(), ffn.spec).To(device);
  });
}

std::unique_ptr<Router> ReadMlpRouter(const split::MoeCheckpoint& moe, size_t ffn_idx) {
  std::unique_ptr<Router> router = ReadRouter(moe, ffn_idx);
  if (router->form() == RouterForm::kMlp) return router;
  throw UsageError(moe.directory(), " holds ", router->name(),
                   " routers; this needs `moefy route-train --router mlp`");
}

at::Tensor ReadThresholds(const split::MoeCheckpoint& moe, size_t ffn_idx) {
  RequireRouters(moe);
  return ReadF32(moe.extras(), NameOf(moe.ffns().at(ffn_idx), kThresholds), {101});
}

NeuronThresholds ReadNeuronThresholds(const split::MoeCheckpoint& moe, size_t ffn_idx) {
  RequireRouters(moe);
  const split::MoeFfn& ffn = moe.ffns().at(ffn_idx);
  return {ReadF32(moe.extras(), NameOf(ffn, kNeuronThresholds),
                  {static_cast<int64_t>(kCurveRatios.size()), 101}),
          ReadF32(moe.extras(), NameOf(ffn, kNeuronNorms), {ffn.spec.num_neurons})};
}

std::vector<double> ReadNeuronShares(const split::MoeCheckpoint& moe) {
  std::vector<double> shares;
  for (const JsonObject& ffn : ListedFfns(moe)) {
    shares.push_back(ffn.GetNumber("neuron_share", 1e-6, 1, 1));
  }
  return shares;
}

at::Tensor ReadCompensation(const split::MoeCheckpoint& moe, size_t ffn_idx) {
  const split::MoeFfn& ffn = moe.ffns().at(ffn_idx);
  const std::string name = NameOf(ffn, kCompensation);
  if (!moe.extras().Find(name)) return {};
  return ReadF32(moe.extras(), name, {ffn.plan.num_experts(), ffn.spec.hidden});
}

Correction ReadCorrection(const split::MoeCheckpoint& moe, size_t ffn_idx) {
  const split::MoeFfn& ffn = moe.ffns().at(ffn_idx);
  if (!moe.extras().Find(NameOf(ffn, kCorrectionDown))) return {};
  const auto read = [&](const char* part, const std::vector<int64_t>& shape) {
    return ReadF32(moe.extras(), NameOf(ffn, part), shape);
  };
  Correction correction{read(kCorrectionDown, {kAnySize, ffn.spec.hidden}), {}, {}};
  correction.up = read(kCorrectionUp, {ffn.spec.hidden, correction.down.size(0)});
  correction.bias = read(kCorrectionBias, {ffn.spec.hidden});
  return correction;
}

RelativeShare ReadRelativeShare(const split::MoeCheckpoint& moe, double ffn_ratio) {
  RequireRouters(moe);
  const std::vector<JsonObject> listed = ListedFfns(moe);
  std::vector<RelativeFfn> ffns;
  for (size_t i = 0; i < listed.size(); ++i) {
    const split::MoeFfn& ffn = moe.ffns()[i];
    ffns.push_back(
        {ReadF32(moe.extras(), NameOf(ffn, kSharesOfBest), {101}),
         DumpedTokens(listed[i]) * static_cast<double>(ffn.spec.num_neurons),
         static_cast<double>(ffn.plan.num_shared()) / static_cast<double>(ffn.plan.num_experts())});
  }
  return RelativeShareFor(ffns, ffn_ratio);
}

std::vector<int64_t> ReadBudget(const split::MoeCheckpoint& moe, double ffn_ratio) {
  RequireRouters(moe);
  const std::vector<JsonObject> listed = ListedFfns(moe);
  std::vector<BudgetedFfn> ffns;
  for (size_t i = 0; i < listed.size(); ++i) {
    const split::MoeFfn& ffn = moe.ffns()[i];
    const at::Tensor errors =
        ReadF32(moe.extras(), NameOf(ffn, kErrors), {static_cast<int64_t>(kCurveRatios.size())});
    const float* values = errors.data_ptr<float>();
    ffns.push_back({ffn.plan.num_experts(),
                    DumpedTokens(listed[i]) * static_cast<double>(ffn.plan.neurons_per_expert()),
                    {values, values + errors.numel()},
                    ffn.plan.num_shared()});
  }
  return SpendBudget(ffns, ffn_ratio);
}

bool HasPolicy(const split::MoeCheckpoint& moe, const Selection& selection) {
  std::vector<const char*> needed;
  if (selection.policy == Selection::kThreshold) needed.push_back(kThresholds);
  if (selection.policy == Selection::kRelative) needed.push_back(kSharesOfBest);
  if (selection.policy == Selection::kBudget) needed.push_back(kErrors);
  if (selection.neuron_share.value_or(1) < 1) needed.push_back(kNeuronNorms);
  return std::ranges::all_of(needed, [&](const char* part) {
    return !moe.ffns().empty() && moe.extras().Find(NameOf(moe.ffns()[0], part));
  });
}

}  // namespace moefy::route
