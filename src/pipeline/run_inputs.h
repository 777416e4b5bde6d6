// Reads what `moefy run` is asked to answer, from flags or files, before any model is loaded.
// Thread-safe.
#pragma once

#include <map>
#include <string>
#include <vector>

#include "base/json.h"
#include "pipeline/run_options.h"

namespace moefy::pipeline {

struct RunInput {
  std::map<std::string, std::string> fields;  // "text", "question", ..., or a task's
  Json id;                                    // as the input had it; null for none
  std::string where;                          // "reviews.jsonl: line 3", for messages
  std::vector<std::string> choices = {};      // of multiple choice, where they are a list
  std::string problem = {};                   // why it cannot be answered; "": nothing known

  // The text of a field. Error{kInput} if it is not there, with the fields that are.
  const std::string& Get(const std::string& field) const;
};

// Takes the inputs from the positional texts, from --question and --context, or from --input. An
// input that cannot be read has its problem, and costs no other. Throws Error{kUsage} unless
// exactly one of the three is given, Error{kInput} for a file that is no text at all,
// Error{kSystem} if reading fails.
std::vector<RunInput> ReadRunInputs(const RunOptions& options);

}  // namespace moefy::pipeline
