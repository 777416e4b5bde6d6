#include "task/prompt.h"

#include <gtest/gtest.h>

#include "support/expect_error.h"

namespace moefy::task {
namespace {

// Fields as "[name]".
std::string Shown(std::string_view prompt) {
  std::string out;
  for (const PromptPart& part : ParsePrompt(prompt)) {
    out += part.is_field ? "[" + part.text + "]" : part.text;
  }
  return out;
}

TEST(Prompt, FieldsAndBraces) {
  EXPECT_EQ(Shown("sst2 sentence: {sentence}"), "sst2 sentence: [sentence]");
  EXPECT_EQ(Shown("{a}{b}"), "[a][b]");
  EXPECT_EQ(Shown("{{a}} {{{a}}}"), "{a} {[a]}");
  EXPECT_EQ(Shown(""), "");
}

TEST(Prompt, RefusesLoneBraces) {
  tests::ExpectError(ErrorKind::kUsage, {"'{' at byte 3 is not closed"},
                     [] { ParsePrompt("a {b"); });
  tests::ExpectError(ErrorKind::kUsage, {"'{' at byte 1"}, [] { ParsePrompt("{a{b}}"); });
  tests::ExpectError(ErrorKind::kUsage, {"'}' at byte 2 closes nothing"},
                     [] { ParsePrompt("b}"); });
  tests::ExpectError(ErrorKind::kUsage, {"names no field"}, [] { ParsePrompt("{}"); });
}

}  // namespace
}  // namespace moefy::task
