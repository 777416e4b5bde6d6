#include "convert_jobs.h"

#include <algorithm>
#include <csignal>
#include <cstdio>

#include "base/table.h"
#include "bench/machine.h"
#include "child_processes.h"
#include "moefy/base/error.h"
#include "pipeline/convert_output.h"
#include "pipeline/results.h"

namespace moefy::apps {
namespace {

constexpr int kGateSaysNo = 1;
constexpr int kSignalled = 128;

// A process that a signal ended: by SIGKILL for lack of memory, as a rule, else by a bug.
int AsExitCode(int code) {
  if (code == kSignalled + SIGKILL) return kExitSystem;
  return code > kSignalled && code != kExitInterrupted ? kExitBug : code;
}

// The document in a job's directory; null where there is none.
Json ReadIfThere(const std::filesystem::path& file) {
  std::error_code ignored;
  return std::filesystem::exists(file, ignored) ? ReadJsonFile(file) : Json();
}

const char* StateInWords(const JobEnd& end) {
  if (end.state == JobEnd::State::kNotRun) return "not run";
  if (end.exit_code == 0) return "done";
  return end.exit_code == kGateSaysNo ? "gate says no" : "error";
}

}  // namespace

std::vector<JobEnd> RunJobs(const std::vector<ConvertJob>& jobs, size_t at_once, bool keep_going,
                            const Context& context) {
  std::vector<JobEnd> ends;
  std::vector<std::vector<std::string>> commands;
  at_once = std::min(at_once, jobs.size());
  const int64_t threads = std::max<int64_t>(1, bench::NumThreads() / static_cast<int64_t>(at_once));
  for (const ConvertJob& job : jobs) {
    ends.push_back({job.name, job.out, JobEnd::State::kNotRun, 0, "", "", 0});
    commands.push_back(job.arguments);
    commands.back().insert(commands.back().end(), {"--threads", std::to_string(threads)});
  }
  const bool quiet = context.common.quiet;
  ChildWatch watch;
  watch.on_start = [&](size_t i) {
    if (!quiet) std::fprintf(stderr, "[%zu/%zu] %s\n", i + 1, jobs.size(), jobs[i].name.c_str());
  };
  watch.on_line = [&](size_t i, std::string_view line) {
    const std::string from = at_once > 1 ? "[" + jobs[i].name + "] " : "";
    std::fprintf(stderr, "%s%.*s\n", from.c_str(), static_cast<int>(line.size()), line.data());
  };
  watch.on_end = [&](size_t i, const ChildEnd& end) {
    ends[i].state = JobEnd::State::kEnded;
    ends[i].exit_code = AsExitCode(end.exit_code);
    ends[i].error = ends[i].exit_code > kGateSaysNo ? end.error : "";
    ends[i].text = end.output;
    ends[i].seconds = end.seconds;
    return keep_going || ends[i].exit_code <= kGateSaysNo;
  };
  RunChildren(commands, at_once, watch);
  return ends;
}

int ExitCodeOf(const std::vector<JobEnd>& ends) {
  int exit_code = 0;
  for (const JobEnd& end : ends) {
    if (end.exit_code > kGateSaysNo) return end.exit_code;
    exit_code = std::max(exit_code, end.exit_code);
  }
  return exit_code;
}

std::string DescribeJobs(const std::vector<JobEnd>& ends) {
  std::string out;
  std::vector<std::vector<std::string>> rows;
  for (const JobEnd& end : ends) {
    if (!end.text.empty()) out += StrCat("== ", end.name, "\n", end.text, "\n");
    rows.push_back({end.name, StateInWords(end),
                    end.state == JobEnd::State::kEnded ? FormatDuration(end.seconds) : "",
                    end.error});
  }
  return out + FormatTable({"job", "", "time", ""}, rows);
}

Json JobToJson(const JobEnd& end) {
  Json json = {{"name", end.name},
               {"out", end.out.string()},
               {"exit_code", end.state == JobEnd::State::kEnded ? Json(end.exit_code) : Json()},
               {"error", end.error.empty() ? Json() : Json(end.error)},
               {"seconds", end.seconds}};
  if (end.state == JobEnd::State::kNotRun) return json;
  const Json results = ReadIfThere(end.out / pipeline::kResultsFile);
  if (!results.is_object()) return json;
  json["stages"] = results.at("timings").at("stages");
  if (end.exit_code > kGateSaysNo) return json;
  json["reports"] = ReadIfThere(end.out / pipeline::kEvalFile);
  for (const char* key : {"choice", "tried"}) {
    if (results.contains(key)) json[key] = results.at(key);
  }
  return json;
}

}  // namespace moefy::apps
