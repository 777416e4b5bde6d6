#include "train/training_state.h"

#include "base/own_output.h"
#include "base/staging.h"
#include "moefy/base/error.h"
#include "moefy/io/checkpoint.h"

namespace moefy::train {
namespace {

constexpr const char* kTensors = "state.safetensors";
constexpr const char* kProgress = "state.json";
constexpr int kFormat = 1;

// "learning_rate was 0.1 and is 0.2"
std::vector<std::string> Differences(const Json& was, const Json& is) {
  std::vector<std::string> differences;
  for (const auto& [key, value] : is.items()) {
    const Json before = was.contains(key) ? was.at(key) : Json();
    if (before != value) {
      differences.push_back(StrCat(key, " was ", before.dump(), " and is ", value.dump()));
    }
  }
  return differences;
}

}  // namespace

void SaveState(const std::filesystem::path& directory, const TrainingState& state,
               const Json& identity) {
  StagedDirectory staged(directory, IfExists::kRenew);
  model::WriteTensors(state.tensors, staged.path() / kTensors);
  WriteTextFile(
      staged.path() / kProgress,
      FormatJson({{"format", kFormat}, {"identity", identity}, {"progress", state.progress}}),
      IfExists::kRefuse);
  staged.Commit();
}

void RemoveState(const std::filesystem::path& directory) {
  std::error_code ignored;
  if (!std::filesystem::exists(directory, ignored)) return;
  if (WhyNotOwn(directory, /*changed_too=*/true).empty()) RemoveOutput(directory);
}

std::optional<TrainingState> LoadState(const std::filesystem::path& directory, const Json& identity,
                                       IfExists if_other) {
  std::error_code ignored;
  if (!std::filesystem::exists(directory / kProgress, ignored)) return std::nullopt;
  const bool replaces = if_other != IfExists::kRefuse;
  Json json;
  try {
    json = ReadJsonFile(directory / kProgress);
    const JsonObject object(json, (directory / kProgress).string());
    object.GetInt("format", kFormat, kFormat);
  } catch (const Error& error) {
    if (error.kind() != ErrorKind::kInput) throw;
    if (replaces) return std::nullopt;
    throw InputError(error.what(), "; it is the state of a training: remove ", directory,
                     ", or give --force, to begin anew");
  }
  if (const auto differences = Differences(json.value("identity", Json()), identity);
      !differences.empty()) {
    if (replaces) return std::nullopt;
    throw UsageError(directory, " holds a training that was begun with other options or data (",
                     Join(differences), "); give the same ones to go on, or --force to begin anew");
  }
  TrainingState state;
  state.progress = json.value("progress", Json::object());
  const io::Checkpoint tensors = io::Checkpoint::Open(directory / kTensors);
  for (const std::string& name : tensors.TensorNames()) {
    state.tensors.emplace(name, model::ReadTensor(tensors, name));
  }
  return state;
}

}  // namespace moefy::train
