#include "route/router_store.h"

#include <filesystem>

#include "base/file.h"
#include "moefy/base/error.h"
#include "moefy/base/json.h"
#include "moefy/base/output.h"
#include "moefy/model/tensor_io.h"
#include "record/recorded_inputs.h"
#include "route/router_format.h"
#include "split/rewrite.h"

namespace moefy::route {
namespace {

namespace fs = std::filesystem;

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
  tensors.emplace_back(kNeuronThresholds, trained.neuron_thresholds.tables);
  tensors.emplace_back(kNeuronNorms, trained.neuron_thresholds.norms);
  tensors.emplace_back(kErrors, trained.errors);
  const Substitute& substitute = trained.substitute;
  if (substitute.compensation.defined())
    tensors.emplace_back(kCompensation, substitute.compensation);
  if (substitute.correction.defined()) {
    tensors.emplace_back(kCorrectionDown, substitute.correction.down);
    tensors.emplace_back(kCorrectionUp, substitute.correction.up);
    tensors.emplace_back(kCorrectionBias, substitute.correction.bias);
  }
  for (auto& [name, tensor] : tensors) {
    name = NameOf(ffn, name);
    tensor = tensor.to(at::kCPU).contiguous();
  }
  return tensors;
}

// Writes moefy.safetensors with these routers in place of any that were there.
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

Json OptionsToJson(const RouterTrainOptions& options, const std::string& corpus) {
  return {{"epochs", options.epochs},
          {"patience", options.patience},
          {"batch_size", options.batch_size},
          {"learning_rate", options.learning_rate},
          {"held_out", options.held_out},
          {"metric_ratio", options.metric_ratio},
          {"width", options.width},
          {"fit_ratios", options.fit_ratios},
          {"compensation", options.compensation},
          {"output_fit", options.output_fit},
          {"seed", options.seed},
          {"corpus", corpus}};
}

// The figures of a report that moefy.json keeps for each FFN, in its order.
constexpr const char* kKeptFigures[] = {"dump_tokens",
                                        "train_tokens",
                                        "held_out_tokens",
                                        "best_epoch",
                                        "routed",
                                        "similarity",
                                        "random",
                                        "oracle",
                                        "oracle_output",
                                        "neuron_oracle_output_error",
                                        "final_output_error",
                                        "neuron_share",
                                        "dead_experts",
                                        "load_entropy",
                                        "compensated",
                                        "corrected"};

Json RouterManifest(const split::MoeCheckpoint& moe, const std::vector<TrainedRouter>& routers,
                    const RouterTrainOptions& options, const std::string& corpus) {
  Json ffns = Json::array();
  for (size_t i = 0; i < routers.size(); ++i) {
    const Json figures = ReportToJson(routers[i].report);
    Json kept = {{"name", moe.ffns()[i].spec.name}};
    for (const char* figure : kKeptFigures) kept[figure] = figures.at(figure);
    ffns.push_back(std::move(kept));
  }
  return {{"kind", options.router},
          {"target", options.target},
          {"options", OptionsToJson(options, corpus)},
          {"ffns", ffns}};
}

// An entry for the output fit, with the tensors that it changed; none where it changed none.
Json OutputFits(const split::MoeCheckpoint& moe, const std::vector<TrainedRouter>& routers,
                const std::vector<double>& ratios) {
  Json tensors = Json::array();
  for (size_t i = 0; i < routers.size(); ++i) {
    if (routers[i].substitute.w_out.defined()) tensors.push_back(moe.ffns()[i].spec.w_out);
  }
  if (tensors.empty()) return Json::array();
  return Json::array(
      {{{"kind", "output-fit"}, {"ffn_ratios", ratios}, {"tensors", std::move(tensors)}}});
}

// Gives the same bytes a second name where the file system can, and copies where it cannot.
void LinkOrCopy(const fs::path& from, const fs::path& to) {
  std::error_code code;
  fs::create_hard_link(fs::canonical(from, code), to, code);
  if (!code) return;
  CopyFile(from, to);
}

void LinkWeights(const split::MoeCheckpoint& moe, const fs::path& directory) {
  for (const auto& file : moe.weights().files()) {
    LinkOrCopy(file->path(), directory / file->path().filename());
  }
  if (const std::string& index = moe.weights().index_name(); !index.empty()) {
    LinkOrCopy(moe.directory() / index, directory / index);
  }
}

// Writes the weights with the fitted W_outs in place of their own.
void WriteFitted(const split::MoeCheckpoint& moe, const std::vector<TrainedRouter>& routers,
                 const fs::path& directory) {
  model::TensorMap changed;
  for (size_t i = 0; i < routers.size(); ++i) {
    const model::FfnSpec& spec = moe.ffns()[i].spec;
    if (!routers[i].substitute.w_out.defined()) continue;
    changed[spec.w_out] =
        spec.transposed ? routers[i].substitute.w_out : routers[i].substitute.w_out.t();
  }
  model::RewriteTensors(moe.weights(), changed, directory);
}

}  // namespace

void CheckDumpMatches(const split::MoeCheckpoint& moe, const record::ActivationDump& dump) {
  std::vector<model::FfnSpec> specs;
  for (const split::MoeFfn& ffn : moe.ffns()) specs.push_back(ffn.spec);
  record::CheckDumpMatches(dump, moe.directory().string(), moe.source_fingerprint(), specs);
}

void WriteRouters(const split::MoeCheckpoint& moe, const std::vector<TrainedRouter>& routers,
                  const RouterTrainOptions& options, const std::string& corpus,
                  const fs::path& directory) {
  MOEFY_CHECK(routers.size() == moe.ffns().size());
  if (std::error_code none; fs::exists(moe.directory() / "config.json", none)) {
    WriteTextFile(directory / "config.json", ReadTextFile(moe.directory() / "config.json"),
                  IfExists::kRefuse);
  }
  split::CopySideFiles(moe.weights(), directory);
  const Json fits = OutputFits(moe, routers, options.fit_ratios);
  if (fits.empty()) {
    LinkWeights(moe, directory);
  } else {
    WriteFitted(moe, routers, directory);
  }
  WriteExtras(moe, routers, directory / split::kMoeTensors);
  Json manifest = moe.manifest();
  manifest["router"] = RouterManifest(moe, routers, options, corpus);
  if (!fits.empty()) manifest["calibration"] = fits;
  WriteTextFile(directory / split::kMoeManifest, FormatJson(manifest), IfExists::kRefuse);
}

}  // namespace moefy::route
