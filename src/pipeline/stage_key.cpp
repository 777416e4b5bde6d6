#include "pipeline/stage_key.h"

#include <set>

#include "io/fingerprint.h"
#include "moefy/base/strings.h"
#include "pipeline/task_data.h"
#include "split/side_files.h"

namespace moefy::pipeline {
namespace {

bool SaysWhere(const std::string& option) {
  static const std::set<std::string> kPaths = {"checkpoint", "data",  "dense", "dump",
                                               "model",      "moe",   "out",   "parts",
                                               "samples",    "shard", "task",  "text"};
  return kPaths.contains(option);
}

}  // namespace

Json WithoutPaths(const Json& options) {
  Json kept = Json::object();
  for (const auto& [name, value] : options.items()) {
    if (!SaysWhere(name)) kept[name] = value;
  }
  return kept;
}

Json OnlyPaths(const Json& options, const std::filesystem::path& out) {
  const std::filesystem::path its_place = (out / "x").parent_path();  // "out" of "out/" too
  Json paths = Json::object();
  for (const auto& [name, value] : options.items()) {
    if (!SaysWhere(name) || value.empty() || value == "") continue;
    const std::string first = value.is_array() ? value.front() : value;
    if (std::filesystem::path(first).parent_path() != its_place) paths[name] = value;
  }
  return paths;
}

Json InputKeys::OfModel(const io::Checkpoint& model) {
  Json beside = Json::object();
  for (const std::filesystem::path& name : split::FindSideFiles(model).names) {
    beside[name.string()] = io::FileFingerprint(model.directory() / name);
  }
  return Json::array({model.Fingerprint(), io::TextFingerprint(model.ConfigText()), beside});
}

const std::string& InputKeys::OfFile(const std::filesystem::path& file) {
  std::string& fingerprint = files_[file.lexically_normal()];
  if (fingerprint.empty()) fingerprint = io::FileFingerprint(file);
  return fingerprint;
}

std::string InputKeys::OfTask(const std::string& task_file, const std::string& split,
                              const std::string& data) {
  const task::TaskSpec spec = task::ReadTaskSpec(task_file);
  std::string key = OfFile(spec.file);
  for (const std::filesystem::path& file : spec.GetSplit(split).Files(spec.format)) {
    key += "-" + OfFile(DataDirectory(spec, data) / file);
  }
  return key;
}

Json InputKeys::OfTasks(const std::vector<std::string>& task_files, const std::string& split,
                        const std::string& data) {
  Json keys = Json::array();
  for (const std::string& file : task_files) keys.push_back(OfTask(file, split, data));
  return keys;
}

std::string InputKeys::OfText(const std::string& text_file) {
  if (text_file.empty()) return "";
  return StrCat(OfFile(text_file), "-", std::filesystem::path(text_file).filename());
}

}  // namespace moefy::pipeline
