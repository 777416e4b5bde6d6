// The conversions of one command: each in a directory of its own, alone in this process or some at
// a time in processes of their own. What became of them goes to stdout, results.json and JUnit XML.
// Thread-safety: one owner, the main thread.
#pragma once

#include <filesystem>
#include <string>
#include <vector>

#include "command.h"
#include "convert_options.h"
#include "pipeline/recipe.h"

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

// What became of a job.
struct JobEnd {
  std::string name;
  std::filesystem::path out;
  enum class State { kNotRun, kEnded } state = State::kNotRun;
  int exit_code = 0;
  std::string error;  // "" for none
  std::string text;   // for people
  double seconds = 0;
};

// Runs the jobs, `at_once` at a time. Unless it is to keep going, none is begun after one that
// ended with an error; gates that say no are none.
std::vector<JobEnd> RunJobs(const std::vector<ConvertJob>& jobs, size_t at_once, bool keep_going,
                            const Context& context);

// The first exit code that is an error; else 1 if a gate said no; else 0.
int ExitCodeOf(const std::vector<JobEnd>& ends);

// The table of many jobs, for people.
std::string DescribeJobs(const std::vector<JobEnd>& ends);

// A job for programs: its end, and what results.json and eval.json in its directory say.
Json JobToJson(const JobEnd& end);

}  // namespace moefy::apps
