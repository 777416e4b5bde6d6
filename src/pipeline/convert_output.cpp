#include "pipeline/convert_output.h"

#include "base/own_output.h"
#include "moefy/base/error.h"

namespace moefy::pipeline {
namespace {

// Whether a directory holds nothing but what a conversion writes before its list of stages.
bool IsJustBegun(const std::filesystem::path& directory) {
  for (const auto& entry : std::filesystem::directory_iterator(directory)) {
    const std::string name = entry.path().filename().string();
    if (name != kLockFile && name != kInspectFile && name != kRecipeFile && name != kResultsFile &&
        !IsStagingName(name)) {
      return false;
    }
  }
  return true;
}

}  // namespace

void PrepareOutput(const std::filesystem::path& out, const InputPaths& inputs) {
  namespace fs = std::filesystem;
  CheckApart(out, inputs);
  std::error_code code;
  fs::path existing = out;  // the directory, or the nearest around it that is there
  while (!existing.empty() && !fs::exists(existing, code) && existing.has_relative_path()) {
    existing = existing.parent_path();
  }
  if (!existing.empty() && fs::exists(existing, code) && !fs::is_directory(existing, code)) {
    throw UsageError("output ", out, ": ", existing, " is not a directory");
  }
  if (fs::exists(out, code) && !fs::exists(out / kStages, code) && !IsJustBegun(out)) {
    throw UsageError(out, " exists and is not the output of a conversion (it has no ", kStages,
                     "); choose another --out");
  }
  fs::create_directories(out, code);
  if (code) throw SystemError(code.value(), out, ": cannot be created");
}

std::string WhyNotKept(const Stage& stage) {
  std::error_code ignored;
  if (!std::filesystem::exists(stage.output, ignored)) return StrCat(stage.output, " is missing");
  if (std::filesystem::is_directory(stage.output, ignored)) {
    const std::string why = WhyNotWhole(stage.output);
    if (!why.empty()) return StrCat(stage.output, ": ", why);
  }
  try {
    stage.read();
  } catch (const Error& error) {
    if (error.kind() != ErrorKind::kInput) throw;
    return error.what();
  }
  return "";
}

StageRecords::StageRecords(std::filesystem::path file, const std::vector<Stage>& stages, bool redo)
    : file_(std::move(file)) {
  for (const Stage& stage : stages) order_.push_back(stage.name);
  if (!redo && std::filesystem::exists(file_)) records_ = ReadJsonFile(file_);
  if (!records_.is_object()) {
    throw InputError(file_,
                     ": expected an object with an entry per stage; remove the file, or "
                     "give --force, to do every stage again");
  }
  Write();
}

bool StageRecords::Matches(const std::string& stage, const Json& inputs) const {
  const auto found = records_.find(stage);
  if (found == records_.end() || !found->is_object()) return false;
  Json record = *found;
  record.erase(kPaths);
  return record == inputs;
}

void StageRecords::Store(const Stage& stage) {
  Json& record = records_[stage.name] = stage.inputs;
  if (!stage.paths.empty()) record[kPaths] = stage.paths;
  Write();
}

void StageRecords::Drop(const std::string& stage) {
  if (records_.erase(stage) > 0) Write();
}

void StageRecords::Write() const {
  Json ordered = Json::object();
  for (const std::string& stage : order_) {
    if (records_.contains(stage)) ordered[stage] = records_.at(stage);
  }
  for (const auto& [stage, record] : records_.items()) {
    if (!ordered.contains(stage)) ordered[stage] = record;
  }
  WriteTextFile(file_, FormatJson(ordered), IfExists::kRenew);
}

Json ReadReports(const std::filesystem::path& file) {
  Json reports = ReadJsonFile(file);
  bool is_list = reports.is_array() && !reports.empty();
  for (const Json& report : reports) {
    is_list = is_list && report.is_object() && report.contains("failures") &&
              report.at("failures").is_array();
  }
  if (!is_list) throw InputError(file, ": expected a list of reports");
  return reports;
}

}  // namespace moefy::pipeline
