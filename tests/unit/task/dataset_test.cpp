#include "task/dataset.h"

#include <gtest/gtest.h>

#include <filesystem>

#include "support/expect_error.h"
#include "support/temp_dir.h"

namespace moefy::task {
namespace {

TaskSpec Spec(DataFormat format) {
  TaskSpec spec;
  spec.name = "tiny";
  spec.format = format;
  spec.splits = {{"train", "data", {{"text", "sentence"}, {"label", "label"}}}};
  spec.inputs = {"text"};
  spec.prompt = "tiny: {text}!";
  spec.labels = {{"0", "negative"}, {"1", "positive"}};
  return spec;
}

std::vector<Example> Read(DataFormat format, std::string_view bytes, int64_t limit = 0) {
  const tests::TempDir dir;
  dir.Write("data", bytes);
  return ReadDataset(Spec(format), "train", dir.path(), limit).examples;
}

// "label:text|label:text"
std::string Shown(const std::vector<Example>& examples) {
  std::vector<std::string> shown;
  for (const Example& example : examples) {
    shown.push_back(StrCat(example.label_idx, ":", example.fields.at("text")));
  }
  return Join(shown, "|");
}

struct GoodData {
  const char* name;
  DataFormat format;
  std::string bytes;
  const char* shown;
};

const GoodData kGoodData[] = {
    {"tsv", DataFormat::kTsv, "label\tsentence\n1\ta b\n0\t\"c\n", "1:a b|0:\"c"},
    {"tsv_other_columns", DataFormat::kTsv, "id\tsentence\tlabel\n7\ta\t1\n", "1:a"},
    {"tsv_crlf", DataFormat::kTsv, "label\tsentence\r\n1\ta\r\n0\tb\r\n", "1:a|0:b"},
    {"tsv_no_final_newline", DataFormat::kTsv, "label\tsentence\n1\ta", "1:a"},
    {"tsv_final_empty_lines", DataFormat::kTsv, "label\tsentence\n1\ta\n\n\n", "1:a"},
    {"tsv_byte_order_mark", DataFormat::kTsv, "\xef\xbb\xbflabel\tsentence\n1\ta\n", "1:a"},
    {"tsv_empty_cell", DataFormat::kTsv, "label\tsentence\n1\t\n0\tb\n", "1:|0:b"},
    {"csv", DataFormat::kCsv, "label,sentence\n1,a b\n0,c\n", "1:a b|0:c"},
    {"csv_quotes", DataFormat::kCsv, "label,sentence\n\"1\",\"a \"\"b\"\", c\"\n", "1:a \"b\", c"},
    {"csv_newline_in_cell", DataFormat::kCsv, "label,sentence\r\n1,\"a\nb\"\r\n0,c\r\n",
     "1:a\nb|0:c"},
    {"csv_quoted_header", DataFormat::kCsv, "\"label\",\"sentence\"\n1,a\n", "1:a"},
    {"csv_empty_cells", DataFormat::kCsv, "sentence,label\n,1\n\"\",0\n", "1:|0:"},
    {"jsonl", DataFormat::kJsonl,
     "{\"label\": \"1\", \"sentence\": \"a\\nb\", \"more\": null}\n{\"sentence\": \"c\", "
     "\"label\": 0}\n",
     "1:a\nb|0:c"},
    {"jsonl_number_as_text", DataFormat::kJsonl, "{\"label\": 1, \"sentence\": 3.5}", "1:3.5"},
};

TEST(Dataset, ReadsEveryFormat) {
  for (const GoodData& good : kGoodData) {
    SCOPED_TRACE(good.name);
    EXPECT_EQ(Shown(Read(good.format, good.bytes)), good.shown);
  }
}

struct BadData {
  const char* name;
  DataFormat format;
  std::string bytes;
  std::vector<const char*> fragments;
};

const BadData kBadData[] = {
    {"empty", DataFormat::kTsv, "", {"is empty"}},
    {"only_newlines", DataFormat::kJsonl, "\n\r\n", {"is empty"}},
    {"only_header", DataFormat::kTsv, "label\tsentence\n", {"no examples"}},
    {"tsv_no_column",
     DataFormat::kTsv,
     "label\tsentense\n1\ta\n",
     {"line 1", "field 'text'", "0 columns are named 'sentence'", "did you mean 'sentense'",
      "the header has 'label', 'sentense'"}},
    {"tsv_two_columns",
     DataFormat::kTsv,
     "label\tlabel\tsentence\n",
     {"2 columns are named 'label'"}},
    {"csv_instead_of_tsv", DataFormat::kTsv, "label,sentence\n1,a\n", {"'label,sentence'"}},
    {"tsv_too_many_cells",
     DataFormat::kTsv,
     "label\tsentence\n1\ta\n0\tb\tc\n",
     {"line 3: has 3 columns; the header has 2"}},
    {"tsv_empty_line", DataFormat::kTsv, "label\tsentence\n1\ta\n\n0\tb\n", {"line 3: is empty"}},
    {"tsv_label",
     DataFormat::kTsv,
     "label\tsentence\n1\ta\n2\tb\n",
     {"line 3: field 'label': '2' is not a label of task 'tiny'; its labels are '0', '1'"}},
    {"tsv_not_utf8",
     DataFormat::kTsv,
     "label\tsentence\n1\ta\xff\n",
     {"line 2, byte 4 is 0xff, not valid UTF-8"}},
    {"csv_not_closed",
     DataFormat::kCsv,
     "label,sentence\n1,a\n0,\"b\n",
     {"line 3: a quote is not closed"}},
    {"csv_after_quote",
     DataFormat::kCsv,
     "label,sentence\n1,\"a\"b\n",
     {"line 2: text after a closing quote"}},
    {"csv_quote_inside", DataFormat::kCsv, "label,sentence\n1,a\"b\n", {"line 2: a quote inside"}},
    {"csv_line_after_newline_in_cell",
     DataFormat::kCsv,
     "label,sentence\n1,\"a\nb\nc\"\n7,d\n",
     {"line 5: field 'label': '7'"}},
    {"csv_columns", DataFormat::kCsv, "label,sentence\n1\n", {"line 2: has 1 columns"}},
    {"jsonl_broken",
     DataFormat::kJsonl,
     "{\"label\": 1, \"sentence\": \"a\"}\n{\"label\": 1,\n",
     {"line 2: not valid JSON at column"}},
    {"jsonl_not_object", DataFormat::kJsonl, "[1]\n", {"line 1: not a JSON object"}},
    {"jsonl_missing",
     DataFormat::kJsonl,
     "{\"label\": 1, \"sentenc\": \"a\"}\n",
     {"line 1: field 'text' (column 'sentence'): missing (did you mean 'sentenc'?)"}},
    {"jsonl_null",
     DataFormat::kJsonl,
     "{\"label\": null, \"sentence\": \"a\"}\n",
     {"field 'label': is null; expected a string or a number"}},
    {"jsonl_twice",
     DataFormat::kJsonl,
     "{\"label\": 1, \"label\": 0, \"sentence\": \"a\"}\n",
     {"twice"}},
    {"jsonl_not_utf8",
     DataFormat::kJsonl,
     "{\"label\": 1, \"sentence\": \"\xff\"}\n",
     {"line 1", "UTF-8"}},
    {"jsonl_empty_line",
     DataFormat::kJsonl,
     "{\"label\": 1, \"sentence\": \"a\"}\n\n{}",
     {"line 2: is empty", "line 3: field"}},
};

TEST(Dataset, RefusesBadData) {
  for (const BadData& bad : kBadData) {
    SCOPED_TRACE(bad.name);
    for (const char* fragment : bad.fragments) {
      tests::ExpectError(ErrorKind::kInput, {"/data: ", fragment},
                         [&] { Read(bad.format, bad.bytes); });
    }
  }
}

TEST(Dataset, NamesSeveralProblemsAndStops) {
  std::string bytes = "label\tsentence\n";
  bytes += "2\ta\n1\tb\tc\n";
  tests::ExpectError(ErrorKind::kInput, {"2 problems:", "line 2:", "line 3:"},
                     [&] { Read(DataFormat::kTsv, bytes); });
  for (int i = 0; i < 10; ++i) bytes += "2\ta\n";
  tests::ExpectError(ErrorKind::kInput, {"5 problems (the rest was not read)", "line 6:"},
                     [&] { Read(DataFormat::kTsv, bytes); });
}

TEST(Dataset, LimitKeepsTheFirst) {
  const std::string bytes = "label\tsentence\n1\ta\n0\tb\n7\tc\n";
  EXPECT_EQ(Shown(Read(DataFormat::kTsv, bytes, 2)), "1:a|0:b");
  EXPECT_EQ(Shown(Read(DataFormat::kTsv, bytes, 1)), "1:a");
  tests::ExpectError(ErrorKind::kUsage, {"limit on examples is -1"},
                     [&] { Read(DataFormat::kTsv, bytes, -1); });
}

TEST(Dataset, FindsTheFile) {
  const tests::TempDir dir;
  dir.Write("data", "label\tsentence\n1\ta\n");
  TaskSpec spec = Spec(DataFormat::kTsv);
  spec.directory = dir.path();
  EXPECT_EQ(ReadDataset(spec, "train", {}).files.at(0), dir / "data");  // beside the task file
  tests::ExpectError(ErrorKind::kInput, {"/absent/data", "no such file"},
                     [&] { ReadDataset(spec, "train", dir / "absent"); });
  tests::ExpectError(ErrorKind::kUsage, {"no split 'test'"},
                     [&] { ReadDataset(spec, "test", {}); });
}

// "text|text", of the fields of parallel text.
std::string ReadParallel(std::string_view en, std::string_view pt) {
  const tests::TempDir dir;
  dir.Write("news.en", en);
  dir.Write("news.pt", pt);
  TaskSpec spec = Spec(DataFormat::kParallel);
  spec.kind = TaskKind::kGeneration;
  spec.labels = {};
  spec.splits = {{"train", "news", {{"text", "en"}, {"answer", "pt"}}}};
  std::vector<std::string> shown;
  const Dataset dataset = ReadDataset(spec, "train", dir.path());
  EXPECT_EQ(dataset.files.size(), 2u);
  for (const Example& example : dataset.examples) {
    shown.push_back(StrCat(example.fields.at("text"), "=", example.answers.at(0)));
  }
  return Join(shown, "|");
}

TEST(Dataset, ReadsAFileForEachFieldOfParallelText) {
  EXPECT_EQ(ReadParallel("one\ntwo, 2\n", "um\ndois, 2"), "one=um|two, 2=dois, 2");
  EXPECT_EQ(ReadParallel("\xef\xbb\xbfone\r\n\"two\"\r\n", "um\n\tdois\n\n"),
            "one=um|\"two\"=\tdois");
  EXPECT_EQ(ReadParallel("one\n\nthree", "um\ndois\ntrês"), "one=um|=dois|three=três");
}

TEST(Dataset, RefusesParallelTextThatIsNot) {
  tests::ExpectError(ErrorKind::kInput,
                     {"/news: the files have different numbers of lines", "2 of field 'text' (.en)",
                      "1 of field 'answer' (.pt)"},
                     [] { ReadParallel("one\ntwo\n", "um\n"); });
  tests::ExpectError(ErrorKind::kInput, {"/news.pt: line 2, byte 1 is 0xff"},
                     [] { ReadParallel("one\ntwo\n", "um\n\xff\n"); });
  tests::ExpectError(ErrorKind::kInput, {"/news.en: is empty"}, [] { ReadParallel("\n", "um"); });
}

TEST(Dataset, RefusesHugeFiles) {
  const tests::TempDir dir;
  std::filesystem::resize_file(dir.Write("data", "x"), 2'000'000'001);  // sparse
  tests::ExpectError(ErrorKind::kInput, {"/data", "2.00 GB"},
                     [&] { ReadDataset(Spec(DataFormat::kTsv), "train", dir.path()); });
}

TEST(Dataset, FormatsPrompts) {
  const Example example{.fields = {{"text", "a {b}"}}, .label_idx = 0};
  EXPECT_EQ(FormatPrompt(Spec(DataFormat::kTsv), example), "tiny: a {b}!");
}

}  // namespace
}  // namespace moefy::task
