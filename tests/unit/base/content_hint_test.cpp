#include "base/content_hint.h"

#include <gtest/gtest.h>

#include "base/json.h"
#include "base/output.h"
#include "support/expect_error.h"
#include "support/temp_dir.h"

namespace moefy {
namespace {

using tests::ExpectError;

TEST(ContentHint, JsonThatIsSomethingElse) {
  const tests::TempDir dir;
  ExpectError(ErrorKind::kInput, {"config.json", "a server's answer that there is no such file"},
              [&] { ReadJsonFile(dir.Write("config.json", "Entry not found")); });
  ExpectError(ErrorKind::kInput, {"config.json", "an HTML page"},
              [&] { ReadJsonFile(dir.Write("config.json", "<!doctype HTML><html>")); });
  ExpectError(ErrorKind::kInput, {"config.json", "the file is empty"},
              [&] { ReadJsonFile(dir.Write("config.json", "")); });
  ExpectError(ErrorKind::kInput, {"config.json", "byte order mark (BOM)", "UTF-8 without"},
              [&] { ReadJsonFile(dir.Write("config.json", "\xef\xbb\xbf{}")); });
  EXPECT_TRUE(ReadJsonFile(dir.Write("config.json", "{}")).is_object());
}

TEST(ContentHint, NoTextFileIsAnLfsPointer) {
  const tests::TempDir dir;
  const std::string pointer = "version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 4\n";
  ExpectError(ErrorKind::kInput, {"spiece.model", "git lfs pull"},
              [&] { ReadTextFile(dir.Write("spiece.model", pointer)); });
  EXPECT_EQ(ReadTextFile(dir.Write("text", "version 2")), "version 2");
  EXPECT_EQ(ContentHint("version 2"), "");
}

}  // namespace
}  // namespace moefy
