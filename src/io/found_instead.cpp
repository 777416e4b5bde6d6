#include "io/found_instead.h"

#include <algorithm>
#include <array>
#include <string_view>
#include <vector>

#include "base/json.h"
#include "base/output.h"
#include "moefy/base/error.h"

namespace moefy::io {
namespace {

namespace fs = std::filesystem;

struct Format {
  std::string_view ending;
  std::string_view what;
  std::string_view advice;
};
constexpr std::string_view kNoReader =
    "which moefy does not read; use the checkpoint that it was made from";
constexpr std::array<Format, 9> kFormats = {{
    {".gguf", "GGUF (llama.cpp's)",
     "which moefy does not read; use the checkpoint that it was made from, or save it as one: in "
     "Python, AutoModelForCausalLM.from_pretrained(DIRECTORY, gguf_file=NAME)"
     ".save_pretrained(OUT)"},
    {".h5", "TensorFlow weights",
     "which moefy does not read; save them as safetensors: in Python with transformers 4, "
     "AutoModel...from_pretrained(DIRECTORY, from_tf=True).save_pretrained(OUT)"},
    {".msgpack", "Flax weights",
     "which moefy does not read; save them as safetensors: in Python with transformers 4, "
     "AutoModel...from_pretrained(DIRECTORY, from_flax=True).save_pretrained(OUT)"},
    {".ckpt.index", "a TensorFlow checkpoint",
     "which moefy does not read; transformers 4 has a script per family that converts it "
     "(convert_..._original_tf_checkpoint_to_pytorch.py)"},
    {".ckpt", "a TensorFlow or Lightning checkpoint",
     "which moefy does not read; save its state dict alone with torch.save"},
    {".onnx", "an ONNX graph", kNoReader},
    {".ot", "weights of rust-bert", kNoReader},
    {".tflite", "a TensorFlow Lite model", kNoReader},
    {".npz", "a NumPy archive", "which moefy does not read; save its arrays as safetensors"},
}};

// Whether a name has only letters, digits and "._-".
bool IsHubName(std::string_view text) {
  const auto fits = [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '.' ||
           c == '_' || c == '-';
  };
  return !text.empty() && text.front() != '.' && std::all_of(text.begin(), text.end(), fits);
}

// Directories in `directory`, sorted.
std::vector<std::string> Subdirectories(const fs::path& directory) {
  std::vector<std::string> names;
  std::error_code code;
  for (fs::directory_iterator it(directory, code), end; !code && it != end; it.increment(code)) {
    std::error_code ignored;
    if (it->is_directory(ignored)) names.push_back(it->path().filename().string());
  }
  std::sort(names.begin(), names.end());
  return names;
}

// Returns "main" or the like, as the cache's refs say, or "" if they say nothing.
std::string RefOf(const fs::path& repository, const std::string& snapshot) {
  std::error_code code;
  for (fs::directory_iterator it(repository / "refs", code), end; !code && it != end;
       it.increment(code)) {
    std::error_code ignored;
    if (it->is_regular_file(ignored) && Trim(ReadTextFile(it->path())) == snapshot) {
      return StrCat(" (", it->path().filename().string(), ")");
    }
  }
  return "";
}

std::string HintOfSnapshots(const fs::path& repository) {
  std::vector<std::string> shown;
  for (const std::string& snapshot : Subdirectories(repository / "snapshots")) {
    shown.push_back((repository / "snapshots" / snapshot).string() + RefOf(repository, snapshot));
  }
  if (shown.empty()) return "; this is a repository in the hub's cache, without any snapshot";
  return StrCat("; this is a repository in the hub's cache: name one of its snapshots, ",
                Join(shown));
}

std::string HintOfAdapter(const fs::path& directory) {
  std::string base = "BASE";
  try {
    const Json json = ReadJsonFile(directory / "adapter_config.json");
    base = JsonObject(json, "adapter_config.json").GetString("base_model_name_or_path", base);
  } catch (const Error&) {  // a hint must not fail
  }
  return StrCat("; this is an adapter (LoRA or another of PEFT's) of ", Quoted(base),
                ", not a model: merge it, in Python, PeftModel.from_pretrained(AutoModel...",
                "from_pretrained(", Quoted(base), "), ", directory,
                ").merge_and_unload().save_pretrained(OUT)");
}

}  // namespace

std::string HintOfMissing(const fs::path& path) {
  const std::vector<std::string> parts = Split(path.string(), '/');
  std::error_code ignored;
  if (parts.size() != 2 || !IsHubName(parts[0]) || !IsHubName(parts[1]) ||
      fs::exists(parts[0], ignored) || !HintOfFile(parts[1]).empty()) {
    return "";
  }
  return StrCat(
      "; moefy reads directories and downloads nothing: if this is a repository of the "
      "hub, get it with `hf download ",
      path.string(), " --local-dir ", parts[1], "` and name ", parts[1]);
}

std::string HintOfFile(const std::string& name) {
  for (const Format& format : kFormats) {
    if (name.ends_with(format.ending)) {
      return StrCat("; ", Quoted(name), " is ", format.what, ", ", format.advice);
    }
  }
  return "";
}

std::string HintOfDirectory(const fs::path& directory, const std::set<std::string>& names) {
  if (names.contains("adapter_config.json")) return HintOfAdapter(directory);
  if (names.contains("snapshots") && (names.contains("refs") || names.contains("blobs"))) {
    return HintOfSnapshots(directory);
  }
  std::vector<std::string> repositories;
  for (const std::string& name : names) {
    if (name.starts_with("models--")) repositories.push_back(Quoted(name));
  }
  if (!repositories.empty()) {
    return StrCat("; this is the hub's cache: name a snapshot in one of its repositories, ",
                  Join(repositories), " (REPOSITORY/snapshots/HASH)");
  }
  for (const Format& format : kFormats) {  // the most useful advice first
    for (const std::string& name : names) {
      if (name.ends_with(format.ending)) return HintOfFile(name);
    }
  }
  return "";
}

}  // namespace moefy::io
