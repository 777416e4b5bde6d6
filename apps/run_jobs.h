// Runs jobs, each in a process of its own: some at a time in this process, or dealt out among the
// ranks of an MPI run, whoever is free the next.
// Thread-safety: one owner, the main thread.
#pragma once

#include <filesystem>
#include <string>
#include <vector>

#include "base/json.h"

namespace moefy::apps {

struct Job {
  std::string name;
  std::vector<std::string> arguments;  // of this program
};

struct JobsRequest {
  std::vector<Job> jobs;
  int64_t at_once = 1;      // on each rank; the jobs share its threads
  bool keep_going = false;  // else none is begun after one that ended with an error
  bool quiet = false;
  // Where the ranks of an MPI run leave word for each other; only then, made here and removed.
  std::filesystem::path directory;
};

// What became of a job.
struct JobEnd {
  enum class State { kNotRun, kEnded } state = State::kNotRun;
  int exit_code = 0;
  std::string error;  // "" for none
  std::string text;   // for people
  double seconds = 0;
};

inline constexpr int kGateSaysNo = 1;  // the exit code of a job that is no error

// In the order of the jobs. For rank 0.
std::vector<JobEnd> RunJobs(const JobsRequest& request);

// What RunJobs announces to the other ranks, and what they do about it.
inline constexpr const char* kJobsStage = "jobs";
void ServeJobs(const Json& announced);

}  // namespace moefy::apps
