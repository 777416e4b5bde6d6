#include "pipeline/ordered_answers.h"

#include <algorithm>
#include <utility>

#include "moefy/base/error.h"

namespace moefy::pipeline {

OrderedAnswers::OrderedAnswers(const std::vector<RunInput>& inputs, const AnswerSink& sink)
    : inputs_(inputs), sink_(sink), waiting_(inputs.size()), failures_(inputs.size()) {
  for (size_t i = 0; i < inputs.size(); ++i) {
    if (!inputs[i].problem.empty()) Fail(i, inputs[i].problem);
  }
}

void OrderedAnswers::Give(size_t input_idx, Json answer) {
  ++num_answers_;
  Put(input_idx, std::move(answer));
}

void OrderedAnswers::Fail(size_t input_idx, const std::string& message) {
  const std::string& where = inputs_[input_idx].where;
  failures_[input_idx] = message.starts_with(where) ? message : StrCat(where, ": ", message);
  Put(input_idx, {{"error", failures_[input_idx]}});
}

void OrderedAnswers::Put(size_t input_idx, Json answer) {
  if (!inputs_[input_idx].id.is_null()) {
    Json with_id = {{"id", inputs_[input_idx].id}};
    with_id.update(answer);
    answer = std::move(with_id);
  }
  waiting_[input_idx] = std::move(answer);
  if (num_answers_ == 0) return;
  for (; next_ < waiting_.size() && waiting_[next_]; ++next_) {
    sink_(next_, *waiting_[next_]);
    waiting_[next_] = Json();  // it has gone out
  }
}

std::vector<std::string> OrderedAnswers::Failures() const {
  std::vector<std::string> failures;
  std::copy_if(failures_.begin(), failures_.end(), std::back_inserter(failures),
               [](const std::string& failure) { return !failure.empty(); });
  return failures;
}

void OrderedAnswers::RequireAny() const {
  constexpr size_t kMostShown = 5;
  std::vector<std::string> failures = Failures();
  if (failures.size() < inputs_.size()) return;
  if (failures.size() == 1) throw InputError(failures[0]);
  const size_t count = failures.size();
  failures.resize(std::min(count, kMostShown));
  throw InputError("none of ", count, " inputs can be answered",
                   count > kMostShown ? StrCat("; the first ", kMostShown) : "", ":\n  ",
                   Join(failures, "\n  "));
}

}  // namespace moefy::pipeline
