#include "task/question.h"

#include <algorithm>

#include "moefy/base/error.h"
#include "task/document_reader.h"
#include "task/task_kinds.h"

namespace moefy::task {

std::vector<std::string> QuestionFields(const TaskSpec& spec) {
  const FormatRow& format = GetFormat(spec.format);
  std::vector<std::string> fields = format.fields;
  if (format.is_table) {
    for (const auto& [field, column] : spec.splits.front().columns) fields.push_back(field);
  }
  std::erase(fields, GetKind(spec.kind).answer);
  std::erase(fields, "choices");
  return fields;
}

Example MakeQuestion(const TaskSpec& spec, std::map<std::string, std::string> fields,
                     std::vector<std::string> choices) {
  Example example;
  example.fields = std::move(fields);
  if (spec.kind == TaskKind::kMultipleChoice) {
    example.choices = std::move(choices);
    if (!spec.choices.empty()) example.choices.clear();
    for (const std::string& field : spec.choices) {
      example.choices.push_back(example.fields.at(field));
    }
    CheckChoices(example.choices, "the question");
    example.fields["choices"] = FormatChoices(example.choices);
  }
  if (spec.kind == TaskKind::kExtractiveQa && Trim(example.fields.at("context")).empty()) {
    throw InputError("field 'context': is empty");
  }
  return example;
}

}  // namespace moefy::task
