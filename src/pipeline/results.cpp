#include "pipeline/results.h"

namespace moefy::pipeline {
namespace {

constexpr const char* kSchema = "moefy/results/1";

const char* Status(const ConvertResult& result, const Error* error) {
  if (error) return error->kind() == ErrorKind::kInterrupted ? "interrupted" : "error";
  for (const Json& report : result.reports) {
    if (!report.at("failures").empty()) return "failed";
  }
  return "passed";
}

// One object per row of each report: the task, then the row's figures.
Json Metrics(const Json& reports) {
  Json metrics = Json::array();
  for (const Json& report : reports) {
    for (const Json& row : report.at("rows")) {
      Json metric = {{"task", report.at("task")},
                     {"split", report.at("split")},
                     {"examples", report.at("examples")}};
      metric.update(row);
      metrics.push_back(std::move(metric));
    }
  }
  return metrics;
}

Json Failures(const Json& reports) {
  Json failures = Json::array();
  for (const Json& report : reports) {
    for (const Json& failure : report.at("failures")) {
      failures.push_back({{"task", report.at("task")}, {"failure", failure}});
    }
  }
  return failures;
}

}  // namespace

Json ResultsToJson(const ConvertResult& result, const Error* error, const Json& about) {
  Json json = {{"schema", kSchema}};
  json.update(about);
  json["status"] = Status(result, error);
  json["error"] = error ? Json(error->what()) : Json();
  json["out"] = result.out.string();
  json["inputs"] = result.inputs;
  Json options = Json::object(), stages = Json::array();
  double seconds = 0;
  for (const ConvertStage& stage : result.stages) {
    if (!stage.options.empty()) options[stage.name] = stage.options;
    stages.push_back({{"name", stage.name}, {"kept", stage.kept}, {"seconds", stage.seconds}});
    seconds += stage.seconds;
  }
  json["options"] = options;
  json["metrics"] = Metrics(result.reports);
  json["failures"] = Failures(result.reports);
  if (!result.tried.empty()) {
    json["choice"] = result.choice ? ChoiceToJson(*result.choice) : Json();
    json["tried"] = Json::array();
    for (const RatioChoice& tried : result.tried) json["tried"].push_back(ChoiceToJson(tried));
  }
  json["timings"] = {{"seconds", seconds}, {"stages", stages}};
  json["warnings"] = result.warnings;
  return json;
}

}  // namespace moefy::pipeline
