#include "moefy/io/checkpoint.h"

#include <algorithm>
#include <array>
#include <functional>
#include <set>
#include <system_error>

#include "base/file.h"
#include "base/json.h"
#include "base/problems.h"
#include "io/fingerprint.h"
#include "io/found_instead.h"
#include "io/npy_file.h"
#include "io/safetensors.h"
#include "io/shard_index.h"
#include "io/tensor_file.h"
#include "io/torch_file.h"
#include "moefy/base/error.h"

namespace moefy::io {
namespace {

namespace fs = std::filesystem;

// The layouts of a directory. The first whose index or single file is there is used; an index wins
// over a file.
struct Layout {
  const char* single;
  const char* index;
  std::string_view ending;  // of the names of shards
};
constexpr std::array<Layout, 2> kLayouts = {{
    {"model.safetensors", "model.safetensors.index.json", ".safetensors"},
    {"pytorch_model.bin", "pytorch_model.bin.index.json", ".bin"},
}};
const Layout& kSafetensors = kLayouts[0];

constexpr std::array<std::string_view, 4> kEndings = {".safetensors", ".bin", ".pt", ".pth"};

bool IsWeightsName(std::string_view name) {
  return std::ranges::any_of(kEndings, [&](auto ending) { return name.ends_with(ending); });
}

// "<anything>-00001-of-00002<ending>"
bool IsShardName(std::string_view name, std::string_view ending) {
  constexpr std::string_view kPattern = "-DDDDD-of-DDDDD";
  if (!name.ends_with(ending) || name.size() <= kPattern.size() + ending.size()) return false;
  name.remove_suffix(ending.size());
  name.remove_prefix(name.size() - kPattern.size());
  return std::equal(name.begin(), name.end(), kPattern.begin(), [](char c, char wanted) {
    return wanted == 'D' ? c >= '0' && c <= '9' : c == wanted;
  });
}

// The names of all entries of a directory, sorted.
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
  const std::string instead = HintOfDirectory(directory, names);
  const std::string looked_for = StrCat(directory, ": found neither ", kLayouts[0].single, " nor ",
                                        kLayouts[1].single, ", nor an index of either");
  // An adapter has a .safetensors file too, and so may a repository that is not checked out.
  if (names.contains("adapter_config.json")) throw InputError(looked_for, instead);
  for (const Layout& layout : kLayouts) {
    const auto shards =
        Matching(names, [&](const std::string& name) { return IsShardName(name, layout.ending); });
    if (shards.empty()) continue;
    throw InputError(looked_for, "; there are shards (", FirstOf(shards),
                     "), but the index that says what is in them is missing");
  }
  if (const auto others = Matching(names, IsWeightsName); !others.empty()) {
    throw InputError(looked_for, "; to read ", FirstOf(others), ", name the file itself");
  }
  if (!instead.empty()) throw InputError(looked_for, instead);
  throw InputError(looked_for,
                   "; a checkpoint is a directory with one of them, or one file that ends in ",
                   Join({kEndings.begin(), kEndings.end()}));
}

std::vector<std::shared_ptr<const TensorFile>> OpenShards(const fs::path& index_path,
                                                          const ShardIndex& index) {
  std::vector<std::shared_ptr<const TensorFile>> files;
  Problems problems;
  for (const auto& [shard, tensors] : index.shards) {
    try {
      files.push_back(OpenTensorFile(index_path.parent_path() / shard));
      CheckShard(index, shard, *files.back(), problems);
    } catch (const Error& error) {
      if (error.kind() != ErrorKind::kInput) throw;
      problems.Add(error.what());
    }
  }
  WithContext(index_path.string(), [&] { problems.ThrowIfAny(); });
  return files;
}

// The layout whose files `names` holds; null when there is none.
const Layout* FindLayout(const std::set<std::string>& names) {
  const auto found = std::ranges::find_if(kLayouts, [&](const Layout& layout) {
    return names.contains(layout.index) || names.contains(layout.single);
  });
  return found == kLayouts.end() ? nullptr : &*found;
}

// Whether an index's total_size is right. Tensors that share their bytes count once or each,
// depending on who wrote it.
bool IsTotalSize(const Json& total_size, const Checkpoint& checkpoint) {
  std::set<const std::byte*> seen;
  uint64_t distinct = 0;
  for (const std::string& name : checkpoint.TensorNames()) {
    const auto bytes = checkpoint.Bytes(name);
    if (seen.insert(bytes.data()).second) distinct += bytes.size();
  }
  return total_size == Json(checkpoint.TotalBytes()) || total_size == Json(distinct);
}

fs::path DirectoryOf(const fs::path& file) {
  return file.has_parent_path() ? file.parent_path() : fs::path(".");
}

}  // namespace

std::shared_ptr<const TensorFile> OpenTensorFile(const fs::path& path) {
  const std::string name = path.filename().string();
  if (name.ends_with(kSafetensors.ending)) return std::make_shared<SafetensorsFile>(path);
  if (name.ends_with(".npy")) return std::make_shared<NpyFile>(path);
  if (IsWeightsName(name)) return std::make_shared<TorchFile>(path);
  throw InputError(path, ": expected a file that ends in ",
                   Join({kEndings.begin(), kEndings.end()}), " or .npy", HintOfFile(name));
}

void Checkpoint::AddTensors() {
  for (size_t i = 0; i < files_.size(); ++i) {
    for (const TensorInfo& info : files_[i]->tensors()) {
      tensors_.emplace(info.name, std::pair(i, &info));
    }
    for (const std::string& warning : files_[i]->Warnings()) {
      warnings_.push_back(StrCat(files_[i]->path(), ": ", warning));
    }
  }
}

Checkpoint Checkpoint::FromFile(std::shared_ptr<const TensorFile> file) {
  Checkpoint checkpoint;
  checkpoint.directory_ = DirectoryOf(file->path());
  checkpoint.files_.push_back(std::move(file));
  checkpoint.AddTensors();
  return checkpoint;
}

Checkpoint Checkpoint::Open(const fs::path& path) {
  std::error_code ignored;  // whoever opens the file says what is wrong with it
  if (!fs::is_directory(path, ignored)) {
    if (!fs::exists(fs::symlink_status(path, ignored))) {
      throw InputError(path, ": no such file or directory", HintOfMissing(path));
    }
    if (path.filename().string().ends_with(".index.json")) {
      throw InputError(path, ": name the directory it is in, or a .safetensors file");
    }
    if (!IsWeightsName(path.filename().string())) {
      File::Open(path);  // this says so if there is none
      throw InputError(path, ": expected a directory or a file that ends in ",
                       Join({kEndings.begin(), kEndings.end()}),
                       HintOfFile(path.filename().string()));
    }
    return FromFile(OpenTensorFile(path));
  }

  const std::set<std::string> names = EntryNames(path);
  const Layout* layout = FindLayout(names);
  if (!layout) ThrowNoWeights(path, names);
  if (!names.contains(layout->index)) {
    Checkpoint checkpoint = FromFile(OpenTensorFile(path / layout->single));
    checkpoint.WarnOfStrays(names, layout->ending, {});
    checkpoint.WarnOfAdapter(names);
    return checkpoint;
  }

  const ShardIndex index = ReadShardIndex(path / layout->index, layout->ending);
  Checkpoint checkpoint;
  checkpoint.directory_ = path;
  checkpoint.index_name_ = layout->index;
  checkpoint.files_ = OpenShards(path / layout->index, index);
  checkpoint.AddTensors();
  std::vector<std::string>& warnings = checkpoint.warnings_;
  if (names.contains(layout->single)) {
    warnings.push_back(StrCat(path, ": has both ", layout->single, " and ", layout->index,
                              "; the shards of the index are used"));
  }
  std::set<std::string> shards;
  for (const auto& [shard, tensors] : index.shards) shards.insert(shard);
  checkpoint.WarnOfStrays(names, layout->ending, shards);
  checkpoint.WarnOfAdapter(names);
  if (!index.total_size.is_null() && !IsTotalSize(index.total_size, checkpoint)) {
    warnings.push_back(StrCat(path / layout->index, ": total_size is ",
                              Quoted(index.total_size.dump()), ", but the tensors have ",
                              checkpoint.TotalBytes(), " bytes"));
  }
  return checkpoint;
}

void Checkpoint::WarnOfStrays(const std::set<std::string>& names, std::string_view ending,
                              const std::set<std::string>& shards) {
  const auto strays = Matching(names, [&](const std::string& name) {
    return IsShardName(name, ending) && !shards.contains(name);
  });
  if (strays.empty()) return;
  warnings_.push_back(
      StrCat(directory_, ": ignored, because no index names them: ", FirstOf(strays)));
}

void Checkpoint::WarnOfAdapter(const std::set<std::string>& names) {
  if (!names.contains("adapter_config.json")) return;
  warnings_.push_back(
      StrCat(directory_, ": the adapter beside the weights (adapter_config.json) is not applied"));
}

bool Checkpoint::is_safetensors() const {
  return std::ranges::none_of(files_, [](const auto& file) { return file->HeaderBytes().empty(); });
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
  return files_[tensors_.find(name)->second.first]->Bytes(info);
}

std::string Checkpoint::Fingerprint(Progress& progress) const {
  const std::lock_guard lock(kept_->mutex);
  if (kept_->fingerprint.empty()) kept_->fingerprint = TensorsFingerprint(*this, progress);
  return kept_->fingerprint;
}

const std::string& Checkpoint::ConfigText() const {
  const std::lock_guard lock(kept_->mutex);
  if (!kept_->config_text) kept_->config_text = ReadJsonText(ConfigPath());
  return *kept_->config_text;
}

std::shared_ptr<const TensorFile> Checkpoint::Beside(const std::string& name) const {
  const std::lock_guard lock(kept_->mutex);
  const auto found = kept_->beside.find(name);
  if (found != kept_->beside.end()) return found->second;
  std::error_code ignored;
  if (!fs::exists(directory_ / name, ignored)) return nullptr;
  auto file = std::make_shared<const SafetensorsFile>(directory_ / name);
  return kept_->beside.emplace(name, std::move(file)).first->second;
}

uint64_t Checkpoint::TotalBytes() const {
  uint64_t total = 0;
  for (const auto& [name, place] : tensors_) total += place.second->num_bytes();
  return total;
}

}  // namespace moefy::io
