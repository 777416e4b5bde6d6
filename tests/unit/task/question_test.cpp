#include "task/question.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "support/expect_error.h"

namespace moefy::task {
namespace {

using testing::ElementsAre;

TaskSpec TaskOf(const std::string& name) {
  return ReadTaskSpec(MOEFY_SOURCE_DIR "/tests/data/tasks/" + name + ".json");
}

TEST(Question, HasTheFieldsOfATaskButForTheAnswer) {
  EXPECT_THAT(QuestionFields(TaskOf("moods")), ElementsAre("sentence"));
  EXPECT_THAT(QuestionFields(TaskOf("letters")), ElementsAre("source"));
  EXPECT_THAT(QuestionFields(TaskOf("sums")), ElementsAre("first", "question", "second", "third"));
  EXPECT_THAT(QuestionFields(TaskOf("race")), ElementsAre("context", "question"));
  EXPECT_THAT(QuestionFields(TaskOf("squad")), ElementsAre("context", "question"));
  EXPECT_THAT(QuestionFields(TaskOf("tales")), ElementsAre("text"));
}

TEST(Question, HasChoicesFromFieldsOrFromAList) {
  const Example table = MakeQuestion(
      TaskOf("sums"), {{"question", "q"}, {"first", "a"}, {"second", "b"}, {"third", "c"}}, {"d"});
  EXPECT_THAT(table.choices, ElementsAre("a", "b", "c"));
  EXPECT_EQ(table.fields.at("choices"), "(A) a (B) b (C) c");
  const Example document =
      MakeQuestion(TaskOf("race"), {{"context", "c"}, {"question", "q"}}, {"yes", "no"});
  EXPECT_THAT(document.choices, ElementsAre("yes", "no"));
  EXPECT_EQ(document.fields.at("choices"), "(A) yes (B) no");
  tests::ExpectError(ErrorKind::kInput, {"has 1 choices; expected 2 to 26"}, [&] {
    MakeQuestion(TaskOf("race"), {{"context", "c"}, {"question", "q"}}, {"yes"});
  });
}

TEST(Question, NeedsAContextToFindAnAnswerIn) {
  EXPECT_EQ(MakeQuestion(TaskOf("squad"), {{"context", "c"}, {"question", "q"}}).fields.size(), 2U);
  tests::ExpectError(ErrorKind::kInput, {"'context': is empty"}, [&] {
    MakeQuestion(TaskOf("squad"), {{"context", " "}, {"question", "q"}});
  });
}

}  // namespace
}  // namespace moefy::task
