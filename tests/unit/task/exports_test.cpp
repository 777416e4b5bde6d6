// Data as people export it: what means the same is read alike, and what is wrong says what to do.
#include <gtest/gtest.h>

#include "base/json.h"
#include "support/expect_error.h"
#include "support/temp_dir.h"
#include "task/dataset.h"
#include "task/text_file.h"

namespace moefy::task {
namespace {

using Strings = std::vector<std::string>;

constexpr const char* kSentiment = R"({"name": "s", "format": "jsonl", "inputs": ["text"],
  "splits": {"eval": {"file": "data", "columns": {"text": "sentence", "label": "label"}}},
  "labels": [{"value": "0"}, {"value": "1"}]})";
constexpr const char* kChoice = R"({"name": "c", "kind": "multiple_choice", "format": "jsonl",
  "splits": {"eval": {"file": "data",
             "columns": {"question": "query", "choices": "choices", "label": "gold"}}},
  "prompt": "{question} {choices}"})";
constexpr const char* kQa = R"({"name": "q", "kind": "extractive_qa", "format": "jsonl",
  "splits": {"eval": {"file": "data",
             "columns": {"question": "question", "context": "context", "answer": "answers"}}},
  "prompt": "{question} {context}"})";
constexpr const char* kSquad = R"({"name": "q", "kind": "extractive_qa", "format": "squad",
  "splits": {"eval": {"file": "data"}}, "prompt": "{question} {context}"})";

// The task with some keys changed, on these bytes.
std::vector<Example> Read(std::string_view task, std::string_view bytes,
                          const Json& changes = Json::object()) {
  const tests::TempDir dir;
  Json json = ParseJson(task);
  json.update(changes);
  const TaskSpec spec = ReadTaskSpec(dir.Write("task.json", FormatJson(json)));
  dir.Write("data", bytes);
  return ReadDataset(spec, "eval", {}).examples;
}

// "label:text|label:text"
std::string Labels(std::string_view bytes, const Json& changes = Json::object()) {
  Strings shown;
  for (const Example& example : Read(kSentiment, bytes, changes)) {
    shown.push_back(StrCat(example.label_idx, ":", example.fields.at("text")));
  }
  return Join(shown, "|");
}

TEST(Exports, RowsOfJson) {
  const char* const kLayouts[] = {
      "{\"sentence\": \"a\", \"label\": 1}\n{\"sentence\": \"b\", \"label\": 0}\n",
      "[{\"sentence\": \"a\", \"label\": 1},\n {\"sentence\": \"b\", \"label\": 0}]",
      "{\"data\": [{\"sentence\": \"a\", \"label\": 1}, {\"sentence\": \"b\", \"label\": 0}]}",
      "\xef\xbb\xbf[{\"sentence\": \"a\", \"label\": 1}, {\"sentence\": \"b\", \"label\": 0}]",
      // What means the same label: floats after a join, booleans, spaces.
      "{\"sentence\": \"a\", \"label\": 1.0}\n{\"sentence\": \"b\", \"label\": 0.0}\n",
      "{\"sentence\": \"a\", \"label\": true}\n{\"sentence\": \"b\", \"label\": false}\n",
      "{\"sentence\": \"a\", \"label\": \" 1\"}\n{\"sentence\": \"b\", \"label\": \"0 \"}\n",
      "{\"sentence\": \"a\", \"label\": \"True\"}\n{\"sentence\": \"b\", \"label\": \"False\"}\n",
  };
  for (const char* layout : kLayouts) EXPECT_EQ(Labels(layout), "1:a|0:b") << layout;
  EXPECT_EQ(Labels("{\"sentence\": \"a\\u0000b\", \"label\": 1}"), std::string("1:a\0b", 5));
}

TEST(Exports, Tables) {
  const Json csv = {{"format", "csv"}}, tsv = {{"format", "tsv"}};
  const Json semicolon = {{"format", "csv"}, {"separator", ";"}};
  const Json quoted_tabs = {{"format", "csv"}, {"separator", "\t"}};
  EXPECT_EQ(Labels("sentence;label\na, b;1\n\"c;d\";0\n", semicolon), "1:a, b|0:c;d");
  EXPECT_EQ(Labels("sep=,\r\nsentence,label\r\na,1\r\nb,0\r\n", csv), "1:a|0:b");
  EXPECT_EQ(Labels("sep=;\nsentence;label\na;1\n", csv), "1:a");
  EXPECT_EQ(Labels("sentence, label\na, 1\nb, 0\n", csv), "1:a|0:b");
  EXPECT_EQ(Labels(",sentence,label\n0,a,1\n1,b,0\n", csv), "1:a|0:b");  // pandas' index
  EXPECT_EQ(Labels("\"sentence\"\t\"label\"\n\"a\"\t\"1\"\n", quoted_tabs), "1:a");
  EXPECT_EQ(Labels("sentence\tlabel\ra\t1\rb\t0\r", tsv), "1:a|0:b");  // an old Mac's lines
  EXPECT_EQ(Labels("sentence\tlabel\na\t1\n", tsv), "1:a");            // one row will do
}

TEST(Exports, MistakesComeWithAdvice) {
  const Json csv = {{"format", "csv"}}, tsv = {{"format", "tsv"}};
  struct Bad {
    std::string bytes;
    Json changes;
    Strings fragments;
  };
  const Bad kBad[] = {
      {"{\"sentence\": \"a\", \"label\": 1, \"score\": NaN}", {}, {"line 1", "NaN is no JSON"}},
      {"{\"sentence\": \"a\", \"label\": 1},\n", {}, {"line 1", "no commas between them"}},
      {"{\"sentence\": \"a\\ud83d\", \"label\": 1}", {}, {"line 1", "half of a surrogate pair"}},
      {"[]", {}, {"has no examples"}},
      {"sentence;label\na;1\n", csv, {"line 1", "';' seems to stand", "\"separator\": \";\""}},
      {"sentence,label\na,1\n", tsv, {"',' seems to stand", "\"format\": \"csv\""}},
      {"sentence\tlabel\n\"a\"\t\"1\"\n", tsv, {"line 2", "no quotes", "\"separator\": \"\\t\""}},
      {"sentence\tlabel\na\t1\t\n", tsv, {"line 2: has 3 columns", "at the end of the line"}},
      {"sentence\tlabel\na\t-1\n", tsv, {"line 2", "'-1'", "GLUE's test files", "validation"}},
      {"sentence\tlabel\na\t\n", tsv, {"line 2", "this row has no label"}},
      {"sentence\tlabel\na\t2.0\n", tsv, {"line 2", "'2.0' is not a label"}},
      {"\xff\xfes\0e\0", tsv, {"line 1, byte 1 is 0xff", "iconv -f UTF-16"}},
      {"sentence\tlabel\ncaf\xe9\t1\n", tsv, {"line 2, byte 4 is 0xe9", "Windows-1252"}},
  };
  for (const Bad& bad : kBad) {
    SCOPED_TRACE(bad.bytes);
    const Json changes = bad.changes.is_null() ? Json::object() : bad.changes;
    for (const std::string& fragment : bad.fragments) {
      tests::ExpectError(ErrorKind::kInput, {"data: ", fragment},
                         [&] { Read(kSentiment, bad.bytes, changes); });
    }
  }
}

TEST(Exports, LabelsThatAreWordsAreNotGuessed) {
  const Json words = {{"labels", ParseJson(R"([{"value": "true"}, {"value": "1"}])")}};
  EXPECT_EQ(Labels("{\"sentence\": \"a\", \"label\": true}\n{\"sentence\": \"b\", \"label\": 1}\n",
                   words),
            "0:a|1:b");
  const Json twice = {{"labels", ParseJson(R"([{"value": "1.0"}, {"value": "1.00"}])")}};
  EXPECT_EQ(Labels("{\"sentence\": \"a\", \"label\": \"1.00\"}", twice), "1:a");
  tests::ExpectError(ErrorKind::kInput, {"'1' is not a label"},
                     [&] { Labels("{\"sentence\": \"a\", \"label\": 1}", twice); });
}

int64_t Right(const std::string& choices, const std::string& label,
              const Json& changes = Json::object()) {
  const std::string row =
      R"({"query": "q?", "choices": )" + choices + R"(, "gold": )" + label + "}";
  return Read(kChoice, row, changes).at(0).label_idx;
}

TEST(Exports, ChoicesAsAList) {
  const Example example =
      Read(kChoice, R"({"query": "q?", "choices": ["x", "y", 3], "gold": 2})").at(0);
  EXPECT_EQ(example.choices, (Strings{"x", "y", "3"}));
  EXPECT_EQ(example.label_idx, 2);
  EXPECT_EQ(example.fields.at("choices"), "(A) x (B) y (C) 3");
  const std::string list = R"(["red", "green", "blue"])";
  for (const char* label : {"1", "1.0", "\"1\"", "\"B\"", "\"green\"", "\" B\""}) {
    EXPECT_EQ(Right(list, label), 1) << label;
  }
  // The datasets library's ARC; the labels may be numbers from 1.
  EXPECT_EQ(Right(R"({"text": ["x", "y"], "label": ["A", "B"]})", "\"B\""), 1);
  EXPECT_EQ(Right(R"({"text": ["x", "y"], "label": ["1", "2"]})", "\"1\""), 0);
  const Json from_one = {{"labels", ParseJson(R"([{"value": "1"}, {"value": "2"}])")}};
  EXPECT_EQ(Right(R"(["x", "y"])", "1", from_one), 0);
  EXPECT_EQ(Right(R"(["1", "0"])", "\"A\""), 0);
  EXPECT_EQ(Right(R"(["1", "0"])", "1"), 1);  // a number without quotes is an index
  EXPECT_EQ(Right("[4, 5]", "5"), 1);         // but where there is no such index, the choice
}

TEST(Exports, ChoicesThatAreWrong) {
  struct {
    const char *choices, *label, *fragment;
  } constexpr kBad[] = {
      {"[\"x\", \"y\"]", "2", "'2' is neither an index from 0 to 1 nor a letter from A to B"},
      {"[\"x\", \"y\"]", "2", "indices that begin with 1 need the task's \"labels\""},
      {"[\"x\", \"y\"]", "-1", "GLUE's test files"},
      {"[\"x\", \"y\"]", "\"z\"", "nor a choice"},
      {"[\"1\", \"0\"]", "\"1\"", "a choice and an index or letter of another"},
      {"[\"x\"]", "0", "has 1 choices; expected 2 to 26"},
      {"[\"x\", null]", "0", "field 'choices'[1] is null; expected a string"},
      {"\"x, y\"", "0", "field 'choices': is text; expected a list"},
      {"{\"text\": [\"x\", \"y\"], \"label\": [\"A\"]}", "0", "2 texts and 1 labels"},
      {"{\"text\": [\"x\", \"y\"], \"label\": [\"A\", \"B\"]}", "\"C\"", "they are 'A', 'B'"},
  };
  EXPECT_EQ(Right("[\"x\", \"y\"]", "1"), 1);
  for (const auto& bad : kBad) {
    SCOPED_TRACE(bad.fragment);
    tests::ExpectError(ErrorKind::kInput, {"line 1: ", bad.fragment},
                       [&] { Right(bad.choices, bad.label); });
  }
}

TEST(Exports, SeveralContextsWithOneContinuation) {
  const tests::TempDir dir;
  Json json = ParseJson(kChoice);
  json["splits"]["eval"]["columns"] = {{"choices", "options"}, {"rest", "rest"}, {"label", "gold"}};
  json["prompt"] = "{choice}";
  json["continuation"] = "{rest}";
  const auto read = [&] { return ReadTaskSpec(dir.Write("task.json", FormatJson(json))); };
  TaskSpec spec = read();
  dir.Write("data", R"({"options": ["so Ann", "so Bob"], "rest": "left.", "gold": 1})");
  Example example = ReadDataset(spec, "eval", {}).examples.at(0);
  EXPECT_EQ(example.choices, (Strings{"so Ann", "so Bob"}));
  example.fields["choice"] = example.choices[1];
  EXPECT_EQ(FormatPrompt(spec, example), "so Bob");
  EXPECT_EQ(FormatContinuation(spec, example), "left.");
  const auto refuse = [&](const char* key, const Json& value, const char* fragment) {
    const Json before = json;
    json[key] = value;
    tests::ExpectError(ErrorKind::kUsage, {fragment}, read);
    json = before;
  };
  refuse("continuation", "", "prompt has {choice}, but no \"continuation\"");
  refuse("continuation", "{rst}", "continuation names the field 'rst' (did you mean 'rest'?)");
  refuse("continuation", "{label}", "give the answer away");
  refuse("continuation", "{choices}", "continuation has the choice in it");
  refuse("prompt", "{choices}", "the prompt has no {choice}");
  refuse("answer_by_letter", true, "answer_by_letter does not go with continuation");
}

Strings Answers(const std::string& answers, const std::string& context = "said Ann in Köln") {
  return Read(kQa,
              R"({"question": "q?", "context": ")" + context + R"(", "answers": )" + answers + "}")
      .at(0)
      .answers;
}

TEST(Exports, QuestionsInAFlatTable) {
  EXPECT_EQ(Answers("\"Ann\""), Strings{"Ann"});
  EXPECT_EQ(Answers("[\"Ann\", \"Köln\"]"), (Strings{"Ann", "Köln"}));
  EXPECT_EQ(Answers(R"({"text": ["Ann"], "answer_start": [5]})"), Strings{"Ann"});
  EXPECT_EQ(Answers(R"([{"text": "Ann", "answer_start": "5"}])"), Strings{"Ann"});
  EXPECT_EQ(Answers(R"({"text": [], "answer_start": []})"), Strings{});  // it does not tell
  EXPECT_EQ(Answers("\" Köln \""), Strings{"Köln"});
  const auto refuse = [](const std::string& answers, std::string_view fragment) {
    tests::ExpectError(ErrorKind::kInput, {"line 1: field 'answer'", fragment},
                       [&] { Answers(answers); });
  };
  refuse("\"Bob\"", "'Bob' is not in the context");
  refuse("\"Ko\u0308ln\"", "normalise both to NFC");
  refuse("{\"text\": [1, null]}", "text[1] is null; expected a string");
  refuse("\"\"", "is empty");
}

TEST(Exports, SquadAsTheDatasetsLibraryHasIt) {
  const auto squad = [](const std::string& answers) {
    return Read(kSquad,
                "\xef\xbb\xbf"
                R"({"data": [{"paragraphs": [{"context": "said Ann in Köln",
        "qas": [{"question": "q?", "answers": )" +
                    answers + "}]}]}]}")
        .at(0)
        .answers;
  };
  EXPECT_EQ(squad(R"([{"text": "Ann", "answer_start": "5"}])"), Strings{"Ann"});
  EXPECT_EQ(squad(R"({"text": ["Ann", " Köln "], "answer_start": [5, 11]})"),
            (Strings{"Ann", "Köln"}));
  tests::ExpectError(ErrorKind::kInput, {"answers: text[1]: 'Bob' is not in the context"},
                     [&] { squad(R"({"text": ["Ann", "Bob"]})"); });
}

TEST(Exports, TextsToPredictInATable) {
  const auto texts = [](const Json& changes) {
    return Read(R"({"name": "t", "kind": "language_modelling", "format": "jsonl",
        "splits": {"eval": {"file": "data", "columns": {"text": "story"}}}})",
                "{\"story\": \"a b\"}\n{\"story\": \"c\"}\n", changes);
  };
  EXPECT_EQ(texts(Json::object()).at(1).fields.at("text"), "c");
  const Json other = ParseJson(R"({"splits": {"eval": {"file": "data", "columns": {"t": "s"}}}})");
  tests::ExpectError(ErrorKind::kUsage, {"columns has no field 'text'"}, [&] { texts(other); });
}

TEST(Texts, OfPlainFilesAndOfJson) {
  const tests::TempDir dir;
  const auto read = [&](const std::string& name, std::string_view bytes, const char* field,
                        int64_t limit = 0) {
    Strings shown;
    for (const FileText& text : ReadTexts(dir.Write(name, bytes), field, limit)) {
      shown.push_back(StrCat(text.line, ":", text.text));
    }
    return Join(shown, "|");
  };
  EXPECT_EQ(read("a.txt", "\xef\xbb\xbf{\"text\": 1}\n\nb\n", "text"), "1:{\"text\": 1}|3:b");
  const char* const rows = "{\"text\": \"a\"}\n\n{\"text\": \"b\\nc\"}\n{\"text\": \"d\"}\n";
  for (const char* name : {"a.jsonl", "a.NDJSON", "a.json"}) {
    EXPECT_EQ(read(name, rows, "text"), "1:a|3:b\nc|4:d");
  }
  EXPECT_EQ(read("a.jsonl", rows, "text", 2), "1:a|3:b\nc");
  EXPECT_EQ(read("a.json", "[{\"body\": \"a\"},\n{\"body\": \"b\"}]", "body"), "1:a|2:b");
  const auto refuse = [&](const std::string& name, std::string_view bytes,
                          std::initializer_list<std::string_view> fragments) {
    tests::ExpectError(ErrorKind::kInput, fragments, [&] { read(name, bytes, "text"); });
  };
  refuse("a.jsonl", "{\"text\": \"a\"}\n{\"txt\": \"b\"}\n",
         {"a.jsonl: line 2: no key 'text' (did you mean 'txt'?)", "--field"});
  refuse("a.jsonl", "{\"text\": [1]}", {"line 1: key 'text' is array; expected a string"});
  refuse("a.jsonl", "{\"text\": \"a\"}\n{\n", {"line 2: not valid JSON"});
  refuse("a.jsonl", "\n", {"no text in it"});
  refuse("a.txt", "ab\ncaf\xe9\n", {"a.txt: line 2, byte 4 is 0xe9"});
  refuse("a.txt", std::string_view("\xff\xfeh\0", 4), {"a.txt: line 1, byte 1", "UTF-16"});
}

}  // namespace
}  // namespace moefy::task
