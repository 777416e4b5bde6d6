#include "prompts.h"

#include "moefy/base/error.h"
#include "task/dataset.h"

namespace moefy::example {

std::vector<task::TaskSpec> ReadSpecs(const std::filesystem::path& directory) {
  std::vector<task::TaskSpec> specs;
  for (const Corpus& corpus : Corpora()) {
    specs.push_back(task::ReadTaskSpec(directory / (corpus.name + ".json")));
  }
  return specs;
}

std::string PromptOf(const task::TaskSpec& spec, const Corpus& corpus,
                     const std::vector<std::string>& row) {
  task::Example example;
  for (size_t i = 0; i < row.size(); ++i) example.fields[corpus.header[i]] = row[i];
  return task::FormatPrompt(spec, example);
}

const std::string& WordOf(const task::TaskSpec& spec, const std::string& label) {
  for (const task::Label& known : spec.labels) {
    if (known.value == label) return known.word;
  }
  throw UsageError("task ", Quoted(spec.name), " has no label ", Quoted(label));
}

}  // namespace moefy::example
