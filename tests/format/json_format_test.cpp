// What nlohmann_json lets pass, and strict JSON here does not.
#include <gtest/gtest.h>

#include "base/json.h"
#include "support/expect_error.h"

namespace moefy {
namespace {

struct JsonRow {
  std::string name;
  std::string bad;
  std::string fragment;
  std::string good;
};

std::vector<JsonRow> JsonRows() {
  using namespace std::string_literals;
  const auto nested = [](int depth) {
    return std::string(static_cast<size_t>(depth), '[') +
           std::string(static_cast<size_t>(depth), ']');
  };
  return {
      {"empty", "", "line 1, column 1", "null"},
      {"only_space", " \n ", "not valid JSON", " 1 "},
      {"byte_order_mark", "\xef\xbb\xbf{}", "byte order mark", "{}"},
      {"not_utf8", "\"\x80\"", "UTF-8", "\"\xc2\x80\""},
      {"cut_utf8", "\"\xe2\x82\"", "UTF-8", "\"\xe2\x82\xac\""},
      {"code_over_10ffff", "\"\xf4\x90\x80\x80\"", "UTF-8", "\"\xf4\x8f\xbf\xbf\""},
      {"trailing_nul", "{}\0"s, "NUL byte at line 1, column 3", "{}\n"},
      {"trailing_text", "{} {}", "line 1, column 4", "{} "},
      {"key_twice", R"({"a":1,"a":1})", "'a' appears twice", R"({"a":1,"A":1})"},
      {"key_twice_deep", R"([{"b":{"a":1,"c":2,"a":3}}])", "'a' appears twice",
       R"([{"a":1},{"a":1}])"},
      {"empty_key_twice", R"({"":1,"":1})", "appears twice", R"({"":1})"},
      {"depth_65", nested(65), "nested deeper than 64", nested(64)},
      {"unclosed", "{\"a\":\n[1,", "line 2", "{\"a\":\n[1]}"},
      {"comma_too_many", "[1,]", "column 4", "[1]"},
      {"comment", "[1 // one\n]", "not valid JSON", "[1\n]"},
      {"single_quotes", "{'a':1}", "column 2", R"({"a":1})"},
      {"nan", "[NaN]", "not valid JSON", "[null]"},
      {"infinity", "[Infinity]", "not valid JSON", "[1e308]"},
      {"overflow", "[1e999]", "1e999", "[1e-999]"},
      {"negative_overflow", "[-1e999]", "-1e999", "[-1e308]"},
      {"overflow_by_digits", "[" + std::string(400, '9') + "]", "not valid JSON",
       "[" + std::string(300, '9') + "]"},
      {"leading_zero", "[01]", "not valid JSON", "[0]"},
      {"plus_sign", "[+1]", "not valid JSON", "[1]"},
      {"lone_high_surrogate", R"(["\ud800"])", "surrogate", R"(["\ud83d\ude00"])"},
      {"lone_low_surrogate", R"(["\udc00"])", "surrogate", R"(["\u00e9"])"},
      {"two_high_surrogates", R"(["\ud800\ud800"])", "surrogate", R"(["\ud7ff"])"},
      {"control_character_in_string", "[\"a\nb\"]", "control character", R"(["a\nb"])"},
      {"bad_escape", R"(["\x41"])", "not valid JSON", R"(["\u0041"])"},
      {"unknown_word", "[nul]", "not valid JSON", "[null]"},
  };
}

class JsonFormat : public testing::TestWithParam<JsonRow> {};

TEST_P(JsonFormat, RefusesTheBadDocument) {
  tests::ExpectError(ErrorKind::kInput, {GetParam().fragment}, [&] { ParseJson(GetParam().bad); });
}

TEST_P(JsonFormat, AcceptsItsTwin) { EXPECT_NO_THROW(ParseJson(GetParam().good)); }

INSTANTIATE_TEST_SUITE_P(Table, JsonFormat, testing::ValuesIn(JsonRows()),
                         [](const auto& row) { return row.param.name; });

// Messages stay short and readable whatever the document is.
TEST(JsonFormatMore, MessagesAreBounded) {
  for (const std::string& text :
       {std::string(1 << 20, '['), "\"" + std::string(1 << 20, 'x'), std::string(1 << 20, '9'),
        "{\"" + std::string(1 << 20, 'k') + "\":1,\"" + std::string(1 << 20, 'k') + "\":2}"}) {
    try {
      ParseJson(text);
      ADD_FAILURE() << "parsed " << text.substr(0, 20);
    } catch (const Error& error) {
      EXPECT_LT(std::string(error.what()).size(), 500u);
      EXPECT_EQ(std::string(error.what()).find("json.exception"), std::string::npos);
    }
  }
}

TEST(JsonFormatMore, NoMutationEscapes) {
  const std::string good = R"({"a":[1,-2.5e3,true,null,"\u00e9\n"],"b":{"c":"x"}})";
  for (size_t at = 0; at < good.size(); ++at) {
    for (int byte = 0; byte < 256; ++byte) {
      std::string text = good;
      text[at] = static_cast<char>(byte);
      try {
        const Json json = ParseJson(text);
        EXPECT_EQ(ParseJson(FormatJson(json)), json) << text;
      } catch (const Error& error) {
        EXPECT_STREQ(tests::KindName(error.kind()), "kInput") << text;
      }
    }
  }
}

}  // namespace
}  // namespace moefy
