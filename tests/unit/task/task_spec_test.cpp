#include "task/task_spec.h"

#include <gtest/gtest.h>

#include "base/json.h"
#include "support/expect_error.h"
#include "support/temp_dir.h"

namespace moefy::task {
namespace {

constexpr const char* kGood = R"({
  "name": "tiny",
  "format": "csv",
  "splits": {
    "train": {"file": "train.csv", "columns": {"first": "a", "second": "b", "label": "y"}},
    "eval": {"file": "dev/eval.csv", "columns": {"first": "A", "second": "B", "label": "Y"}}
  },
  "inputs": ["first", "second"],
  "prompt": "tiny: {first} then {second}",
  "labels": [{"value": "no", "word": "false"}, {"value": "yes", "word": "true"}],
  "max_tokens": 32
})";

TaskSpec Read(std::string_view json) {
  const tests::TempDir dir;
  return ReadTaskSpec(dir.Write("tiny.json", json));
}

TEST(TaskSpec, ReadsEveryKey) {
  const tests::TempDir dir;
  const TaskSpec spec = ReadTaskSpec(dir.Write("tiny.json", kGood));
  EXPECT_EQ(spec.name, "tiny");
  EXPECT_EQ(spec.description, "");
  EXPECT_EQ(spec.format, DataFormat::kCsv);
  ASSERT_EQ(spec.splits.size(), 2u);
  EXPECT_EQ(spec.splits[0].name, "train");
  EXPECT_EQ(spec.GetSplit("eval").file, "dev/eval.csv");
  EXPECT_EQ(spec.GetSplit("eval").columns.at("second"), "B");
  EXPECT_EQ(spec.inputs, (std::vector<std::string>{"first", "second"}));
  EXPECT_EQ(spec.prompt, "tiny: {first} then {second}");
  ASSERT_EQ(spec.labels.size(), 2u);
  EXPECT_EQ(spec.labels[1].value, "yes");
  EXPECT_EQ(spec.labels[1].word, "true");
  EXPECT_EQ(spec.max_tokens, 32);
  EXPECT_EQ(spec.metric, "accuracy");
  EXPECT_EQ(spec.directory, dir.path());
  tests::ExpectError(ErrorKind::kUsage, {"no split 'evil'", "did you mean 'eval'", "train, eval"},
                     [&] { spec.GetSplit("evil"); });
}

TEST(TaskSpec, ReadsTheKeysOfItsKind) {
  const TaskSpec spec = Read(R"({"name": "q", "kind": "extractive_qa", "format": "squad",
      "splits": {"eval": {"file": "q.json"}}, "prompt": "{question} {context}",
      "max_new_tokens": 7, "stop": "\n", "stride": 9, "no_answer": true,
      "source_language": "eng_Latn", "target_language": "fra_Latn",
      "metric": "exact_match"})");
  EXPECT_EQ(spec.max_new_tokens, 7);
  EXPECT_EQ(spec.source_language, "eng_Latn");
  EXPECT_EQ(spec.target_language, "fra_Latn");
  EXPECT_EQ(spec.stop, "\n");
  EXPECT_EQ(spec.stride, 9);
  EXPECT_TRUE(spec.no_answer);
  EXPECT_EQ(MetricNames(spec), (std::vector<std::string>{"exact_match", "f1"}));
}

// The good file with one key given another value ("null" removes it).
struct BadTask {
  const char* key;
  const char* value;
  const char* fragment;
};

const BadTask kBadTasks[] = {
    {"name", "null", "name is missing"},
    {"name", "\"\"", "name is ''"},
    {"format", "\"tvs\"", "format is 'tvs'; expected one of tsv, csv, jsonl"},
    {"splits", "{}", "splits is empty"},
    {"splits", "[]", "splits: expected an object"},
    {"splits", R"({"train": {"columns": {"first": "a", "second": "b", "label": "y"}}})",
     "splits: train: file is missing"},
    {"splits", R"({"train": {"file": "t"}})", "splits: train: columns is missing"},
    {"splits", R"({"t": {"file": "/t", "columns": {"first": "a", "second": "b", "label": "y"}}})",
     "file is '/t'; expected a path relative"},
    {"splits", R"({"t": {"file": "t", "columns": {"first": "a", "second": "b"}}})",
     "columns has no field 'label'"},
    {"splits", R"({"t": {"file": "t", "columns": {"first": "a", "second": "", "label": "y"}}})",
     "column of 'second' is ''"},
    {"splits",
     R"({"t": {"file": "t", "columns": {"first": "a", "second": "b", "label": "y"}},
         "u": {"file": "u", "columns": {"first": "a", "label": "y"}}})",
     "splits: u: columns has the fields 'first', 'label'; the other splits have"},
    {"splits", R"({"t": {"file": "t", "fiel": "u", "columns": {"label": "y"}}})",
     "unknown key 'fiel' (did you mean 'file'?)"},
    {"inputs", R"(["first", "secnd"])", "inputs names the field 'secnd' (did you mean 'second'?)"},
    {"inputs", R"(["label"])", "give the answer away"},
    {"inputs", R"(["first", "second", "first"])", "inputs has 3 fields"},
    {"inputs", R"("first")", "inputs is \"first\"; expected an array"},
    {"prompt", R"("tiny: {frist}")", "prompt names the field 'frist' (did you mean 'first'?)"},
    {"prompt", R"("tiny: {first")", "prompt: '{' at byte 7 is not closed"},
    {"prompt", R"("tiny")", "no {field}"},
    {"labels", R"([{"value": "no", "word": "false"}])", "labels has 1; expected at least two"},
    {"labels", R"([{"value": "a", "word": "x"}, {"value": "a", "word": "y"}])",
     "'a' is there twice"},
    {"labels", R"([{"value": "a", "word": "x"}, {"value": "b", "word": "x"}])",
     "'x' is there twice"},
    {"labels", R"([{"value": "a", "word": "x"}, {"value": "b"}])", "'b' has no word"},
    {"labels", R"([{"value": 0}, {"value": 1}])", "labels[0]: value is 0; expected a string"},
    {"labels", R"([{"value": "a", "wrod": "x"}])", "did you mean 'word'"},
    {"max_tokens", "0", "max_tokens is 0; expected a whole number from 4"},
    {"max_tokens", "\"64\"", "max_tokens is \"64\""},
    {"metric", "\"f1\"", "metric is 'f1'; expected one of accuracy"},
    {"stride", "128", "stride is not for classification"},
    {"answer_by_letter", "true", "answer_by_letter is not for classification"},
    {"length_normalized", "1", "length_normalized is 1; expected true or false"},
    {"kind", "\"sorting\"", "kind is 'sorting'; expected one of classification, multiple_choice"},
    {"kind", "\"language_modelling\"", "columns has no field 'text'"},
    {"kind", "\"completion\"", "columns has no field 'answer'"},
    {"kind", "\"generation\"", "columns has no field 'answer'"},
    {"kind", "\"generation\"", "labels is not for generation"},
    {"kind", "\"extractive_qa\"", "columns has no field 'context'"},
    {"kind", "\"multiple_choice\"", "choices has 0 fields and labels 2; expected as many"},
    {"format", "\"squad\"", "columns is for tables; squad has the fields 'context', 'question'"},
    {"format", "\"squad\"", "format squad does not hold a task of kind classification"},
    {"choices", "[\"first\"]", "choices is for multiple_choice in tables"},
    {"separator", "\"--\"", "separator is '--'; expected one character between cells"},
    {"continuation", "\"{first}\"", "continuation is not for classification"},
    {"header", "\"a\"", "header is \"a\"; expected an array"},
    {"promt", "\"a\"", "unknown key 'promt' (did you mean 'prompt'?)"},
};

TEST(TaskSpec, RefusesBadFiles) {
  EXPECT_NO_THROW(Read(kGood));
  for (const BadTask& bad : kBadTasks) {
    SCOPED_TRACE(std::string(bad.key) + ": " + bad.value);
    Json json = ParseJson(kGood);
    json[bad.key] = ParseJson(bad.value);
    tests::ExpectError(ErrorKind::kUsage, {"tiny.json", bad.fragment},
                       [&] { Read(FormatJson(json)); });
  }
  tests::ExpectError(ErrorKind::kUsage, {"tiny.json", "not valid JSON"}, [] { Read("{"); });
  tests::ExpectError(ErrorKind::kUsage, {"absent.json", "no such file"},
                     [] { ReadTaskSpec("absent.json"); });
}

TEST(TaskSpec, NamesAllProblemsAtOnce) {
  Json json = ParseJson(kGood);
  json["metric"] = "f1";
  json["prompt"] = "{one} {two}";
  tests::ExpectError(ErrorKind::kUsage, {"3 problems", "'f1'", "'one'", "'two'"},
                     [&] { Read(FormatJson(json)); });
}

TEST(TaskSpec, NeedsInputsOrPrompt) {
  Json json = ParseJson(kGood);
  json.erase("inputs");
  EXPECT_NO_THROW(Read(FormatJson(json)));
  json.erase("prompt");
  tests::ExpectError(ErrorKind::kUsage, {"neither inputs"}, [&] { Read(FormatJson(json)); });
  json["inputs"] = {"first"};
  json["labels"] = ParseJson(R"([{"value": "a"}, {"value": "b"}])");
  EXPECT_EQ(Read(FormatJson(json)).labels[0].word, "");
}

TEST(TaskSpec, CommittedTasksAreGood) {
  for (const char* name : {"sst2", "imdb"}) {
    const std::filesystem::path path = std::filesystem::path(MOEFY_SOURCE_DIR) / "configs" /
                                       "tasks" / (std::string(name) + ".json");
    const TaskSpec spec = ReadTaskSpec(path);
    EXPECT_EQ(spec.name, name);
    EXPECT_EQ(spec.labels[1].word, "positive");
    EXPECT_NO_THROW(spec.GetSplit("train"));
    EXPECT_NO_THROW(spec.GetSplit("eval"));
  }
}

TEST(TaskSpec, AllCommittedTasksAreRead) {
  int num_tasks = 0;
  for (const auto& entry : std::filesystem::directory_iterator(
           std::filesystem::path(MOEFY_SOURCE_DIR) / "configs" / "tasks")) {
    const TaskSpec spec = ReadTaskSpec(entry.path());
    EXPECT_EQ(spec.name, entry.path().stem().string());
    EXPECT_NO_THROW(spec.GetSplit("eval"));
    ++num_tasks;
  }
  EXPECT_GE(num_tasks, 10);
}

TEST(TaskSpec, EveryCommittedTaskReadsAndIsNamedAfterItsFile) {
  const std::filesystem::path directory =
      std::filesystem::path(MOEFY_SOURCE_DIR) / "configs" / "tasks";
  int num_tasks = 0;
  for (const auto& entry : std::filesystem::directory_iterator(directory)) {
    SCOPED_TRACE(entry.path());
    EXPECT_EQ(ReadTaskSpec(entry.path()).name, entry.path().stem());
    ++num_tasks;
  }
  EXPECT_GE(num_tasks, 12);
}

}  // namespace
}  // namespace moefy::task
