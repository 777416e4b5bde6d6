// What `moefy run` is asked to answer, from flags or files, checked before any model is loaded.
#pragma once

#include <map>
#include <string>
#include <vector>

#include "moefy/base/json.h"
#include "moefy/pipeline/run.h"

namespace moefy::pipeline {

struct RunInput {
  std::map<std::string, std::string> fields;  // "text", "question", ..., or a task's
  Json id;                                    // as the input had it; null for none
  std::string where;                          // "reviews.jsonl: line 3", for messages
  std::vector<std::string> choices = {};      // of multiple choice, where they are a list
  std::string problem = {};                   // why it cannot be answered; "": nothing known

  // Error{kInput} that says which fields there are.
  const std::string& Get(const std::string& field) const;
};

// From the positional texts, --question and --context, or --input, exactly one of these. An input
// that cannot be read has its problem, and costs no other.
// Throws Error{kUsage} for none or several, Error{kInput} for a file that is no text at all,
// Error{kSystem} where reading fails.
std::vector<RunInput> ReadRunInputs(const RunOptions& options);

}  // namespace moefy::pipeline
