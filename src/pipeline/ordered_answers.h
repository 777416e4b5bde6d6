// Gives answers in the order of their inputs, whatever order they come in, and a message in place
// of an answer for each input that failed. Thread-safety: one owner.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "moefy/base/error.h"
#include "pipeline/run_inputs.h"
#include "pipeline/run_text.h"

namespace moefy::pipeline {

class OrderedAnswers {
 public:
  // Both must outlive this.
  OrderedAnswers(const std::vector<RunInput>& inputs, const AnswerSink& sink);

  bool failed(size_t input_idx) const { return !failures_[input_idx].empty(); }
  // Takes an answer. It goes out, with the input's id, once those before it are there.
  void Give(size_t input_idx, Json answer);
  // Takes {"error": message} in place of an answer; the message begins with the input's place. It
  // is held back until something is answered.
  void Fail(size_t input_idx, const std::string& message);
  // Runs `body`. An Error{kInput} that leaves it costs this input alone.
  template <typename Body>
  void Try(size_t input_idx, Body&& body);
  // Throws Error{kInput} with the first messages if no input is left that can be answered.
  void RequireAny() const;

  int64_t num_answers() const { return num_answers_; }
  std::vector<std::string> Failures() const;  // in the order of the inputs

 private:
  void Put(size_t input_idx, Json answer);

  const std::vector<RunInput>& inputs_;
  const AnswerSink& sink_;
  std::vector<std::optional<Json>> waiting_;
  std::vector<std::string> failures_;  // per input; "": none
  size_t next_ = 0;
  int64_t num_answers_ = 0;
};

template <typename Body>
void OrderedAnswers::Try(size_t input_idx, Body&& body) {
  try {
    body();
  } catch (const Error& error) {
    if (error.kind() != ErrorKind::kInput) throw error.In(inputs_[input_idx].where);
    Fail(input_idx, error.what());
  }
}

}  // namespace moefy::pipeline
