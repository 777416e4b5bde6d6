#include "pipeline/run_task.h"

#include <cmath>
#include <numeric>

#include "moefy/base/error.h"
#include "moefy/eval/prepared_task.h"
#include "moefy/task/question.h"

namespace moefy::pipeline {
namespace {

using task::TaskKind;

// Each input as an example: its fields, or the one text there is.
task::Dataset ToDataset(const task::TaskSpec& spec, const std::vector<RunInput>& inputs) {
  const std::vector<std::string> names = task::QuestionFields(spec);
  task::Dataset dataset;
  for (const RunInput& input : inputs) {
    std::map<std::string, std::string> fields;
    for (const std::string& name : names) {
      const bool only_text = names.size() == 1 && !input.fields.contains(name);
      fields[name] = input.Get(only_text ? "text" : name);
    }
    dataset.examples.push_back(WithContext(
        input.where, [&] { return task::MakeQuestion(spec, std::move(fields), input.choices); }));
  }
  return dataset;
}

Json Shares(const at::Tensor& scores, const std::vector<std::string>& names) {
  const at::Tensor shares = at::softmax(scores.to(at::kDouble), 0);
  Json by_name = Json::object();
  for (size_t i = 0; i < names.size(); ++i) {
    by_name[names[i]] = shares[static_cast<int64_t>(i)].item<double>();
  }
  return by_name;
}

Json ChoiceAnswer(const task::Example& example, const eval::Answer& answer) {
  std::vector<std::string> letters;
  for (size_t i = 0; i < example.choices.size(); ++i) {
    letters.emplace_back(1, static_cast<char>('A' + i));
  }
  return {{"choice", answer.text},
          {"text", example.choices[static_cast<size_t>(answer.label_idx)]},
          {"scores", Shares(answer.scores[0], letters)}};
}

// A text of one token has nothing to predict.
Json PerplexityAnswer(const std::vector<double>& nats) {
  if (nats.empty()) return {{"perplexity", nullptr}, {"nats_per_token", nullptr}, {"tokens", 0}};
  const double mean =
      std::accumulate(nats.begin(), nats.end(), 0.0) / static_cast<double>(nats.size());
  return {{"perplexity", std::exp(mean)}, {"nats_per_token", mean}, {"tokens", nats.size()}};
}

Json ToJson(const task::TaskSpec& spec, const task::Example& example, const eval::Answer& answer) {
  switch (spec.kind) {
    case TaskKind::kClassification: {
      std::vector<std::string> names;
      for (const task::Label& label : spec.labels) {
        names.push_back(label.word.empty() ? label.value : label.word);
      }
      return LabelAnswer(answer.scores[0], names);
    }
    case TaskKind::kMultipleChoice:
      return ChoiceAnswer(example, answer);
    case TaskKind::kExtractiveQa:
      if (answer.best.empty()) return {{"answer", answer.text}};  // generated
      return {{"answer", answer.text}, {"score", answer.best.front().second}};
    case TaskKind::kGeneration:
      return {{"text", answer.text}};
    case TaskKind::kLanguageModelling:
      break;
  }
  return PerplexityAnswer(answer.nats);
}

}  // namespace

Json LabelAnswer(const at::Tensor& scores, const std::vector<std::string>& names) {
  return {{"label", names[static_cast<size_t>(scores.argmax().item<int64_t>())]},
          {"scores", Shares(scores, names)}};
}

std::vector<Json> AnswerTask(const task::TaskSpec& spec, const std::vector<RunInput>& inputs,
                             model::Transformer& model, const text::Tokenizer& tokenizer,
                             const model::GenerationOptions& generation, Progress& progress) {
  const task::Dataset dataset = ToDataset(spec, inputs);
  const auto prepared = eval::PrepareTask(spec, dataset, model.config(), tokenizer, generation);
  progress.Begin("answering", prepared->num_steps(), "steps");
  const std::vector<eval::Answer> found = prepared->Ask(model, progress);
  std::vector<Json> answers;
  for (size_t i = 0; i < found.size(); ++i) {
    answers.push_back(ToJson(spec, dataset.examples[i], found[i]));
  }
  return answers;
}

}  // namespace moefy::pipeline
