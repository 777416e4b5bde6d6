#include "run_jobs.h"

#include <algorithm>
#include <csignal>
#include <cstdio>
#include <functional>

#include "base/claims.h"
#include "base/output.h"
#include "base/ranks.h"
#include "bench/machine.h"
#include "child_processes.h"
#include "command.h"
#include "moefy/base/error.h"

namespace moefy::apps {
namespace {

namespace fs = std::filesystem;

constexpr int kSignalled = 128;

// A process that a signal ended: by SIGKILL for lack of memory, as a rule, else by a bug.
int AsExitCode(int code) {
  if (code == kSignalled + SIGKILL) return kExitSystem;
  return code > kSignalled && code != kExitInterrupted ? kExitBug : code;
}

// How jobs are shared with other processes; nothing is set where they are not.
struct Sharing {
  std::function<bool(size_t)> take;  // false: the job is another's, or is not to be begun
  std::function<void(size_t, const JobEnd&)> tell;
};

// Runs those of the jobs that `sharing` gives to this process.
std::vector<JobEnd> RunHere(const JobsRequest& request, const Sharing& sharing) {
  const size_t at_once = std::min<size_t>(request.at_once, request.jobs.size());
  const int64_t threads = std::max<int64_t>(1, bench::NumThreads() / static_cast<int64_t>(at_once));
  std::vector<std::vector<std::string>> commands;
  for (const Job& job : request.jobs) {
    commands.push_back(job.arguments);
    commands.back().insert(commands.back().end(), {"--threads", std::to_string(threads)});
  }
  std::vector<JobEnd> ends(request.jobs.size());
  const size_t num_jobs = request.jobs.size();
  const bool mixed = at_once > 1 || sharing.take;  // lines of several jobs
  ChildWatch watch;
  watch.on_start = [&](size_t i) {
    if (sharing.take && !sharing.take(i)) return false;
    if (!request.quiet) {
      std::fprintf(stderr, "[%zu/%zu] %s\n", i + 1, num_jobs, request.jobs[i].name.c_str());
    }
    return true;
  };
  watch.on_line = [&](size_t i, std::string_view line) {
    const std::string from = mixed ? "[" + request.jobs[i].name + "] " : "";
    std::fprintf(stderr, "%s%.*s\n", from.c_str(), static_cast<int>(line.size()), line.data());
  };
  watch.on_end = [&](size_t i, const ChildEnd& child) {
    const int exit_code = AsExitCode(child.exit_code);
    const bool failed = exit_code > kGateSaysNo;
    ends[i] = {JobEnd::State::kEnded, exit_code, failed ? child.error : "", child.output,
               child.seconds};
    if (sharing.tell) sharing.tell(i, ends[i]);
    return request.keep_going || !failed;
  };
  RunChildren(commands, at_once, watch);
  return ends;
}

// The directory in which ranks claim jobs, and tell how those ended that they ran.
class SharedJobs {
 public:
  SharedJobs(const JobsRequest& request, const std::string& run)
      : directory_(request.directory), keep_going_(request.keep_going), claims_(directory_, run) {}

  Sharing Share() const {
    return {[this](size_t i) { return !fs::exists(StopFile()) && claims_.Take(i); },
            [this](size_t i, const JobEnd& end) {
              const Json json = {{"exit_code", end.exit_code},
                                 {"error", end.error},
                                 {"text", end.text},
                                 {"seconds", end.seconds}};
              WriteTextFile(EndFile(i), FormatJson(json), IfExists::kRenew);
              if (end.exit_code > kGateSaysNo && !keep_going_) {
                WriteTextFile(StopFile(), "", IfExists::kRenew);
              }
            }};
  }
  // Every rank has done its part.
  std::vector<JobEnd> Collect(size_t num_jobs) const {
    std::vector<JobEnd> ends(num_jobs);
    for (size_t i = 0; i < num_jobs; ++i) {
      if (!fs::exists(EndFile(i))) continue;
      const Json json = ReadJsonFile(EndFile(i));
      ends[i] = {JobEnd::State::kEnded, json.at("exit_code"), json.at("error"), json.at("text"),
                 json.at("seconds")};
    }
    return ends;
  }

 private:
  fs::path EndFile(size_t i) const { return directory_ / StrCat(i, ".json"); }
  fs::path StopFile() const { return directory_ / "stop"; }

  fs::path directory_;
  bool keep_going_;
  Claims claims_;
};

Json Announcement(const JobsRequest& request, const std::string& run) {
  Json jobs = Json::array();
  for (const Job& job : request.jobs) {
    jobs.push_back({{"name", job.name}, {"arguments", job.arguments}});
  }
  return {{"stage", kJobsStage},
          {"run", run},
          {"directory", request.directory.string()},
          {"at_once", request.at_once},
          {"keep_going", request.keep_going},
          {"quiet", request.quiet},
          {"jobs", jobs}};
}

}  // namespace

std::vector<JobEnd> RunJobs(const JobsRequest& request) {
  Ranks& ranks = Ranks::Get();
  if (ranks.size() == 1) return RunHere(request, {});
  std::error_code code;
  fs::remove_all(request.directory, code);  // of a run that was killed
  if (!code) fs::create_directories(request.directory, code);
  if (code) throw SystemError(code.value(), request.directory, " cannot be made");
  const std::string run = Claims::NewRun();
  ranks.Announce(FormatJson(Announcement(request, run)));
  const SharedJobs shared(request, run);
  RunHere(request, shared.Share());
  ranks.WaitForAll();
  std::vector<JobEnd> ends = shared.Collect(request.jobs.size());
  fs::remove_all(request.directory, code);
  return ends;
}

void ServeJobs(const Json& announced) {
  JobsRequest request;
  for (const Json& job : announced.at("jobs")) {
    request.jobs.push_back({job.at("name"), job.at("arguments")});
  }
  request.at_once = announced.at("at_once");
  request.keep_going = announced.at("keep_going");
  request.quiet = announced.at("quiet");
  request.directory = announced.at("directory").get<std::string>();
  const SharedJobs shared(request, announced.at("run"));
  RunHere(request, shared.Share());
  Ranks::Get().WaitForAll();
}

}  // namespace moefy::apps
