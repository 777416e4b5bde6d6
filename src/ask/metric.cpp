#include "ask/metric.h"

#include <numeric>

#include "moefy/base/error.h"
#include "task/answers.h"
#include "task/translation_scores.h"

namespace moefy::ask {
namespace {

using task::Example;
using task::Ratio;
using task::TaskKind;

std::vector<Ratio> IsRight(const Example& example, const Answer& answer) {
  return {{answer.label_idx == example.label_idx ? 1.0 : 0.0}};
}

std::vector<Ratio> IsRightNormalized(const Example& example, const Answer& answer) {
  return {{answer.normalized_idx == example.label_idx ? 1.0 : 0.0}};
}

std::vector<Ratio> IsLikeliest(const Example&, const Answer& answer) {
  return {{answer.all_likeliest ? 1.0 : 0.0}};
}

// The likelihood is that of the whole answer, not per token.
std::vector<Ratio> AnswerNats(const Example&, const Answer& answer) {
  return {{std::accumulate(answer.nats.begin(), answer.nats.end(), 0.0)}};
}

template <double (*score)(std::string_view, const std::vector<std::string>&)>
std::vector<Ratio> Scored(const Example& example, const Answer& answer) {
  return {{score(answer.text, example.answers)}};
}

std::vector<Ratio> CharacterErrors(const Example& example, const Answer& answer) {
  const task::CharacterErrors errors = task::CountCharacterErrors(answer.text, example.answers);
  return {{static_cast<double>(errors.edits), static_cast<double>(errors.length)}};
}

std::vector<Ratio> Nats(const Example&, const Answer& answer) {
  std::vector<Ratio> units;
  for (const double nats : answer.nats) units.push_back({nats});
  return units;
}

std::vector<Ratio> TokensRight(const Example&, const Answer& answer) {
  std::vector<Ratio> units;
  for (size_t i = 0; i < answer.targets.size(); ++i) {
    units.push_back({answer.likeliest[i] == answer.targets[i] ? 1.0 : 0.0});
  }
  return units;
}

template <task::Figure (*score)(const std::vector<task::Translation>&)>
task::Figure OfCorpus(const std::vector<Example>& examples, const std::vector<Answer>& answers) {
  std::vector<task::Translation> translations;
  for (size_t i = 0; i < examples.size(); ++i) {
    translations.push_back({answers[i].text, examples[i].answers});
  }
  return score(translations);
}

struct MetricRow {
  std::vector<TaskKind> kinds;
  Metric metric;
};

const std::vector<MetricRow>& MetricRows() {
  using enum TaskKind;
  static const std::vector<MetricRow> kRows = {
      {{kClassification, kMultipleChoice}, {"accuracy", true, false, IsRight}},
      {{kMultipleChoice}, {"accuracy_norm", true, false, IsRightNormalized}},
      {{kCompletion}, {"accuracy", true, false, IsLikeliest}},
      {{kCompletion}, {"perplexity", false, true, AnswerNats, true}},
      {{kExtractiveQa}, {"f1", true, false, Scored<task::SquadF1>}},
      {{kExtractiveQa}, {"exact_match", true, false, Scored<task::SquadExactMatch>}},
      {{kGeneration}, {"exact_match", true, false, Scored<task::TextExactMatch>}},
      {{kGeneration}, {"rouge_l", true, false, Scored<task::RougeL>}},
      {{kGeneration}, {"character_error_rate", true, false, CharacterErrors, true}},
      {{kGeneration}, {"bleu", false, false, nullptr, false, OfCorpus<task::Bleu>}},
      {{kGeneration}, {"chrf", false, false, nullptr, false, OfCorpus<task::ChrF>}},
      {{kLanguageModelling}, {"perplexity", false, true, Nats, true}},
      {{kMaskedLanguageModelling}, {"pseudo_perplexity", false, true, Nats, true}},
      {{kMaskedLanguageModelling}, {"accuracy", true, false, TokensRight}},
      {{kLanguageModelling, kMaskedLanguageModelling},
       {"nats_per_token", false, false, Nats, true}},
  };
  return kRows;
}

}  // namespace

const Metric& GetMetric(TaskKind kind, const std::string& name) {
  for (const MetricRow& row : MetricRows()) {
    for (const TaskKind of_row : row.kinds) {
      if (of_row == kind && name == row.metric.name) return row.metric;
    }
  }
  throw UsageError("no metric ", Quoted(name), " of this kind of task");
}

task::Figure Measure(const Metric& metric, const std::vector<Example>& examples,
                     const std::vector<Answer>& answers) {
  MOEFY_CHECK(examples.size() == answers.size());
  if (metric.of_corpus) return metric.of_corpus(examples, answers);
  std::vector<Ratio> units;
  for (size_t i = 0; i < examples.size(); ++i) {
    for (const Ratio& unit : metric.units(examples[i], answers[i])) units.push_back(unit);
  }
  const task::Figure figure = task::RatioFigure(units);
  return metric.exponential ? task::Exponential(figure) : figure;
}

}  // namespace moefy::ask
