#include "base/input_watch.h"

#include <gtest/gtest.h>
#include <sys/stat.h>

#include <optional>

#include "base/file.h"
#include "base/output.h"
#include "support/expect_error.h"
#include "support/temp_dir.h"

namespace moefy {
namespace {

namespace fs = std::filesystem;

std::optional<InputWatch> Watch(const fs::path& path) {
  const File file = File::Open(path);
  return InputWatch(path, file.descriptor());
}

TEST(InputWatch, NoticesSizeAndTime) {
  const tests::TempDir dir;
  dir.Write("x", "1234");
  auto watch = Watch(dir / "x");
  EXPECT_NO_THROW(ThrowIfInputsChanged());
  fs::resize_file(dir / "x", 3);
  tests::ExpectError(ErrorKind::kSystem, {"x: was changed while it was read"},
                     [] { ThrowIfInputsChanged(); });
}

TEST(InputWatch, ToldAfterItsEndAndOnce) {
  const tests::TempDir dir;
  dir.Write("x", "1234");
  auto watch = Watch(dir / "x");
  fs::last_write_time(dir / "x", fs::file_time_type::clock::now() + std::chrono::hours(1));
  watch.reset();
  tests::ExpectError(ErrorKind::kSystem, {"x: was changed"},
                     [&] { WriteTextFile(dir / "out", "made of x", IfExists::kRefuse); });
  EXPECT_FALSE(fs::exists(dir / "out"));
  EXPECT_NO_THROW(WriteTextFile(dir / "out", "made of something else", IfExists::kRefuse));
}

TEST(InputWatch, AnotherFileInItsPlaceIsNoChange) {
  const tests::TempDir dir;
  dir.Write("x", "1234");
  const auto watch = Watch(dir / "x");
  dir.Write("y", "other");
  fs::rename(dir / "y", dir / "x");  // what was opened is still what it was
  EXPECT_NO_THROW(ThrowIfInputsChanged());
  fs::remove(dir / "x");
  EXPECT_NO_THROW(ThrowIfInputsChanged());
}

}  // namespace
}  // namespace moefy
