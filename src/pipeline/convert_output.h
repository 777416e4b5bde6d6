// The directory that a conversion fills: checks it, and remembers which stages are done in it.
#pragma once

#include <filesystem>
#include <functional>
#include <string>
#include <vector>

#include "base/json.h"
#include "base/output.h"

namespace moefy::pipeline {

inline constexpr const char* kStages = "stages.json";
inline constexpr const char* kPaths = "paths";             // of a stage in it
inline constexpr const char* kRecipeFile = "recipe.json";  // of a model that had none
inline constexpr const char* kInspectFile = "inspect.json";
inline constexpr const char* kChoiceFile = "choice.json";
inline constexpr const char* kResultsFile = "results.json";
inline constexpr const char* kEvalFile = "eval.json";
inline constexpr const char* kReportFile = "report.txt";

// Makes the directory, or accepts that of an earlier conversion. Throws Error{kUsage} for any other
// directory that is there, and for one that is not apart from `inputs`.
void PrepareOutput(const std::filesystem::path& out, const InputPaths& inputs);

// A stage: what its result depends on (pipeline/stage_key.h), where that lay, and what it makes.
struct Stage {
  std::string name;
  Json inputs;
  Json paths;  // for people: the same stage may find its inputs elsewhere
  std::filesystem::path output;
  std::function<void()> run;
  std::function<void()> read;  // throws Error{kInput} unless the output is what the stage makes
};

// Says why what a stage made earlier is of no use any more; "" when it is.
std::string WhyNotKept(const Stage& stage);

// Remembers, per stage, what it was made from.
class StageRecords {
 public:
  // Reads the file, unless `redo` asks to do everything again, and writes it, so that the directory
  // is known as a conversion's. In it these stages come first, whatever was done when. Throws
  // Error{kInput} for a file of anything else.
  StageRecords(std::filesystem::path file, const std::vector<Stage>& stages, bool redo);
  bool Matches(const std::string& stage, const Json& inputs) const;
  void Store(const Stage& stage);
  void Drop(const std::string& stage);

 private:
  void Write() const;

  std::filesystem::path file_;
  std::vector<std::string> order_;
  Json records_ = Json::object();
};

// Reads eval.json. Throws Error{kInput} unless it holds a list of reports.
Json ReadReports(const std::filesystem::path& file);

}  // namespace moefy::pipeline
