#include "split/side_files.h"

#include <algorithm>
#include <set>

#include "base/file.h"
#include "base/output.h"
#include "moefy/base/error.h"

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

// Whether a folder describes a module that sentence-transformers puts after a model: "1_Pooling".
bool IsModule(const fs::path& path) {
  const std::string name = path.filename().string();
  std::error_code ignored;
  return name.size() > 2 && name[0] >= '0' && name[0] <= '9' && name[1] == '_' &&
         fs::is_regular_file(path / kConfig, ignored);
}

}  // namespace

void WriteConfigText(const fs::path& directory, const std::string& config) {
  if (!config.empty()) WriteTextFile(directory / kConfig, config, IfExists::kRefuse);
}

SideFiles FindSideFiles(const io::Checkpoint& checkpoint) {
  SideFiles found;
  std::set<fs::path> paths;  // sorted, so that warnings come in the same order everywhere
  try {
    for (const auto& entry : fs::directory_iterator(checkpoint.directory())) {
      paths.insert(entry.path());
    }
  } catch (const fs::filesystem_error& error) {
    throw SystemError(error.code().value(), checkpoint.directory(), ": cannot be listed");
  }
  for (const fs::path& path : paths) {
    const std::string name = path.filename().string();
    std::error_code ignored;
    if (fs::is_symlink(path, ignored) && !fs::exists(path, ignored)) {
      if (name.starts_with(".") || IsWeights(name)) continue;
      File::Open(path);  // throws and says where the link leads
    }
    if (IsModule(path)) {
      found.names.push_back(fs::path(name) / kConfig);
      continue;
    }
    if (name == kConfig || name.starts_with(".") || name.starts_with("moefy.") || IsWeights(name) ||
        !fs::is_regular_file(path, ignored)) {
      continue;
    }
    if (const uint64_t num_bytes = fs::file_size(path, ignored); num_bytes > kMaxSideFileBytes) {
      found.warnings.push_back(StrCat(Quoted(name), " was not copied: ", FormatBytes(num_bytes),
                                      " is over ", FormatBytes(kMaxSideFileBytes)));
      continue;
    }
    found.names.push_back(name);
  }
  return found;
}

std::vector<std::string> CopySideFiles(const io::Checkpoint& from, const fs::path& directory) {
  SideFiles files = FindSideFiles(from);
  for (const fs::path& name : files.names) {
    std::error_code ignored;
    if (name.has_parent_path()) fs::create_directory(directory / name.parent_path(), ignored);
    CopyFile(from.directory() / name, directory / name);
  }
  return std::move(files.warnings);
}

}  // namespace moefy::split
