#include "split/rewrite.h"

#include <algorithm>
#include <cstring>
#include <map>
#include <set>

#include "base/file.h"
#include "model/activation.h"
#include "model/family.h"
#include "moefy/base/error.h"
#include "moefy/base/output.h"
#include "moefy/base/version.h"
#include "split/config_key.h"
#include "split/permute.h"

namespace moefy::split {
namespace {

namespace fs = std::filesystem;

constexpr const char* kConfig = "config.json";
constexpr uint64_t kMaxSideFileBytes = 64 << 20;

bool IsWeights(const std::string& name) {
  static const std::vector<std::string> kEndings = {
      ".safetensors", ".bin",  ".pt",   ".pth", ".ckpt", ".h5",
      ".msgpack",     ".onnx", ".gguf", ".ot",  ".npz",  ".index.json"};
  return std::ranges::any_of(kEndings, [&](const auto& ending) { return name.ends_with(ending); });
}

io::TensorTransform PermuteAll(const io::Checkpoint& checkpoint, const std::vector<MoeFfn>& ffns,
                               bool inverse) {
  return [permutations = Permutations(checkpoint, ffns, inverse)](const io::TensorInfo& info,
                                                                  std::span<const std::byte> bytes,
                                                                  std::vector<std::byte>& scratch) {
    const auto found = permutations.find(info.name);
    return found == permutations.end() ? bytes : Permute(info, bytes, found->second, scratch);
  };
}

void WritePlans(const std::vector<MoeFfn>& ffns, const fs::path& path) {
  std::vector<io::TensorInfo> tensors;
  for (const auto& [spec, plan] : ffns) {
    io::TensorInfo info;
    info.name = spec.name + kNeuronOrder;
    info.dtype = io::DType::kI64;
    info.shape = {static_cast<uint64_t>(plan.num_neurons())};
    tensors.push_back(std::move(info));
  }
  io::SafetensorsWriter writer(path, std::move(tensors));
  for (const auto& [spec, plan] : ffns) {
    writer.Write(spec.name + kNeuronOrder, std::as_bytes(std::span(plan.order())));
  }
  writer.Finish();
}

// What no family says of an FFN.
Json NamedTensors(const model::FfnSpec& spec) {
  Json tensors = {{"hidden", spec.hidden}, {"w_in", spec.w_in}};
  const std::pair<const char*, const std::string&> optional[] = {
      {"b_in", spec.b_in}, {"w_gate", spec.w_gate}, {"b_gate", spec.b_gate}};
  for (const auto& [key, name] : optional) {
    if (!name.empty()) tensors[key] = name;
  }
  tensors["w_out"] = spec.w_out;
  if (spec.transposed) tensors["transposed"] = true;
  tensors["activation"] = model::ActivationName(spec.activation);
  return tensors;
}

// config.json; "" when there is none, as may be where FFNs were named by hand.
std::string ReadConfig(const fs::path& directory) {
  std::error_code ignored;
  return fs::exists(directory / kConfig, ignored) ? ReadTextFile(directory / kConfig) : "";
}

Json Manifest(const io::Checkpoint& dense, const std::string& fingerprint,
              const std::vector<MoeFfn>& ffns, const Json& split_options,
              const std::vector<std::string>& warnings, FfnSource source) {
  Json listed = Json::array();
  for (const auto& [spec, plan] : ffns) {
    Json ffn = {{"name", spec.name},
                {"num_experts", plan.num_experts()},
                {"neurons_per_expert", plan.neurons_per_expert()}};
    if (plan.num_shared() > 0) ffn["num_shared"] = plan.num_shared();
    if (source == FfnSource::kNamed) ffn.update(NamedTensors(spec));
    listed.push_back(std::move(ffn));
  }
  const std::string family =
      source == FfnSource::kNamed
          ? kNamedFamily
          : model::ReadModelConfig(dense, nullptr, model::ReadFor::kFfns).family;
  return {{"format", kMoeFormat},
          {"moefy_version", kVersion},
          {"source",
           {{"fingerprint", fingerprint},
            {"family", family},
            {"tensors", dense.TensorNames().size()},
            {"bytes", dense.TotalBytes()}}},
          {"split", split_options},
          {"ffns", listed},
          {"router", nullptr},
          {"warnings", warnings}};
}

// How sentence-transformers names the folders of what comes after a model: "1_Pooling".
bool IsModule(const fs::path& path) {
  const std::string name = path.filename().string();
  std::error_code ignored;
  return name.size() > 2 && name[0] >= '0' && name[0] <= '9' && name[1] == '_' &&
         fs::is_regular_file(path / kConfig, ignored);
}

// Lets the caller, who began the step, hear how far it is, and not that a step inside it began.
class WithinStep final : public Progress {
 public:
  explicit WithinStep(Progress& progress) : progress_(progress) {}
  void Section(std::string_view) override {}
  void Begin(std::string_view, uint64_t, std::string_view) override {}
  void Advance(uint64_t num_units) override { progress_.Advance(num_units); }
  void End(std::string_view) override {}

 private:
  Progress& progress_;
};

// One line for a tensor that differs, "" for one that does not.
std::string Difference(const io::TensorInfo& dense, std::span<const std::byte> dense_bytes,
                       const io::TensorInfo& moe, std::span<const std::byte> moe_bytes,
                       const Permutation* permutation, std::vector<std::byte>& scratch) {
  if (dense.dtype != moe.dtype || dense.shape != moe.shape) {
    return StrCat("tensor ", Quoted(dense.name), " is ", io::DTypeName(moe.dtype), " ",
                  FormatShape(moe.shape), "; the dense one is ", io::DTypeName(dense.dtype), " ",
                  FormatShape(dense.shape));
  }
  // The same as undoing it on the other side, without a word about which neuron it was.
  if (permutation) dense_bytes = Permute(dense, dense_bytes, *permutation, scratch);
  if (std::memcmp(dense_bytes.data(), moe_bytes.data(), moe_bytes.size()) == 0) return "";
  const auto at = std::ranges::mismatch(dense_bytes, moe_bytes).in2;
  return StrCat("tensor ", Quoted(dense.name), " differs",
                permutation ? " after the inverse permutation" : "", ", first at byte ",
                at - moe_bytes.begin(), " of ", moe_bytes.size());
}

// Why a tensor may differ: by its name, what moefy.json says of its calibration.
std::map<std::string, std::string> Calibrated(const MoeCheckpoint& moe) {
  std::map<std::string, std::string> reasons;
  const JsonObject manifest(moe.manifest(), kMoeManifest);
  if (!manifest.Has("calibration")) return reasons;
  for (const JsonObject& calibration : manifest.GetObjects("calibration")) {
    std::vector<std::string> ratios;
    for (const double ratio : calibration.GetNumbers("ffn_ratios")) ratios.push_back(StrCat(ratio));
    const std::string reason =
        StrCat("calibrated by ", calibration.GetString("kind"), " at ffn ratio ", Join(ratios));
    for (const std::string& name : calibration.GetStrings("tensors")) reasons[name] = reason;
  }
  return reasons;
}

}  // namespace

std::vector<std::string> CopySideFiles(const io::Checkpoint& from, const fs::path& directory) {
  std::vector<std::string> warnings;
  std::set<fs::path> paths;  // sorted, so that warnings come in the same order everywhere
  try {
    for (const auto& entry : fs::directory_iterator(from.directory())) paths.insert(entry.path());
  } catch (const fs::filesystem_error& error) {
    throw SystemError(error.code().value(), from.directory(), ": cannot be listed");
  }
  for (const fs::path& path : paths) {
    const std::string name = path.filename().string();
    std::error_code ignored;
    if (fs::is_symlink(path, ignored) && !fs::exists(path, ignored)) {
      if (name.starts_with(".") || IsWeights(name)) continue;
      File::Open(path);  // which says where the link leads
    }
    if (IsModule(path)) {
      fs::create_directory(directory / name, ignored);
      CopyFile(path / kConfig, directory / name / kConfig);
      continue;
    }
    if (name == kConfig || name.starts_with(".") || name.starts_with("moefy.") || IsWeights(name) ||
        !fs::is_regular_file(path, ignored)) {
      continue;
    }
    if (const uint64_t num_bytes = fs::file_size(path, ignored); num_bytes > kMaxSideFileBytes) {
      warnings.push_back(StrCat(Quoted(name), " was not copied: ", FormatBytes(num_bytes),
                                " is over ", FormatBytes(kMaxSideFileBytes)));
      continue;
    }
    CopyFile(path, directory / name);
  }
  return warnings;
}

void WriteMoeCheckpoint(const io::Checkpoint& dense, const std::string& dense_fingerprint,
                        const std::vector<MoeFfn>& ffns, const Json& split_options,
                        const fs::path& directory, Progress& progress, FfnSource source) {
  if (MoeCheckpoint::IsMoe(dense.directory())) {
    throw UsageError(dense.directory(),
                     " is split already; split the dense checkpoint instead "
                     "(`moefy merge` restores it)");
  }
  const auto transform = PermuteAll(dense, ffns, false);
  if (const std::string config = ReadConfig(dense.directory()); !config.empty()) {
    WriteTextFile(directory / kConfig, AddMoefyKey(config), IfExists::kRefuse);
  }
  const std::vector<std::string> warnings = CopySideFiles(dense, directory);
  WithinStep step(progress);
  io::RewriteCheckpoint(dense, directory, transform, step);
  WritePlans(ffns, directory / kMoeTensors);
  WriteTextFile(
      directory / kMoeManifest,
      FormatJson(Manifest(dense, dense_fingerprint, ffns, split_options, warnings, source)),
      IfExists::kRefuse);
}

VerifyReport VerifyMoe(const io::Checkpoint& dense, const MoeCheckpoint& moe, Progress& progress) {
  VerifyReport report;
  const auto permutations = Permutations(moe.weights(), moe.ffns(), false);
  const std::string dense_config = ReadConfig(dense.directory());
  const std::string moe_config = ReadConfig(moe.directory());
  try {
    if ((moe_config.empty() ? "" : RemoveMoefyKey(moe_config)) != dense_config) {
      report.problems.push_back("config.json differs in more than the added key");
    }
  } catch (const Error& error) {
    if (error.kind() != ErrorKind::kInput) throw;
    report.problems.push_back(error.what());
  }
  const auto calibrated = Calibrated(moe);
  std::vector<std::byte> scratch;
  for (const std::string& name : dense.TensorNames()) {
    const io::TensorInfo& info = dense.Get(name);
    const io::TensorInfo* other = moe.weights().Find(name);
    if (!other) {
      report.problems.push_back(StrCat("tensor ", Quoted(name), " is missing"));
      continue;
    }
    const auto permutation = permutations.find(name);
    const bool permuted = permutation != permutations.end();
    const std::string difference =
        Difference(info, dense.Bytes(name), *other, moe.weights().Bytes(name),
                   permuted ? &permutation->second : nullptr, scratch);
    ++report.num_tensors;
    if (!difference.empty()) {
      const auto reason = calibrated.find(name);
      report.problems.push_back(
          reason == calibrated.end() ? difference : StrCat(difference, ": ", reason->second));
    }
    if (difference.empty() && permuted) ++report.num_permuted;
    progress.Advance(info.num_bytes());
  }
  for (const std::string& name : moe.weights().TensorNames()) {
    if (!dense.Find(name)) {
      report.problems.push_back(StrCat("tensor ", Quoted(name), " is not in the dense checkpoint"));
    }
  }
  report.ok = report.problems.empty();
  return report;
}

void MergeMoe(const MoeCheckpoint& moe, const fs::path& directory, Progress& progress) {
  const auto transform = PermuteAll(moe.weights(), moe.ffns(), true);
  if (const std::string config = ReadConfig(moe.directory()); !config.empty()) {
    WriteTextFile(directory / kConfig, RemoveMoefyKey(config), IfExists::kRefuse);
  }
  CopySideFiles(moe.weights(), directory);
  WithinStep step(progress);
  io::RewriteCheckpoint(moe.weights(), directory, transform, step);
}

}  // namespace moefy::split
