#include "moefy/io/checkpoint.h"

#include <algorithm>
#include <set>
#include <system_error>

#include "io/problems.h"
#include "moefy/base/error.h"
#include "moefy/base/json.h"

namespace moefy::io {
namespace {

namespace fs = std::filesystem;

constexpr const char* kSingleName = "model.safetensors";
constexpr const char* kIndexName = "model.safetensors.index.json";
constexpr const char* kConvertHint =
    "PyTorch files are not read yet; in Python, with the model loaded by Transformers, "
    "model.save_pretrained(directory, safe_serialization=True) writes safetensors";

bool IsPyTorchName(std::string_view name) {
  return name.ends_with(".bin") || name.ends_with(".pt") || name.ends_with(".pth");
}

// In a directory: training_args.bin and optimizer.pt, say, are no weights.
bool IsPyTorchWeights(const std::string& name) {
  return name.starts_with("pytorch_model") && IsPyTorchName(name);
}

bool IsSafetensorsName(std::string_view name) { return name.ends_with(".safetensors"); }

// "<anything>-00001-of-00002.safetensors"
bool IsShardName(std::string_view name) {
  constexpr std::string_view kPattern = "-DDDDD-of-DDDDD.safetensors";
  if (name.size() <= kPattern.size()) return false;
  name.remove_prefix(name.size() - kPattern.size());
  return std::equal(name.begin(), name.end(), kPattern.begin(), [](char c, char wanted) {
    return wanted == 'D' ? c >= '0' && c <= '9' : c == wanted;
  });
}

// Names of what is in a directory, sorted.
std::set<std::string> EntryNames(const fs::path& directory) {
  std::error_code code;
  std::set<std::string> names;
  for (fs::directory_iterator it(directory, code), end; !code && it != end; it.increment(code)) {
    names.insert(it->path().filename().string());
  }
  if (code) throw SystemError(code.value(), directory, ": cannot be listed");
  return names;
}

std::vector<std::string> Matching(const std::set<std::string>& names,
                                  const std::function<bool(const std::string&)>& matches) {
  std::vector<std::string> found;
  std::copy_if(names.begin(), names.end(), std::back_inserter(found), matches);
  return found;
}

// "a, b, c and 7 more"
std::string FirstOf(std::vector<std::string> names) {
  constexpr size_t kMaxShown = 5;
  const size_t num_more = names.size() > kMaxShown ? names.size() - kMaxShown : 0;
  names.resize(names.size() - num_more);
  for (std::string& name : names) name = Quoted(name);
  return Join(names) + (num_more > 0 ? StrCat(" and ", num_more, " more") : "");
}

[[noreturn]] void ThrowNoWeights(const fs::path& directory, const std::set<std::string>& names) {
  const std::string looked_for =
      StrCat(directory, ": found neither ", kSingleName, " nor ", kIndexName);
  if (const auto shards = Matching(names, IsShardName); !shards.empty()) {
    throw InputError(looked_for, "; there are shards (", FirstOf(shards),
                     "), but the index that says what is in them is missing");
  }
  if (const auto pytorch = Matching(names, IsPyTorchWeights); !pytorch.empty()) {
    throw InputError(looked_for, ", only ", FirstOf(pytorch), ". ", kConvertHint);
  }
  if (const auto others = Matching(names, IsSafetensorsName); !others.empty()) {
    throw InputError(looked_for, "; to read ", FirstOf(others), ", name the file itself");
  }
  throw InputError(looked_for,
                   "; a checkpoint is a directory with one of them, or one file that "
                   "ends in .safetensors");
}

// What model.safetensors.index.json says.
struct ShardIndex {
  std::map<std::string, std::string> shard_of;             // tensor name to file name
  std::map<std::string, std::vector<std::string>> shards;  // file name to its tensors
  Json total_size;                                         // as written; null when absent
};

void CheckShardName(const std::string& shard, Problems& problems) {
  if (IsPyTorchName(shard)) {
    problems.Add("shard ", Quoted(shard), " is a PyTorch file. ", kConvertHint);
  } else if (!IsSafetensorsName(shard) || shard.starts_with('.') ||
             shard.find_first_of(std::string_view("/\\\0", 3)) != std::string::npos) {
    problems.Add("shard ", Quoted(shard), " is not a plain file name that ends in .safetensors");
  }
}

ShardIndex ReadShardIndex(const fs::path& path) {
  const Json json = ReadJsonFile(path);
  const JsonObject index(json, path.string());
  const JsonObject map = index.GetObject("weight_map");
  ShardIndex out;
  Problems problems;
  for (const auto& [name, shard] : index.GetRaw("weight_map").items()) {
    if (!shard.is_string()) {
      problems.Add("tensor ", Quoted(name), " is mapped to something that is not a string");
      continue;
    }
    out.shard_of.emplace(name, shard.get<std::string>());
    out.shards[shard.get<std::string>()].push_back(name);
  }
  for (const auto& [shard, tensors] : out.shards) CheckShardName(shard, problems);
  if (out.shards.empty()) problems.Add("weight_map is empty");
  WithContext(path.string(), [&] { problems.ThrowIfAny(); });

  if (index.Has("metadata") && index.GetRaw("metadata").is_object()) {
    const Json& metadata = index.GetRaw("metadata");
    if (const auto size = metadata.find("total_size"); size != metadata.end()) {
      out.total_size = *size;
    }
  }
  return out;
}

// What the index promises about one shard, against what the shard holds.
void CheckShard(const ShardIndex& index, const std::string& shard, const SafetensorsFile& file,
                Problems& problems) {
  for (const std::string& name : index.shards.at(shard)) {
    if (!file.Find(name)) {
      problems.Add("tensor ", Quoted(name), " is not in ", Quoted(shard),
                   ", where the index puts it");
    }
  }
  for (const TensorInfo& info : file.tensors()) {
    const auto mapped = index.shard_of.find(info.name);
    if (mapped == index.shard_of.end()) {
      problems.Add("tensor ", Quoted(info.name), " of ", Quoted(shard), " is not in the index");
    } else if (mapped->second != shard) {
      problems.Add("tensor ", Quoted(info.name), " is in ", Quoted(shard),
                   ", but the index puts it in ", Quoted(mapped->second));
    }
  }
}

std::vector<SafetensorsFile> OpenShards(const fs::path& directory, const ShardIndex& index) {
  std::vector<SafetensorsFile> files;
  Problems problems;
  for (const auto& [shard, tensors] : index.shards) {
    try {
      files.emplace_back(directory / shard);
      CheckShard(index, shard, files.back(), problems);
    } catch (const Error& error) {
      if (error.kind() != ErrorKind::kInput) throw;
      problems.Add(error.what());
    }
  }
  WithContext((directory / kIndexName).string(), [&] { problems.ThrowIfAny(); });
  return files;
}

}  // namespace

Checkpoint Checkpoint::Open(const fs::path& path) {
  Checkpoint checkpoint;
  std::set<std::string> names;
  ShardIndex index;
  std::error_code ignored;  // whoever opens the file says what is wrong with it
  if (fs::is_directory(path, ignored)) {
    checkpoint.directory_ = path;
    names = EntryNames(path);
    if (names.contains(kIndexName)) {
      checkpoint.index_name_ = kIndexName;
      index = ReadShardIndex(path / kIndexName);
      checkpoint.files_ = OpenShards(path, index);
    } else if (names.contains(kSingleName)) {
      checkpoint.files_.emplace_back(path / kSingleName);
    } else {
      ThrowNoWeights(path, names);
    }
  } else {
    const std::string name = path.filename().string();
    if (IsPyTorchName(name)) throw InputError(path, ": ", kConvertHint);
    if (name == kIndexName) {
      throw InputError(path, ": name the directory it is in, or a .safetensors file");
    }
    if (fs::exists(path, ignored) && !IsSafetensorsName(name)) {
      throw InputError(path, ": expected a directory or a file that ends in .safetensors");
    }
    checkpoint.directory_ = path.has_parent_path() ? path.parent_path() : fs::path(".");
    checkpoint.files_.emplace_back(path);
  }

  for (size_t i = 0; i < checkpoint.files_.size(); ++i) {
    for (const TensorInfo& info : checkpoint.files_[i].tensors()) {
      checkpoint.tensors_.emplace(info.name, std::pair(i, &info));
    }
  }

  std::vector<std::string>& warnings = checkpoint.warnings_;
  if (checkpoint.is_sharded() && names.contains(kSingleName)) {
    warnings.push_back(StrCat(path, ": has both ", kSingleName, " and ", kIndexName,
                              "; the shards of the index are used"));
  }
  const auto strays = Matching(names, [&](const std::string& name) {
    return IsShardName(name) && !index.shards.contains(name);
  });
  if (!strays.empty()) {
    warnings.push_back(StrCat(path, ": ignored, because no index names them: ", FirstOf(strays)));
  }
  if (!index.total_size.is_null() && index.total_size != Json(checkpoint.TotalBytes())) {
    warnings.push_back(StrCat(path / kIndexName, ": total_size is ",
                              Quoted(index.total_size.dump()), ", but the tensors have ",
                              checkpoint.TotalBytes(), " bytes"));
  }
  return checkpoint;
}

std::vector<std::string> Checkpoint::TensorNames() const {
  std::vector<std::string> names;
  names.reserve(tensors_.size());
  for (const auto& [name, place] : tensors_) names.push_back(name);
  return names;
}

const TensorInfo* Checkpoint::Find(std::string_view name) const {
  const auto found = tensors_.find(name);
  return found == tensors_.end() ? nullptr : found->second.second;
}

const TensorInfo& Checkpoint::Get(std::string_view name) const {
  if (const TensorInfo* info = Find(name)) return *info;
  throw InputError(directory_, ": no tensor ", Quoted(name), DidYouMean(name, TensorNames()));
}

std::span<const std::byte> Checkpoint::Bytes(std::string_view name) const {
  const TensorInfo& info = Get(name);
  return files_[tensors_.find(name)->second.first].Bytes(info);
}

uint64_t Checkpoint::TotalBytes() const {
  uint64_t total = 0;
  for (const auto& [name, place] : tensors_) total += place.second->num_bytes();
  return total;
}

}  // namespace moefy::io
