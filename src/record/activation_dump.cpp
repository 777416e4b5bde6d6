#include "record/activation_dump.h"

#include <limits>
#include <set>

#include "base/json.h"
#include "io/safetensors.h"
#include "moefy/base/error.h"
#include "record/dump_format.h"

namespace moefy::record {
namespace {

bool IsReadable(io::DType dtype) {
  return dtype == io::DType::kF32 || dtype == io::DType::kF16 || dtype == io::DType::kBF16 ||
         dtype == io::DType::kF64;
}

// The only tensor of a file, or the one called ffn_input.
const io::TensorInfo& OnlyTensor(const io::TensorFile& file) {
  const io::TensorInfo* info =
      file.tensors().size() == 1 ? &file.tensors().front() : file.Find(kTensor);
  if (!info) {
    throw InputError(file.path(), ": expected one tensor, or one called ", Quoted(kTensor),
                     "; found ", file.tensors().size());
  }
  if (!IsReadable(info->dtype) || info->shape.size() < 2 || info->shape.back() == 0) {
    throw InputError(file.path(),
                     ": expected a tensor [..., hidden] in F32, F16, BF16 or F64, found ",
                     io::DescribeType(info));
  }
  return *info;
}

}  // namespace

ActivationDump ActivationDump::OpenFilesOfOthers(const std::filesystem::path& directory) {
  ActivationDump dump;
  dump.info_.corpus = "recorded by others";
  std::set<std::filesystem::path> paths;  // sorted
  std::error_code ignored;                // a directory that cannot be listed has no files
  for (const auto& entry : std::filesystem::directory_iterator(directory, ignored)) {
    const std::string ending = entry.path().extension().string();
    if (ending == ".safetensors" || ending == ".pt" || ending == ".npy") paths.insert(entry.path());
  }
  if (paths.empty()) {
    throw InputError(directory, " is not an activation dump: it has neither ", kManifest,
                     ", which `moefy record` makes, nor a .safetensors, .pt or .npy file per FFN");
  }
  for (const std::filesystem::path& path : paths) {
    DumpShard shard{io::OpenTensorFile(path), nullptr, 0, 0};
    shard.info = &OnlyTensor(*shard.file);
    const auto hidden = static_cast<int64_t>(shard.info->shape.back());
    shard.tokens = static_cast<int64_t>(*io::NumElements(shard.info->shape)) / hidden;
    dump.ffns_.push_back({path.stem().string(), shard.tokens, hidden});
    dump.shards_.push_back({std::move(shard)});
  }
  return dump;
}

ActivationDump ActivationDump::Open(const std::filesystem::path& directory) {
  if (!std::filesystem::exists(directory / kManifest)) return OpenFilesOfOthers(directory);
  const Json json = ReadJsonFile(directory / kManifest);
  const JsonObject manifest(json, (directory / kManifest).string());
  const int64_t format = manifest.GetInt("format", 1, std::numeric_limits<int32_t>::max());
  if (format != kDumpFormat) {
    throw InputError(manifest.PathOf("format"), " is ", format, "; this moefy reads format ",
                     kDumpFormat);
  }
  ActivationDump dump;
  dump.info_ = {manifest.GetString("family"), manifest.GetString("model_fingerprint"),
                manifest.GetString("corpus")};
  constexpr int64_t kMax = std::numeric_limits<int64_t>::max();
  for (const JsonObject& entry : manifest.GetObjects("ffns")) {
    DumpedFfn ffn{entry.GetString("name"), entry.GetInt("tokens", 0, kMax),
                  entry.GetInt("hidden", 1, 1 << 20)};
    std::vector<DumpShard> shards;
    int64_t tokens = 0;
    for (const std::string& name : entry.GetStrings("shards")) {
      if (name.find('/') != std::string::npos || name.starts_with(".")) {
        throw InputError(entry.PathOf("shards"), " names ", Quoted(name),
                         "; expected a plain file name");
      }
      auto file = std::make_shared<io::SafetensorsFile>(directory / name);
      const io::TensorInfo* info = file->Find(kTensor);
      if (!info || !IsReadable(info->dtype) || info->shape.size() != 2 ||
          info->shape[1] != static_cast<uint64_t>(ffn.hidden)) {
        throw InputError(directory / name, ": expected a tensor ", Quoted(kTensor), " [tokens, ",
                         ffn.hidden, "] in F32, F16, BF16 or F64, found ", io::DescribeType(info));
      }
      const auto rows = static_cast<int64_t>(info->shape[0]);
      shards.push_back({std::move(file), info, tokens, rows});
      tokens += rows;
    }
    if (tokens != ffn.tokens) {
      throw InputError(entry.PathOf("tokens"), " is ", ffn.tokens, "; the shards of ",
                       Quoted(ffn.name), " hold ", tokens);
    }
    dump.ffns_.push_back(std::move(ffn));
    dump.shards_.push_back(std::move(shards));
  }
  return dump;
}

size_t ActivationDump::GetFfn(const std::string& name) const {
  std::vector<std::string> names;
  for (size_t i = 0; i < ffns_.size(); ++i) {
    if (ffns_[i].name == name) return i;
    names.push_back(ffns_[i].name);
  }
  throw InputError("the activation dump holds nothing of ", Quoted(name), "; it holds ",
                   names.empty() ? "no FFN" : Join(names));
}

std::optional<size_t> ActivationDump::Find(const model::FfnSpec& spec) const {
  for (size_t i = 0; i < ffns_.size(); ++i) {
    const std::string& name = ffns_[i].name;
    if (name == spec.name || name == spec.w_in || name + ".weight" == spec.w_in) return i;
  }
  return std::nullopt;
}

}  // namespace moefy::record
