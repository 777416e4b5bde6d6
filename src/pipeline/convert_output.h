// The directory that a conversion fills: which may be one, and which stages are done in it.
#pragma once

#include <filesystem>
#include <functional>
#include <string>

#include "moefy/base/json.h"
#include "moefy/base/output.h"

namespace moefy::pipeline {

inline constexpr const char* kStages = "stages.json";
inline constexpr const char* kInspectFile = "inspect.json";
inline constexpr const char* kEvalFile = "eval.json";
inline constexpr const char* kReportFile = "report.txt";

// Makes the directory, or accepts that of an earlier conversion. Error{kUsage} for any other that
// is there, or one that is not apart from `inputs`.
void PrepareOutput(const std::filesystem::path& out, const InputPaths& inputs);

// A stage with what it is made from (options and fingerprints) and what it makes.
struct Stage {
  std::string name;
  Json inputs;
  std::filesystem::path output;
  std::function<void()> run;
  std::function<void()> read;  // Error{kInput} where the output is not what the stage makes
};

// Why what a stage made earlier is no longer of use; "" when it is.
std::string WhyNotKept(const Stage& stage);

// Remembers, per stage, what it was made from.
class StageRecords {
 public:
  // Reads the file, unless everything is to be done again, and writes it: what follows is known as
  // a conversion's. Error{kInput} for a file of anything else.
  StageRecords(std::filesystem::path file, bool redo);
  bool Matches(const std::string& stage, const Json& inputs) const;
  void Store(const std::string& stage, const Json& inputs);

 private:
  void Write() const;

  std::filesystem::path file_;
  Json records_ = Json::object();
};

// Of eval.json. Error{kInput} unless it holds a list of reports.
Json ReadReports(const std::filesystem::path& file);

}  // namespace moefy::pipeline
