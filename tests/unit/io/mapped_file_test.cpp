#include "io/mapped_file.h"

#include <gtest/gtest.h>

#include "support/expect_error.h"
#include "support/safetensors_bytes.h"
#include "support/temp_dir.h"

namespace moefy::io {
namespace {

TEST(MappedFile, ShowsTheBytes) {
  const tests::TempDir dir;
  const MappedFile file(dir.Write("f", "hello"));
  EXPECT_EQ(tests::AsString(file.bytes()), "hello");
  EXPECT_EQ(file.path(), dir / "f");
}

TEST(MappedFile, AnEmptyFileHasNoBytes) {
  const tests::TempDir dir;
  EXPECT_TRUE(MappedFile(dir.Write("f", "")).bytes().empty());
}

TEST(MappedFile, BytesStayWhereTheyAreWhenMoved) {
  const tests::TempDir dir;
  MappedFile first(dir.Write("a", "one"));
  const std::byte* address = first.bytes().data();
  MappedFile second = std::move(first);
  EXPECT_EQ(second.bytes().data(), address);
  MappedFile third(dir.Write("b", "two"));
  third = std::move(second);
  EXPECT_EQ(tests::AsString(third.bytes()), "one");
  EXPECT_EQ(third.path(), dir / "a");
}

TEST(MappedFile, SurvivesTheFilesReplacement) {
  const tests::TempDir dir;
  const MappedFile file(dir.Write("f", "old"));
  std::filesystem::remove(dir / "f");
  dir.Write("f", "new");
  EXPECT_EQ(tests::AsString(file.bytes()), "old");
}

TEST(MappedFile, NamesWhatIsNoFile) {
  const tests::TempDir dir;
  tests::ExpectError(ErrorKind::kInput, {"none: no such file"}, [&] { MappedFile(dir / "none"); });
  dir.Write("f", "x");
  tests::ExpectError(ErrorKind::kInput, {"no such file"}, [&] { MappedFile(dir / "f/under"); });
  tests::ExpectError(ErrorKind::kInput, {"a directory"}, [&] { MappedFile(dir.path()); });
  tests::ExpectError(ErrorKind::kInput, {"not a regular file"}, [&] { MappedFile("/dev/zero"); });
  std::filesystem::create_symlink("loop", dir / "loop");
  tests::ExpectError(ErrorKind::kInput, {"loop", "symbolic links"},
                     [&] { MappedFile(dir / "loop"); });
}

}  // namespace
}  // namespace moefy::io
