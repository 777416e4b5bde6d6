#include "pipeline/run_task.h"

#include <cmath>
#include <numeric>

#include "ask/prepared_task.h"
#include "moefy/base/error.h"
#include "task/question.h"

namespace moefy::pipeline {
namespace {

using task::TaskKind;

// An input as an example: its fields, or the one text there is.
task::Example ToExample(const task::TaskSpec& spec, const RunInput& input) {
  const std::vector<std::string> names = task::QuestionFields(spec);
  std::map<std::string, std::string> fields;
  for (const std::string& name : names) {
    const bool only_text = names.size() == 1 && !input.fields.contains(name);
    fields[name] = input.Get(only_text ? "text" : name);
  }
  return task::MakeQuestion(spec, std::move(fields), input.choices);
}

Json Shares(const at::Tensor& scores, const std::vector<std::string>& names) {
  const at::Tensor shares = at::softmax(scores.to(at::kDouble), 0);
  Json by_name = Json::object();
  for (size_t i = 0; i < names.size(); ++i) {
    by_name[names[i]] = shares[static_cast<int64_t>(i)].item<double>();
  }
  return by_name;
}

Json ChoiceAnswer(const task::Example& example, const ask::Answer& answer) {
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

Json ToJson(const task::TaskSpec& spec, const task::Example& example, const ask::Answer& answer) {
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
    case TaskKind::kCompletion:
    case TaskKind::kLanguageModelling:
    case TaskKind::kMaskedLanguageModelling:
      break;
  }
  return PerplexityAnswer(answer.nats);
}

}  // namespace

Json LabelAnswer(const at::Tensor& scores, const std::vector<std::string>& names) {
  return {{"label", names[static_cast<size_t>(scores.argmax().item<int64_t>())]},
          {"scores", Shares(scores, names)}};
}

void AnswerTask(const task::TaskSpec& spec, const std::vector<RunInput>& inputs,
                model::Transformer& model, const text::Tokenizer& tokenizer,
                const model::GenerationOptions& generation, OrderedAnswers& answers,
                Progress& progress) {
  if (spec.kind == TaskKind::kCompletion) {
    throw UsageError("task ", Quoted(spec.name),
                     " asks how likely a given answer is, which is for eval; run goes on with a "
                     "text without --task");
  }
  task::Dataset dataset;
  std::vector<size_t> input_idxs;  // one per example
  const auto prepare = [&](const task::Dataset& examples) {
    return ask::PrepareTask(spec, examples, model.config(), tokenizer, generation);
  };
  for (size_t i = 0; i < inputs.size(); ++i) {
    if (answers.failed(i)) continue;
    answers.Try(i, [&] {
      dataset.examples.push_back(ToExample(spec, inputs[i]));
      input_idxs.push_back(i);
    });
  }
  answers.RequireAny();
  std::unique_ptr<ask::PreparedTask> prepared;
  try {
    prepared = prepare(dataset);
  } catch (const Error& error) {
    if (error.kind() != ErrorKind::kInput) throw;
    // Inputs are tried one by one to find those that are at fault; a task that no input suits is at
    // fault itself.
    task::Dataset good;
    std::vector<size_t> good_idxs;
    for (size_t k = 0; k < input_idxs.size(); ++k) {
      const task::Dataset one{{}, {dataset.examples[k]}};
      answers.Try(input_idxs[k], [&] {
        prepare(one);
        good.examples.push_back(dataset.examples[k]);
        good_idxs.push_back(input_idxs[k]);
      });
    }
    if (good.examples.empty() && inputs.size() > 1) throw;
    answers.RequireAny();
    dataset = std::move(good);
    input_idxs = std::move(good_idxs);
    prepared = prepare(dataset);
  }
  progress.Begin("answering", prepared->num_steps(), "steps");
  const std::vector<ask::Answer> found = prepared->Ask(model, progress);
  for (size_t k = 0; k < found.size(); ++k) {
    answers.Give(input_idxs[k], ToJson(spec, dataset.examples[k], found[k]));
  }
}

}  // namespace moefy::pipeline
