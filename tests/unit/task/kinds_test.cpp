// Every kind of task with a small data set of our own, and data that is wrong.
#include <gtest/gtest.h>

#include "support/expect_error.h"
#include "support/shared_data.h"
#include "support/temp_dir.h"
#include "task/dataset.h"

namespace moefy::task {
namespace {

using Strings = std::vector<std::string>;

struct Task {
  TaskSpec spec;
  std::vector<Example> examples;
  std::string Prompt(size_t i) const { return FormatPrompt(spec, examples.at(i)); }
};

Task ReadTiny(const std::string& name) {
  const TaskSpec spec = ReadTaskSpec(tests::TestData() / "tasks" / (name + ".json"));
  return {spec, ReadDataset(spec, "eval", {}).examples};
}

TEST(TaskKinds, Classification) {
  const Task moods = ReadTiny("moods");
  EXPECT_EQ(moods.spec.kind, TaskKind::kClassification);
  ASSERT_EQ(moods.examples.size(), 3u);
  EXPECT_EQ(moods.examples[1].label_idx, 0);
  EXPECT_EQ(moods.Prompt(0), "mood: the soup was warm and good");
  const Task follows = ReadTiny("follows");
  EXPECT_EQ(follows.spec.inputs, (Strings{"premise", "claim"}));
  EXPECT_EQ(follows.examples.at(0).label_idx, 1);
  EXPECT_EQ(follows.examples.at(1).fields.at("claim"), "No cat sleeps.");
}

TEST(TaskKinds, MultipleChoiceInATable) {
  const Task sums = ReadTiny("sums");
  EXPECT_EQ(sums.spec.kind, TaskKind::kMultipleChoice);
  ASSERT_EQ(sums.examples.size(), 2u);
  EXPECT_EQ(sums.examples[0].choices, (Strings{"three", "four", "five, or so"}));
  EXPECT_EQ(sums.examples[0].label_idx, 1);
  EXPECT_EQ(sums.Prompt(0), "two and two? (A) three (B) four (C) five, or so");
}

TEST(TaskKinds, Race) {
  const Task kites = ReadTiny("race");
  ASSERT_EQ(kites.examples.size(), 2u);
  EXPECT_EQ(kites.examples[1].choices, (Strings{"red", "green", "blue"}));
  EXPECT_EQ(kites.examples[1].label_idx, 2);
  EXPECT_EQ(kites.Prompt(0),
            "Ann has a red kite. Bob has a blue one. Who has the red kite? (A) Ann (B) Bob");
  EXPECT_EQ(ReadDataset(kites.spec, "eval", {}, 1).examples.size(), 1u);
}

TEST(TaskKinds, Dream) {
  const Task walks = ReadTiny("dream");
  ASSERT_EQ(walks.examples.size(), 1u);
  EXPECT_EQ(walks.examples[0].fields.at("context"), "M: Shall we walk?\nW: No, the bus is faster.");
  EXPECT_EQ(walks.examples[0].label_idx, 1);
}

TEST(TaskKinds, Mctest) {
  const Task shells = ReadTiny("mctest");
  ASSERT_EQ(shells.examples.size(), 4u);
  EXPECT_EQ(shells.Prompt(2),
            "Kim found a shell.\nIt was pink. What colour was the thing Kim found?");
  EXPECT_EQ(shells.examples[2].choices, (Strings{"grey", "gold", "pink", "green"}));
  for (int64_t i = 0; i < 4; ++i) EXPECT_EQ(shells.examples[i].label_idx, i);
}

TEST(TaskKinds, ExtractiveQa) {
  const Task rivers = ReadTiny("squad");
  EXPECT_EQ(rivers.spec.metric, "f1");
  ASSERT_EQ(rivers.examples.size(), 2u);
  EXPECT_EQ(rivers.examples[0].answers, (Strings{"12 miles", "for 12 miles"}));
  EXPECT_TRUE(rivers.examples[1].answers.empty());
  EXPECT_EQ(rivers.Prompt(0),
            "question: How long is it? context: " + rivers.examples[0].fields.at("context"));
}

TEST(TaskKinds, Generation) {
  const Task letters = ReadTiny("letters");
  EXPECT_EQ(letters.spec.metric, "character_error_rate");
  ASSERT_EQ(letters.examples.size(), 2u);
  EXPECT_EQ(letters.Prompt(0), "αβγ");
  EXPECT_EQ(letters.examples[1].answers, Strings{"ga"});
}

TEST(TaskKinds, LanguageModelling) {
  const Task tales = ReadTiny("tales");
  ASSERT_EQ(tales.examples.size(), 2u);
  EXPECT_EQ(tales.examples[0].fields.at("text"), "Once a fox ran.\nIt ran far.");
  TaskSpec whole = tales.spec;
  whole.separator = "";
  EXPECT_EQ(ReadDataset(whole, "eval", {}).examples.size(), 1u);
}

// A task of the tree, with its data replaced by `bytes`.
void ReadWith(const std::string& name, const std::string& bytes, const std::string& answers = "") {
  const TaskSpec spec = ReadTaskSpec(tests::TestData() / "tasks" / (name + ".json"));
  const tests::TempDir dir;
  dir.Write(spec.GetSplit("eval").file, bytes);
  if (!answers.empty()) dir.Write("stories.ans", answers);
  ReadDataset(spec, "eval", dir.path());
}

std::string Squad(const std::string& context, const std::string& answers) {
  return R"({"data": [{"paragraphs": [{"context": ")" + context +
         R"(", "qas": [{"question": "q?", "answers": )" + answers + "}]}]}]}";
}

std::string Story(size_t num_questions) {
  std::string out = "id\tauthor\tA story.";
  for (size_t i = 0; i < num_questions; ++i) out += "\tone: q?\ta\tb\tc\td";
  return out + "\n";
}

TEST(TaskKinds, RefusesBadData) {
  EXPECT_NO_THROW(ReadWith("squad", Squad("the mill", R"([{"text": "mill"}])")));
  EXPECT_NO_THROW(ReadWith("mctest", Story(4), "A\tA\tA\tA\n"));
  struct Bad {
    std::string task, bytes;
    Strings fragments;
    std::string answers = "";
  };
  const Bad kBad[] = {
      {"squad", "{\"data\": [\n{]}", {"squad-data.json: not valid JSON at line 2, column 2"}},
      {"squad",
       R"({"data": [{"paragraphs": [{"qas": []}]}]})",
       {"data[0]: paragraphs[0]: context is missing"}},
      {"squad", Squad(" ", "[]"), {"paragraphs[0]: context is empty"}},
      {"squad",
       Squad("the mill", R"([{"text": "river"}])"),
       {"qas[0]: answers[0]: text: 'river' is not in the context"}},
      {"squad", Squad("the mill", "[]"), {"answers is empty, and is_impossible is not true"}},
      {"squad", R"({"data": []})", {"has no examples"}},
      {"race", "{\"article\": \"a\"}", {"race.jsonl: line 1: questions is missing"}},
      {"race", "{\"article\": \"a\"", {"line 1: not valid JSON"}},
      {"race",
       R"({"article": "a", "questions": ["q"], "options": [["x", "y"]], "answers": ["C"]})",
       {"line 1: answers[0] is 'C'; expected a letter from A to B"}},
      {"race",
       R"({"article": "a", "questions": ["q"], "options": [["x"]], "answers": ["A"]})",
       {"options[0] has 1 choices; expected 2 to 26"}},
      {"race",
       R"({"article": "a", "questions": ["q"], "options": [], "answers": ["A"]})",
       {"1 questions, but 0 options and 1 answers"}},
      {"dream",
       R"([[["M: a"], [{"question": "q", "choice": ["x", "y"], "answer": "z"}], "1"]])",
       {"dialogue 1: question 1: answer: 'z' is not a choice"}},
      {"dream",
       R"([[[], [{"question": "q", "choice": ["x", "y"], "answer": "x"}], "1"]])",
       {"dialogue 1: context is empty"}},
      {"dream", R"([{"question": "q"}])", {"dialogue 1: expected an array"}},
      {"mctest", Story(3), {"stories.tsv: line 1: has 18 columns; expected 23"}, "A\tA\tA\tA\n"},
      {"mctest", Story(4), {"stories.ans: line 1: answer 2 is 'E'"}, "A\tE\tA\tA\n"},
      {"mctest", Story(4), {"has 1 stories, but", "has 2 lines"}, "A\tA\tA\tA\nA\tA\tA\tA\n"},
      {"mctest", Story(4), {"stories.ans", "no such file"}},
      {"letters", "αβγ\tabg\textra\n", {"letters.txt: line 1: has 3 columns; the header has 2"}},
      {"sums", "question,a,b,c,answer\nq,x,y,z,D\n", {"line 2: field 'label': 'D' is not a label"}},
      {"tales", "\xff", {"tales.txt: line 1, byte 1 is 0xff, not valid UTF-8"}},
      {"tales", " <end> \n <end>", {"has no examples"}},
  };
  for (const Bad& bad : kBad) {
    SCOPED_TRACE(bad.task + ": " + bad.bytes);
    for (const std::string& fragment : bad.fragments) {
      tests::ExpectError(ErrorKind::kInput, {fragment},
                         [&] { ReadWith(bad.task, bad.bytes, bad.answers); });
    }
  }
}

TEST(TaskKinds, AnswersOfATableAreInTheContext) {
  const tests::TempDir dir;
  const TaskSpec spec = ReadTaskSpec(dir.Write("qa.json", R"({
    "name": "qa", "kind": "extractive_qa", "format": "jsonl", "inputs": ["question", "context"],
    "splits": {"eval": {"file": "qa.jsonl",
                        "columns": {"context": "c", "question": "q", "answer": "a"}}}})"));
  dir.Write("qa.jsonl", R"({"c": "the mill", "q": "q?", "a": "mill"})");
  EXPECT_EQ(ReadDataset(spec, "eval", {}).examples.at(0).answers, Strings{"mill"});
  dir.Write("qa.jsonl",
            "{\"c\": \"the mill\", \"q\": \"q?\", \"a\": \"river\"}\n"
            "{\"c\": \"\", \"q\": \"q?\", \"a\": \"river\"}\n");
  tests::ExpectError(ErrorKind::kInput,
                     {"qa.jsonl: 2 problems", "line 1: field 'answer': 'river' is not in the",
                      "line 2: field 'context': is empty"},
                     [&] { ReadDataset(spec, "eval", {}); });
}

}  // namespace
}  // namespace moefy::task
