#include "base/json_rows.h"

#include <gtest/gtest.h>

#include "moefy/base/strings.h"

namespace moefy {
namespace {

// "line:{...}" for each row, "line!problem" for one with a problem.
std::string Shown(std::string_view text) {
  JsonRows rows(text);
  std::vector<std::string> shown;
  for (JsonRow row; rows.Next(row);) {
    shown.push_back(row.problem.empty() ? StrCat(row.line, ":", row.value.dump())
                                        : StrCat(row.line, "!", row.problem));
  }
  return Join(shown, " ");
}

TEST(JsonRows, EveryLayoutThatPeopleExport) {
  struct {
    const char *name, *text, *shown;
  } constexpr kLayouts[] = {
      {"lines", "{\"a\": 1}\n{\"a\": 2}\n", "1:{\"a\":1} 2:{\"a\":2}"},
      {"windows", "{\"a\": 1}\r\n{\"a\": 2}", "1:{\"a\":1} 2:{\"a\":2}"},
      {"one_line", "{\"a\": [{\"b\": 1}]}", "1:{\"a\":[{\"b\":1}]}"},
      {"array", "[{\"a\": 1}, {\"a\": \"]}\\\"\"}]\n", "1:{\"a\":1} 1:{\"a\":\"]}\\\"\"}"},
      {"pretty_array", "[\n {\n  \"a\": 1\n },\n {\"a\": 2}\n]\n\n", "2:{\"a\":1} 5:{\"a\":2}"},
      {"array_of_none", " [ ] ", ""},
      {"data", "{\"version\": \"[1]\", \"data\": [{\"a\": 1},\n{\"a\": 2}], \"more\": {}}",
       "1:{\"a\":1} 2:{\"a\":2}"},
      {"data_of_none", "{\"data\": []}\n", ""},
      {"data_of_a_row", "{\"data\": [1, 2]}\n{\"data\": [3]}\n",
       "1:{\"data\":[1,2]} 2:{\"data\":[3]}"},
      {"pretty_objects", "{\n \"a\": 1\n}\n{\n \"a\": 2\n}\n", "1:{\"a\":1} 4:{\"a\":2}"},
      {"a_pretty_row", "{\n \"a\": [1]\n}\n", "1:{\"a\":[1]}"},
      {"nothing", " \n", "1!is empty"},
  };
  for (const auto& layout : kLayouts) {
    SCOPED_TRACE(layout.name);
    EXPECT_EQ(Shown(layout.text), layout.shown);
  }
}

TEST(JsonRows, ABadRowCostsItselfOnly) {
  EXPECT_EQ(Shown("{\"a\": 1}\n\n{\"a\": 2}"), "1:{\"a\":1} 2!is empty 3:{\"a\":2}");
  EXPECT_EQ(Shown("{\"a\": 1}\n[2]\n{\"a\": 2}"), "1:{\"a\":1} 2!not a JSON object 3:{\"a\":2}");
  EXPECT_EQ(Shown("[{\"a\": 1}, 2, {\"a\": 3}]"), "1:{\"a\":1} 1!not a JSON object 1:{\"a\":3}");
}

TEST(JsonRows, SaysWhatIsWrong) {
  struct {
    const char *text, *fragment;
  } constexpr kBad[] = {
      {"{\"a\": 1}\n{\"a\": 1,\n", "2!not valid JSON at column"},
      {"{\"a\": 1},\n{\"a\": 2},\n", "1!not valid JSON at column 9"},
      {"{\"a\": 1},\n{\"a\": 2},\n", "JSON lines have no commas between them"},
      {"{\"a\": NaN}\n", "NaN is no JSON"},
      {"{\"a\": -Infinity}\n", "Infinity is no JSON"},
      {"{\"a\": \"\\ud83d\"}\n", "half of a surrogate pair"},
      {"{'a': 1}\n", "Python dictionary"},
      {"{\"a\": \"\xe9\"}\n", "1!byte 8 is 0xe9, not valid UTF-8"},
      {"[\n{\"a\": 1},\n{\"a\":\n x}]", "3!not valid JSON at line 4, column 2"},
      {"[{\"a\": 1} {\"a\": 2}]", "1!no comma before this object"},
      {"[{\"a\": 1},\n]", "1!a comma stands before the end of the array"},
      {"[{\"a\": 1}", "1!the array is not closed"},
      {"[{\"a\": 1}, {\"a\"", "1!this object of the array is not closed"},
      {"[{\"a\": 1}] x", "1!something stands behind the array"},
      {"[}]", "expected an object, found '}'"},
  };
  for (const auto& bad : kBad) {
    const std::string shown = Shown(bad.text);
    EXPECT_NE(shown.find(bad.fragment), std::string::npos) << bad.text << "\n" << shown;
  }
}

TEST(JsonRows, NamesThatSayJson) {
  for (const char* name : {"a.jsonl", "a.JSONL", "a.b.ndjson", "a.Json"}) {
    EXPECT_TRUE(HasJsonName(name)) << name;
  }
  for (const char* name : {"a.txt", "jsonl", "a.jsonl.txt", ""}) {
    EXPECT_FALSE(HasJsonName(name)) << name;
  }
}

}  // namespace
}  // namespace moefy
