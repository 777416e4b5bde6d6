#include "moefy/route/router_store.h"

#include <algorithm>
#include <cstring>
#include <filesystem>
#include <limits>

#include "moefy/base/error.h"
#include "moefy/base/output.h"
#include "moefy/model/tensor_io.h"
#include "moefy/record/recorded_inputs.h"
#include "moefy/split/rewrite.h"

namespace moefy::route {
namespace {

namespace fs = std::filesystem;

// Behind an FFN's name: everything that route-train stores.
constexpr const char* kRouterPart = ".router.";
constexpr const char* kThresholds = "thresholds";
constexpr const char* kNeuronThresholds = "neuron_thresholds";
constexpr const char* kErrors = "errors";
constexpr const char* kCompensation = "compensation";
constexpr const char* kCorrectionDown = "correction_down";
constexpr const char* kCorrectionUp = "correction_up";
constexpr const char* kCorrectionBias = "correction_bias";

std::string NameOf(const split::MoeFfn& ffn, const std::string& part) {
  return ffn.spec.name + kRouterPart + part;
}

io::TensorInfo Declare(const std::string& name, at::IntArrayRef shape) {
  io::TensorInfo info;
  info.name = name;
  info.dtype = io::DType::kF32;
  for (const int64_t extent : shape) info.shape.push_back(static_cast<uint64_t>(extent));
  return info;
}

std::span<const std::byte> Bytes(const at::Tensor& tensor) {
  return {static_cast<const std::byte*>(tensor.data_ptr()), tensor.nbytes()};
}

std::vector<std::pair<std::string, at::Tensor>> NamedTensors(const split::MoeFfn& ffn,
                                                             const TrainedRouter& trained) {
  std::vector<std::pair<std::string, at::Tensor>> tensors;
  const std::vector<std::string>& names = GetRouterKind(trained.router->name()).tensors;
  const std::vector<at::Tensor> parameters = trained.router->Parameters();
  MOEFY_CHECK(names.size() == parameters.size());
  for (size_t i = 0; i < names.size(); ++i) tensors.emplace_back(names[i], parameters[i]);
  tensors.emplace_back(kThresholds, trained.thresholds);
  tensors.emplace_back(kNeuronThresholds, trained.neuron_thresholds);
  tensors.emplace_back(kErrors, trained.errors);
  const Stand& stand = trained.stand;
  if (stand.compensation.defined()) tensors.emplace_back(kCompensation, stand.compensation);
  if (stand.correction.defined()) {
    tensors.emplace_back(kCorrectionDown, stand.correction.down);
    tensors.emplace_back(kCorrectionUp, stand.correction.up);
    tensors.emplace_back(kCorrectionBias, stand.correction.bias);
  }
  for (auto& [name, tensor] : tensors) {
    name = NameOf(ffn, name);
    tensor = tensor.to(at::kCPU).contiguous();
  }
  return tensors;
}

// moefy.safetensors again, with these routers in place of any that were there.
void WriteExtras(const split::MoeCheckpoint& moe, const std::vector<TrainedRouter>& routers,
                 const fs::path& path) {
  std::vector<std::pair<std::string, at::Tensor>> added;
  for (size_t i = 0; i < routers.size(); ++i) {
    for (auto& tensor : NamedTensors(moe.ffns()[i], routers[i])) added.push_back(std::move(tensor));
  }
  std::vector<io::TensorInfo> kept;
  for (const io::TensorInfo& info : moe.extras().tensors()) {
    if (info.name.find(kRouterPart) == std::string::npos) kept.push_back(info);
  }
  std::vector<io::TensorInfo> all = kept;
  for (const auto& [name, tensor] : added) all.push_back(Declare(name, tensor.sizes()));
  io::SafetensorsWriter writer(path, all, moe.extras().metadata());
  for (const io::TensorInfo& info : kept) writer.Write(info.name, moe.extras().Bytes(info));
  for (const auto& [name, tensor] : added) writer.Write(name, Bytes(tensor));
  writer.Finish();
}

Json QualityToJson(const RouterQuality& quality) {
  return {
      {"mass", quality.mass}, {"recall", quality.recall}, {"output_error", quality.output_error}};
}

Json OptionsToJson(const TrainOptions& options, const std::string& corpus) {
  return {{"epochs", options.epochs},
          {"patience", options.patience},
          {"batch_size", options.batch_size},
          {"learning_rate", options.learning_rate},
          {"held_out", options.held_out},
          {"metric_ratio", options.metric_ratio},
          {"width", options.width},
          {"fit_ratios", options.fit_ratios},
          {"compensation", options.compensation},
          {"least_squares", options.least_squares},
          {"seed", options.seed},
          {"corpus", corpus}};
}

Json RouterManifest(const split::MoeCheckpoint& moe, const std::vector<TrainedRouter>& routers,
                    const TrainOptions& options, const std::string& corpus) {
  Json ffns = Json::array();
  for (size_t i = 0; i < routers.size(); ++i) {
    const TrainedRouter& router = routers[i];
    ffns.push_back({{"name", moe.ffns()[i].spec.name},
                    {"dump_tokens", router.dump_tokens},
                    {"train_tokens", router.train_tokens},
                    {"held_out_tokens", router.routed.tokens},
                    {"best_epoch", router.best_epoch},
                    {"routed", QualityToJson(router.routed)},
                    {"similarity", QualityToJson(router.similarity)},
                    {"random", QualityToJson(router.random)},
                    {"oracle", QualityToJson(router.oracle)},
                    {"oracle_output", QualityToJson(router.oracle_output)},
                    {"neuron_oracle_output_error", router.neuron_oracle_error},
                    {"final_output_error", router.final_error},
                    {"dead_experts", router.DeadExperts()},
                    {"load_entropy", router.LoadEntropy()},
                    {"compensated", router.stand.compensation.defined()},
                    {"corrected", router.stand.correction.defined()}});
  }
  return {{"kind", options.router},
          {"target", options.target},
          {"options", OptionsToJson(options, corpus)},
          {"ffns", ffns}};
}

// One entry per calibration, with the tensors that it changed; empty for none.
Json Calibrations(const split::MoeCheckpoint& moe, const std::vector<TrainedRouter>& routers,
                  const std::vector<double>& ratios) {
  Json tensors = Json::array();
  for (size_t i = 0; i < routers.size(); ++i) {
    if (routers[i].stand.w_out.defined()) tensors.push_back(moe.ffns()[i].spec.w_out);
  }
  if (tensors.empty()) return Json::array();
  return Json::array(
      {{{"kind", "least-squares"}, {"ffn_ratios", ratios}, {"tensors", std::move(tensors)}}});
}

// The same bytes under a second name where the file system can, a copy where it cannot.
void LinkOrCopy(const fs::path& from, const fs::path& to) {
  std::error_code code;
  fs::create_hard_link(fs::canonical(from, code), to, code);
  if (!code) return;
  fs::copy_file(from, to, code);
  if (code) throw SystemError(code.value(), from, ": cannot be copied to ", to);
}

void LinkWeights(const split::MoeCheckpoint& moe, const fs::path& directory) {
  for (const auto& file : moe.weights().files()) {
    LinkOrCopy(file->path(), directory / file->path().filename());
  }
  if (const std::string& index = moe.weights().index_name(); !index.empty()) {
    LinkOrCopy(moe.directory() / index, directory / index);
  }
}

// The weights again, with the calibrated W_outs in place of their own.
void WriteCalibrated(const split::MoeCheckpoint& moe, const std::vector<TrainedRouter>& routers,
                     const fs::path& directory) {
  model::TensorMap changed;
  for (size_t i = 0; i < routers.size(); ++i) {
    const model::FfnSpec& spec = moe.ffns()[i].spec;
    if (!routers[i].stand.w_out.defined()) continue;
    changed[spec.w_out] = spec.transposed ? routers[i].stand.w_out : routers[i].stand.w_out.t();
  }
  model::RewriteTensors(moe.weights(), changed, directory);
}

bool Fits(const std::vector<uint64_t>& found, const std::vector<int64_t>& wanted) {
  return std::ranges::equal(found, wanted, [](uint64_t extent, int64_t size) {
    return size == kAnySize ? extent > 0 : extent == static_cast<uint64_t>(size);
  });
}

// An F32 tensor of that shape, where kAnySize is any. Error{kInput} for any other.
at::Tensor ReadF32(const io::SafetensorsFile& file, const std::string& name,
                   const std::vector<int64_t>& shape) {
  const io::TensorInfo* info = file.Find(name);
  if (!info || info->dtype != io::DType::kF32 || !Fits(info->shape, shape)) {
    throw InputError(
        file.path(), ": expected a tensor ", Quoted(name), ", F32 ", FormatShape(shape), ", found ",
        info ? StrCat(io::DTypeName(info->dtype), " ", FormatShape(info->shape)) : "none");
  }
  at::Tensor out =
      at::empty(std::vector<int64_t>(info->shape.begin(), info->shape.end()), at::kFloat);
  std::memcpy(out.data_ptr(), file.Bytes(*info).data(), out.nbytes());
  return out;
}

void RequireRouters(const split::MoeCheckpoint& moe) {
  if (HasRouters(moe)) return;
  throw UsageError(moe.directory(),
                   " has no routers; `moefy route-train` trains them, and "
                   "--selection similarity does without");
}

}  // namespace

void CheckDumpMatches(const split::MoeCheckpoint& moe, const record::ActivationDump& dump) {
  std::vector<model::FfnSpec> specs;
  for (const split::MoeFfn& ffn : moe.ffns()) specs.push_back(ffn.spec);
  record::CheckDumpMatches(dump, moe.directory().string(), moe.source_fingerprint(), specs);
}

void WriteRouters(const split::MoeCheckpoint& moe, const std::vector<TrainedRouter>& routers,
                  const TrainOptions& options, const std::string& corpus,
                  const fs::path& directory) {
  MOEFY_CHECK(routers.size() == moe.ffns().size());
  if (std::error_code none; fs::exists(moe.directory() / "config.json", none)) {
    WriteTextFile(directory / "config.json", ReadTextFile(moe.directory() / "config.json"),
                  IfExists::kRefuse);
  }
  split::CopySideFiles(moe.weights(), directory);
  const Json calibrations = Calibrations(moe, routers, options.fit_ratios);
  if (calibrations.empty()) {
    LinkWeights(moe, directory);
  } else {
    WriteCalibrated(moe, routers, directory);
  }
  WriteExtras(moe, routers, directory / split::kMoeTensors);
  Json manifest = moe.manifest();
  manifest["router"] = RouterManifest(moe, routers, options, corpus);
  if (!calibrations.empty()) manifest["calibration"] = calibrations;
  WriteTextFile(directory / split::kMoeManifest, FormatJson(manifest), IfExists::kRefuse);
}

std::string StoredRouterKind(const split::MoeCheckpoint& moe) {
  const JsonObject manifest(moe.manifest(), split::kMoeManifest);
  // Before there were other kinds, none was named.
  return manifest.Has("router") ? manifest.GetObject("router").GetString("kind", "mlp") : "";
}

bool HasRouters(const split::MoeCheckpoint& moe) { return !StoredRouterKind(moe).empty(); }

bool IsCalibrated(const split::MoeCheckpoint& moe) {
  return JsonObject(moe.manifest(), split::kMoeManifest).Has("calibration");
}

std::unique_ptr<Router> ReadRouter(const split::MoeCheckpoint& moe, size_t ffn_idx) {
  RequireRouters(moe);
  const split::MoeFfn& ffn = moe.ffns().at(ffn_idx);
  const RouterKind& kind = GetRouterKind(StoredRouterKind(moe));
  const auto shapes = kind.shapes(ffn.spec, ffn.plan.num_experts());
  std::vector<at::Tensor> parameters;
  for (size_t i = 0; i < shapes.size(); ++i) {
    // The first tensor, [width, hidden] where a width is free, decides it for all.
    std::vector<int64_t> shape = shapes[i];
    if (i > 0) std::ranges::replace(shape, kAnySize, parameters[0].size(0));
    parameters.push_back(ReadF32(moe.extras(), NameOf(ffn, kind.tensors[i]), shape));
  }
  return kind.make(parameters, ffn.spec.activation);
}

std::unique_ptr<MlpRouter> ReadMlpRouter(const split::MoeCheckpoint& moe, size_t ffn_idx) {
  std::unique_ptr<Router> router = ReadRouter(moe, ffn_idx);
  auto* mlp = dynamic_cast<MlpRouter*>(router.get());
  if (!mlp) {
    throw UsageError(moe.directory(), " holds ", router->name(),
                     " routers; this needs `moefy route-train --router mlp`");
  }
  router.release();
  return std::unique_ptr<MlpRouter>(mlp);
}

at::Tensor ReadThresholds(const split::MoeCheckpoint& moe, size_t ffn_idx) {
  RequireRouters(moe);
  return ReadF32(moe.extras(), NameOf(moe.ffns().at(ffn_idx), kThresholds), {101});
}

at::Tensor ReadNeuronThresholds(const split::MoeCheckpoint& moe, size_t ffn_idx) {
  RequireRouters(moe);
  return ReadF32(moe.extras(), NameOf(moe.ffns().at(ffn_idx), kNeuronThresholds), {101});
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

std::vector<int64_t> ReadBudget(const split::MoeCheckpoint& moe, double ffn_ratio) {
  RequireRouters(moe);
  const JsonObject manifest(moe.manifest(), split::kMoeManifest);
  const std::vector<JsonObject> listed = manifest.GetObject("router").GetObjects("ffns");
  if (listed.size() != moe.ffns().size()) {
    throw InputError(manifest.PathOf("router"), " lists ", listed.size(), " FFNs; expected ",
                     moe.ffns().size());
  }
  std::vector<BudgetedFfn> ffns;
  for (size_t i = 0; i < listed.size(); ++i) {
    const split::MoeFfn& ffn = moe.ffns()[i];
    const at::Tensor errors =
        ReadF32(moe.extras(), NameOf(ffn, kErrors), {static_cast<int64_t>(kCurveRatios.size())});
    const float* values = errors.data_ptr<float>();
    const auto tokens = static_cast<double>(
        listed[i].GetInt("dump_tokens", 1, std::numeric_limits<int64_t>::max()));
    ffns.push_back({ffn.plan.num_experts(),
                    tokens * static_cast<double>(ffn.plan.neurons_per_expert()),
                    {values, values + errors.numel()},
                    ffn.plan.num_shared()});
  }
  return SpendBudget(ffns, ffn_ratio);
}

bool HasPolicy(const split::MoeCheckpoint& moe, const Selection& selection) {
  std::vector<const char*> needed;
  if (selection.policy == Selection::kThreshold) needed.push_back(kThresholds);
  if (selection.policy == Selection::kBudget) needed.push_back(kErrors);
  if (selection.neuron_share < 1) needed.push_back(kNeuronThresholds);
  return std::ranges::all_of(needed, [&](const char* part) {
    return !moe.ffns().empty() && moe.extras().Find(NameOf(moe.ffns()[0], part));
  });
}

}  // namespace moefy::route
