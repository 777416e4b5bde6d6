#include "route/router_report_json.h"

namespace moefy::route {
namespace {

Json QualityToJson(const RouterQuality& quality) {
  return {
      {"mass", quality.mass}, {"recall", quality.recall}, {"output_error", quality.output_error}};
}

}  // namespace

Json ReportToJson(const RouterReport& report) {
  return {{"ffn", report.ffn},
          {"dump_tokens", report.dump_tokens},
          {"train_tokens", report.train_tokens},
          {"held_out_tokens", report.held_out_tokens},
          {"best_epoch", report.best_epoch},
          {"routed", QualityToJson(report.routed)},
          {"similarity", QualityToJson(report.similarity)},
          {"random", QualityToJson(report.random)},
          {"oracle", QualityToJson(report.oracle)},
          {"oracle_output", QualityToJson(report.oracle_output)},
          {"neuron_oracle_output_error", report.neuron_oracle_error},
          {"final_output_error", report.final_error},
          {"neuron_share", report.neuron_share},
          {"compensated", report.compensated},
          {"output_fit", report.output_fit},
          {"corrected", report.corrected},
          {"dead_experts", report.dead_experts},
          {"load_entropy", report.load_entropy},
          {"load", report.load},
          {"fit_seconds", report.fit_seconds},
          {"seconds", report.seconds}};
}

}  // namespace moefy::route
