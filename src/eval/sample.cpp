#include "eval/sample.h"

#include <numeric>

#include "ask/metric.h"
#include "ask/task_inputs.h"

namespace moefy::eval {

Json SampleToJson(const task::TaskSpec& spec, const EvaluationRow& row, size_t example_idx,
                  const task::Example& example, const ask::Answer& answer) {
  Json json = {{"task", spec.name},
               {"id", example_idx},
               {"model", row.model},
               {"selection", row.selection},
               {"ffn_ratio", row.ffn_ratio}};
  if (answer.label_idx >= 0) {
    json["prediction"] = answer.text;
    json["gold"] = ask::LabelName(spec, example.label_idx);
    Json scores = Json::object();
    for (int64_t i = 0; i < answer.scores.size(1); ++i) {
      scores[ask::LabelName(spec, i)] = answer.scores[0][i].item<double>();
    }
    json["scores"] = scores;
  } else if (task::IsOnlyText(spec.kind)) {
    json["tokens"] = answer.nats.size();
    json["nats"] = std::accumulate(answer.nats.begin(), answer.nats.end(), 0.0);
  } else {
    json["prediction"] = answer.text;
    json["gold"] = example.answers;
  }
  if (!answer.best.empty()) {
    Json best = Json::array();
    for (const auto& [text, share] : answer.best)
      best.push_back({{"text", text}, {"share", share}});
    json["best"] = best;
  }
  for (const std::string& name : task::MetricNames(spec)) {
    json[name] = ask::Measure(ask::GetMetric(spec.kind, name), {example}, {answer}).value;
  }
  return json;
}

}  // namespace moefy::eval
