#include "train/training_report.h"

#include <numeric>

namespace moefy::train {

double MeanShare(const std::vector<double>& shares) {
  return std::accumulate(shares.begin(), shares.end(), 0.0) / static_cast<double>(shares.size());
}

Json MeasurementToJson(const Measurement& point) {
  Json json = {{"step", point.step},
               {"loss", point.loss},
               {"held_out_loss", point.held_out_loss},
               {"metrics", point.metrics}};
  if (!point.active.empty()) json["active"] = point.active;
  return json;
}

Measurement MeasurementFromJson(const Json& json) {
  return {json.at("step"), json.at("loss"), json.at("held_out_loss"), json.at("metrics"),
          json.value("active", std::vector<double>())};
}

Json ReportToJson(const TrainingReport& report) {
  Json history = Json::array();
  for (const Measurement& point : report.history) history.push_back(MeasurementToJson(point));
  return {{"metric", report.metric},
          {"ffn_ratios", report.ffn_ratios},
          {"trained_parameters", report.num_trained},
          {"sequences", report.num_sequences},
          {"held_out", report.num_held_out},
          {"first_step", report.first_step},
          {"best", report.best},
          {"history", history},
          {"seconds", report.seconds}};
}

}  // namespace moefy::train
