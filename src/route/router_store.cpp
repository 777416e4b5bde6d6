// Routers in moefy.safetensors and moefy.json, and whether a dump fits a split checkpoint.
#include <algorithm>
#include <cstring>
#include <filesystem>

#include "moefy/base/error.h"
#include "moefy/base/output.h"
#include "moefy/record/recorded_inputs.h"
#include "moefy/route/router_trainer.h"
#include "moefy/split/rewrite.h"

namespace moefy::route {
namespace {

namespace fs = std::filesystem;

constexpr const char* kRouterPart = ".router.";
std::string W1Name(const std::string& ffn_name) { return ffn_name + kRouterPart + "w1"; }
std::string W2Name(const std::string& ffn_name) { return ffn_name + kRouterPart + "w2"; }

io::TensorInfo Declare(const std::string& name, const at::Tensor& tensor) {
  io::TensorInfo info;
  info.name = name;
  info.dtype = io::DType::kF32;
  for (const int64_t extent : tensor.sizes()) info.shape.push_back(static_cast<uint64_t>(extent));
  return info;
}

std::span<const std::byte> Bytes(const at::Tensor& tensor) {
  return {static_cast<const std::byte*>(tensor.data_ptr()), tensor.nbytes()};
}

// moefy.safetensors again, with these routers in place of any that were there.
void WriteExtras(const split::MoeCheckpoint& moe, const std::vector<TrainedRouter>& routers,
                 const fs::path& path) {
  std::vector<std::pair<std::string, at::Tensor>> added;
  for (size_t i = 0; i < routers.size(); ++i) {
    const std::string& name = moe.ffns()[i].spec.name;
    added.emplace_back(W1Name(name), routers[i].router->w1().contiguous());
    added.emplace_back(W2Name(name), routers[i].router->w2().contiguous());
  }
  std::vector<io::TensorInfo> kept;
  for (const io::TensorInfo& info : moe.extras().tensors()) {
    if (info.name.find(kRouterPart) == std::string::npos) kept.push_back(info);
  }
  std::vector<io::TensorInfo> all = kept;
  for (const auto& [name, tensor] : added) all.push_back(Declare(name, tensor));
  io::SafetensorsWriter writer(path, all, moe.extras().metadata());
  for (const io::TensorInfo& info : kept) writer.Write(info.name, moe.extras().Bytes(info));
  for (const auto& [name, tensor] : added) writer.Write(name, Bytes(tensor));
  writer.Finish();
}

Json QualityToJson(const RouterQuality& quality) {
  return {{"mass", quality.mass}, {"recall", quality.recall}};
}

Json RouterManifest(const split::MoeCheckpoint& moe, const std::vector<TrainedRouter>& routers,
                    const Json& train_options) {
  Json ffns = Json::array();
  for (size_t i = 0; i < routers.size(); ++i) {
    const TrainedRouter& router = routers[i];
    ffns.push_back({{"name", moe.ffns()[i].spec.name},
                    {"dump_tokens", router.dump_tokens},
                    {"train_tokens", router.train_tokens},
                    {"held_out_tokens", router.mlp.tokens},
                    {"best_epoch", router.best_epoch},
                    {"mlp", QualityToJson(router.mlp)},
                    {"similarity", QualityToJson(router.similarity)},
                    {"random", QualityToJson(router.random)},
                    {"oracle", QualityToJson(router.oracle)}});
  }
  return {{"options", train_options}, {"ffns", ffns}};
}

// The same bytes under a second name where the file system can, a copy where it cannot.
void LinkOrCopy(const fs::path& from, const fs::path& to) {
  std::error_code code;
  fs::create_hard_link(fs::canonical(from, code), to, code);
  if (!code) return;
  fs::copy_file(from, to, code);
  if (code) throw SystemError(code.value(), from, ": cannot be copied to ", to);
}

at::Tensor ReadMatrix(const io::SafetensorsFile& file, const std::string& name, int64_t rows,
                      int64_t columns) {
  const io::TensorInfo* info = file.Find(name);
  at::Tensor out = at::empty({rows, columns}, at::kFloat);
  if (!info || info->dtype != io::DType::kF32 || info->shape != Declare(name, out).shape) {
    throw InputError(
        file.path(), ": expected a tensor ", Quoted(name), ", F32 [", rows, ", ", columns,
        "], found ",
        info ? StrCat(io::DTypeName(info->dtype), " ", FormatShape(info->shape)) : "none");
  }
  std::memcpy(out.data_ptr(), file.Bytes(*info).data(), out.nbytes());
  return out;
}

}  // namespace

void CheckDumpMatches(const split::MoeCheckpoint& moe, const record::ActivationDump& dump) {
  std::vector<model::FfnSpec> specs;
  for (const split::MoeFfn& ffn : moe.ffns()) specs.push_back(ffn.spec);
  record::CheckDumpMatches(dump, moe.directory().string(), moe.source_fingerprint(), specs);
}

void WriteRouters(const split::MoeCheckpoint& moe, const std::vector<TrainedRouter>& routers,
                  const Json& train_options, const fs::path& directory) {
  MOEFY_CHECK(routers.size() == moe.ffns().size());
  if (std::error_code none; fs::exists(moe.directory() / "config.json", none)) {
    WriteTextFile(directory / "config.json", ReadTextFile(moe.directory() / "config.json"),
                  IfExists::kRefuse);
  }
  split::CopySideFiles(moe.weights(), directory);
  for (const auto& file : moe.weights().files()) {
    LinkOrCopy(file->path(), directory / file->path().filename());
  }
  if (const std::string& index = moe.weights().index_name(); !index.empty()) {
    LinkOrCopy(moe.directory() / index, directory / index);
  }
  WriteExtras(moe, routers, directory / split::kMoeTensors);
  Json manifest = moe.manifest();
  manifest["router"] = RouterManifest(moe, routers, train_options);
  WriteTextFile(directory / split::kMoeManifest, FormatJson(manifest), IfExists::kRefuse);
}

bool HasRouters(const split::MoeCheckpoint& moe) {
  return JsonObject(moe.manifest(), split::kMoeManifest).Has("router");
}

std::unique_ptr<MlpRouter> ReadMlpRouter(const split::MoeCheckpoint& moe, size_t ffn_idx) {
  if (!HasRouters(moe)) {
    throw UsageError(moe.directory(),
                     " has no routers; `moefy route-train` trains them, and "
                     "--selection similarity does without");
  }
  const split::MoeFfn& ffn = moe.ffns().at(ffn_idx);
  const int64_t experts = ffn.plan.num_experts();
  at::Tensor w1 = ReadMatrix(moe.extras(), W1Name(ffn.spec.name), experts, ffn.spec.hidden);
  at::Tensor w2 = ReadMatrix(moe.extras(), W2Name(ffn.spec.name), experts, experts);
  return std::make_unique<MlpRouter>(std::move(w1), std::move(w2));
}

}  // namespace moefy::route
