#include "base/file.h"

#include <gtest/gtest.h>

#include <array>

#include "support/expect_error.h"
#include "support/safetensors_bytes.h"
#include "support/temp_dir.h"

namespace moefy {
namespace {

TEST(File, ReadsAndWritesAtOffsets) {
  const tests::TempDir dir;
  {
    File file = File::Create(dir / "f");
    file.WriteAt(3, tests::AsBytes("def"));
    file.WriteAt(0, tests::AsBytes("abc"));
    file.Sync();
  }
  const File file = File::Open(dir / "f");
  EXPECT_EQ(file.size(), 6u);
  std::array<std::byte, 4> bytes;
  file.ReadAt(1, bytes);
  EXPECT_EQ(tests::AsString(bytes), "bcde");
  tests::ExpectError(ErrorKind::kSystem, {"became shorter"}, [&] { file.ReadAt(3, bytes); });
}

TEST(File, CreateNeverTouchesWhatIsThere) {
  const tests::TempDir dir;
  dir.Write("full", "precious");
  dir.Write("empty", "");
  tests::ExpectError(ErrorKind::kSystem, {"full", "File exists"},
                     [&] { File::Create(dir / "full"); });
  EXPECT_EQ(dir.Read("full"), "precious");
  EXPECT_NO_THROW(File::Create(dir / "empty"));
  tests::ExpectError(ErrorKind::kSystem, {"No such file"}, [&] { File::Create(dir / "no/f"); });
}

TEST(File, CopiesWithTheErrorsOfReadingAndWriting) {
  const tests::TempDir dir;
  const std::string bytes(20'000'000, 'b');  // more than one piece
  CopyFile(dir.Write("a", bytes), dir / "copy");
  EXPECT_EQ(dir.Read("copy"), bytes);
  CopyFile(dir.Write("empty", ""), dir / "empty copy");
  EXPECT_EQ(dir.Read("empty copy"), "");
  tests::ExpectError(ErrorKind::kInput, {"none: no such file"},
                     [&] { CopyFile(dir / "none", dir / "copy2"); });
  tests::ExpectError(ErrorKind::kSystem, {"File exists"},
                     [&] { CopyFile(dir / "a", dir / "copy"); });
  if (std::filesystem::exists("/dev/full")) {
    tests::ExpectError(ErrorKind::kSystem,
                       {"/dev/full: cannot be written: No space left on device"},
                       [&] { CopyFile(dir / "a", "/dev/full"); });
  }
}

TEST(File, ANameThatNoFileCanHaveIsWrongInput) {
  tests::ExpectError(ErrorKind::kInput, {"File name too long"},
                     [] { File::Open(std::string(5000, 'n')); });
}

TEST(File, AFullDiskIsASystemError) {
  File file = File::Create("/dev/full");
  file.Reserve(100);  // a device has nothing to reserve
  tests::ExpectError(ErrorKind::kSystem, {"/dev/full", "No space left on device"},
                     [&] { file.WriteAt(0, tests::AsBytes("x")); });
}

TEST(File, MovesKeepOneOwner) {
  const tests::TempDir dir;
  File a = File::Create(dir / "a");
  File b = std::move(a);
  b.WriteAt(0, tests::AsBytes("1"));
  a = File::Create(dir / "c");
  a = std::move(b);
  a.WriteAt(1, tests::AsBytes("2"));
  EXPECT_EQ(dir.Read("a"), "12");
}

TEST(File, SyncsADirectory) {
  const tests::TempDir dir;
  EXPECT_NO_THROW(SyncDirectory(dir.path()));
  tests::ExpectError(ErrorKind::kSystem, {"none"}, [&] { SyncDirectory(dir / "none"); });
}

}  // namespace
}  // namespace moefy
