// The conversions of one command, each in a directory of its own: which there are, and what became
// of them, for stdout, results.json and JUnit XML.
// Thread-safety: one owner, the main thread.
#pragma once

#include <filesystem>
#include <string>
#include <vector>

#include "command.h"
#include "convert_options.h"
#include "pipeline/recipe.h"
#include "run_jobs.h"

namespace moefy::apps {

struct ConvertJob {
  std::string name;  // "t5-split.expert_size=8"; before it "FILE/" where there are several files
  pipeline::Recipe recipe;
  std::filesystem::path out;
  std::vector<std::string> arguments;  // of this program, to run this job alone
};

// Whether what the command got is a checkpoint in place of a recipe.
bool IsCheckpoint(const std::filesystem::path& path);

// The jobs of all recipe files, without those that --only leaves out. Throws Error{kUsage}.
std::vector<ConvertJob> ReadJobs(const ConvertOptions& options, const CommonOptions& common);

// What became of one.
struct ConvertEnd : JobEnd {
  std::string name;
  std::filesystem::path out;
};

// Each in a process of its own; `out` is the directory that has theirs. Unless it is to keep going,
// none is begun after one that ended with an error; gates that say no are none. Leaves
// results.json in `out`.
std::vector<ConvertEnd> RunConversions(const std::vector<ConvertJob>& jobs,
                                       const ConvertOptions& options, const Context& context);

// The first exit code that is an error; else 1 if a gate said no; else 0.
int ExitCodeOf(const std::vector<ConvertEnd>& ends);

// The table of many conversions, for people.
std::string DescribeConversions(const std::vector<ConvertEnd>& ends);

// A conversion for programs: its end, and what results.json and eval.json in its directory say.
Json ConversionToJson(const ConvertEnd& end);

}  // namespace moefy::apps
