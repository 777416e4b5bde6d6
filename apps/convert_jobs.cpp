#include "convert_jobs.h"

#include <algorithm>
#include <set>

#include "about.h"
#include "base/table.h"
#include "moefy/base/error.h"
#include "pipeline/choose_ratio.h"
#include "pipeline/convert_output.h"
#include "pipeline/recipe_jobs.h"

namespace moefy::apps {
namespace {

constexpr const char* kConversionsSchema = "moefy/conversions/1";

// The document in a job's directory; null where there is none.
Json ReadIfThere(const std::filesystem::path& file) {
  std::error_code ignored;
  return std::filesystem::exists(file, ignored) ? ReadJsonFile(file) : Json();
}

// The arguments that run a job alone, in a process of its own.
std::vector<std::string> JobArguments(const ConvertOptions& options, const CommonOptions& common,
                                      const std::string& file, const pipeline::Recipe& recipe,
                                      const std::filesystem::path& out) {
  std::vector<std::string> arguments = {"convert", file, "--out", out.string()};
  const auto add = [&](const char* flag, const std::string& value) {
    if (!value.empty()) arguments.insert(arguments.end(), {flag, value});
  };
  add("--only", recipe.job);
  add("--model", options.model);
  add("--data", options.data);
  add("--max-loss", options.max_loss);
  add("--tune", options.tune ? StrCat(*options.tune) : "");
  add("--max-memory", common.max_memory);
  for (const auto& [flag, given] :
       {std::pair("--force", common.force), {"--wait", common.wait}, {"--quiet", common.quiet}}) {
    if (given) arguments.emplace_back(flag);
  }
  return arguments;
}

void ApplyFlags(const ConvertOptions& options, pipeline::Recipe& recipe) {
  if (!options.model.empty()) recipe.model = options.model;
  if (!options.data.empty()) recipe.data = options.data;
  if (!options.max_loss.empty()) recipe.max_loss = pipeline::ParseMaxLoss(options.max_loss);
  recipe.tune = options.tune;
}

// Every job of the recipe files.
std::vector<ConvertJob> AllJobs(const ConvertOptions& options, const CommonOptions& common) {
  for (const std::string& file : options.recipes) {
    if (!std::filesystem::exists(file)) throw UsageError(file, ": no such file or directory");
    if (IsCheckpoint(file)) {
      throw UsageError(file, " is a checkpoint; convert takes one of them, or recipe files");
    }
  }
  if (!options.tasks.empty()) {
    throw UsageError("--task is for a checkpoint without a recipe; a recipe names its tasks");
  }
  std::vector<ConvertJob> jobs;
  std::set<std::string> files;
  for (const std::string& file : options.recipes) {
    std::filesystem::path out = options.out.empty() ? "OUT" : options.out;
    std::vector<pipeline::Recipe> recipes = pipeline::ReadRecipes(file);
    const bool several_files = options.recipes.size() > 1;
    if (several_files) out /= recipes.front().name;
    if (!files.insert(recipes.front().name).second) {
      throw UsageError(file, ": another recipe has the name ", Quoted(recipes.front().name),
                       ", and so the same place for its result; run them one by one");
    }
    if (!options.model.empty() && !recipes.front().job.empty() &&
        recipes.front().model != recipes.back().model) {
      throw UsageError("--model is for recipes of one model; ", file, " names several");
    }
    for (pipeline::Recipe& recipe : recipes) {
      ApplyFlags(options, recipe);
      ConvertJob job;
      job.name = several_files || recipe.job.empty() ? pipeline::CalledName(recipe) : recipe.job;
      job.arguments = JobArguments(options, common, file, recipe, out);
      job.out = recipe.job.empty() ? out : out / recipe.job;
      job.recipe = std::move(recipe);
      jobs.push_back(std::move(job));
    }
  }
  return jobs;
}

// The jobs that --only names.
std::vector<ConvertJob> Chosen(std::vector<ConvertJob> jobs, const std::vector<std::string>& only) {
  if (only.empty()) return jobs;
  std::vector<std::string> names;
  for (const ConvertJob& job : jobs) names.push_back(job.name);
  std::vector<ConvertJob> chosen;
  for (const std::string& pattern : only) {
    if (std::ranges::none_of(names, [&](const std::string& name) {
          return pipeline::MatchesPattern(name, pattern);
        })) {
      constexpr size_t kMostNames = 20;
      const size_t num_names = names.size();
      names.resize(std::min(num_names, kMostNames));
      throw UsageError("--only ", Quoted(pattern), " names no job", DidYouMean(pattern, names),
                       "; there are ", num_names, ": ", Join(names),
                       num_names > kMostNames ? ", ..." : "");
    }
  }
  for (ConvertJob& job : jobs) {
    if (std::ranges::any_of(only, [&](const std::string& pattern) {
          return pipeline::MatchesPattern(job.name, pattern);
        })) {
      chosen.push_back(std::move(job));
    }
  }
  return chosen;
}

const char* StateInWords(const ConvertEnd& end) {
  if (end.state == JobEnd::State::kNotRun) return "not run";
  if (end.exit_code == 0) return "done";
  return end.exit_code == kGateSaysNo ? "gate says no" : "error";
}

// results.json of several conversions, in the directory that has theirs.
void WriteResults(const std::vector<ConvertEnd>& ends, const std::filesystem::path& out) {
  const int exit_code = ExitCodeOf(ends);
  Json json = {{"schema", kConversionsSchema}};
  json.update(About());
  json["status"] = exit_code == 0 ? "passed" : exit_code == kGateSaysNo ? "failed" : "error";
  json["conversions"] = Json::array();
  for (const ConvertEnd& end : ends) json["conversions"].push_back(ConversionToJson(end));
  std::error_code code;
  std::filesystem::create_directories(out, code);
  if (code) throw SystemError(code.value(), out, " cannot be made");
  WriteTextFile(out / pipeline::kResultsFile, FormatJson(json), IfExists::kRenew);
}

}  // namespace

bool IsCheckpoint(const std::filesystem::path& path) {
  std::error_code ignored;
  return std::filesystem::is_directory(path, ignored) ||
         (std::filesystem::exists(path, ignored) && path.extension() != ".json");
}

std::vector<ConvertJob> ReadJobs(const ConvertOptions& options, const CommonOptions& common) {
  return Chosen(AllJobs(options, common), options.only);
}

std::vector<ConvertEnd> RunConversions(const std::vector<ConvertJob>& jobs,
                                       const ConvertOptions& options, const Context& context) {
  JobsRequest request;
  for (const ConvertJob& job : jobs) request.jobs.push_back({job.name, job.arguments});
  request.at_once = options.jobs;
  request.keep_going = options.keep_going;
  request.quiet = context.common.quiet;
  const std::filesystem::path out = std::filesystem::path(options.out) / "";
  request.directory = out.parent_path().string() + ".jobs";
  std::vector<ConvertEnd> ends;
  for (JobEnd& end : RunJobs(request)) {
    const ConvertJob& job = jobs[ends.size()];
    ends.push_back({std::move(end), job.name, job.out});
  }
  WriteResults(ends, out);
  return ends;
}

int ExitCodeOf(const std::vector<ConvertEnd>& ends) {
  int exit_code = 0;
  for (const ConvertEnd& end : ends) {
    if (end.exit_code > kGateSaysNo) return end.exit_code;
    exit_code = std::max(exit_code, end.exit_code);
  }
  return exit_code;
}

std::string DescribeConversions(const std::vector<ConvertEnd>& ends) {
  std::string out;
  std::vector<std::vector<std::string>> rows;
  for (const ConvertEnd& end : ends) {
    if (!end.text.empty()) out += StrCat("== ", end.name, "\n", end.text, "\n");
    rows.push_back({end.name, StateInWords(end),
                    end.state == JobEnd::State::kEnded ? FormatDuration(end.seconds) : "",
                    end.error});
  }
  return out + FormatTable({"job", "", "time", ""}, rows);
}

Json ConversionToJson(const ConvertEnd& end) {
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
