#include "route/router_report_json.h"

#include "moefy/base/error.h"

namespace moefy::route {
namespace {

template <class Quality, class Visit>
void EachOfQuality(Quality& quality, const Visit& visit) {
  visit("mass", quality.mass);
  visit("recall", quality.recall);
  visit("output_error", quality.output_error);
}

// Calls visit(name, figure) for every figure of a report, in the order of its JSON.
template <class Report, class Visit>
void EachFigure(Report& report, const Visit& visit) {
  visit("ffn", report.ffn);
  visit("dump_tokens", report.dump_tokens);
  visit("train_tokens", report.train_tokens);
  visit("held_out_tokens", report.held_out_tokens);
  visit("best_epoch", report.best_epoch);
  visit("routed", report.routed);
  visit("similarity", report.similarity);
  visit("random", report.random);
  visit("oracle", report.oracle);
  visit("oracle_output", report.oracle_output);
  visit("neuron_oracle_output_error", report.neuron_oracle_error);
  visit("final_output_error", report.final_error);
  visit("neuron_share", report.neuron_share);
  visit("compensated", report.compensated);
  visit("output_fit", report.output_fit);
  visit("corrected", report.corrected);
  visit("dead_experts", report.dead_experts);
  visit("load_entropy", report.load_entropy);
  visit("load", report.load);
  visit("fit_seconds", report.fit_seconds);
  visit("seconds", report.seconds);
}

struct FigureWriter {
  Json& json;
  template <class T>
  void operator()(const char* name, const T& value) const {
    json[name] = value;
  }
  void operator()(const char* name, const RouterQuality& value) const {
    EachOfQuality(value, FigureWriter{json[name]});
  }
};

struct FigureReader {
  const Json& json;
  template <class T>
  void operator()(const char* name, T& value) const {
    json.at(name).get_to(value);
  }
  void operator()(const char* name, RouterQuality& value) const {
    EachOfQuality(value, FigureReader{json.at(name)});
  }
};

}  // namespace

Json ReportToJson(const RouterReport& report) {
  Json json = Json::object();
  EachFigure(report, FigureWriter{json});
  return json;
}

RouterReport ReportFromJson(const Json& json, const std::string& where) {
  RouterReport report;
  try {
    EachFigure(report, FigureReader{json});
  } catch (const Json::exception& error) {
    throw InputError(where, " is no report of a router: ", error.what());
  }
  return report;
}

}  // namespace moefy::route
