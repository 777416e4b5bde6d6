#include "base/output.h"

#include <gtest/gtest.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstdlib>

#include "support/expect_error.h"
#include "support/temp_dir.h"

namespace moefy {
namespace {

namespace fs = std::filesystem;
using Names = std::vector<std::string>;

void Put(const fs::path& path, std::string_view text) {
  WriteTextFile(path, text, IfExists::kRenew);
}

// A directory with one file, as moefy makes it.
void PutOutput(const fs::path& path, std::string_view name, std::string_view text) {
  StagedDirectory staged(path, IfExists::kRefuse);
  Put(staged.path() / name, text);
  staged.Commit();
}

TEST(StagedDirectory, AppearsWholeAtCommit) {
  const tests::TempDir dir;
  StagedDirectory staged(dir / "out", IfExists::kRefuse);
  EXPECT_EQ(staged.target(), dir / "out");
  EXPECT_EQ(staged.path().parent_path(), dir.path());
  EXPECT_TRUE(staged.path().filename().string().starts_with(".out.moefy-"));
  Put(staged.path() / "a", "1");
  fs::create_directory(staged.path() / "sub");
  Put(staged.path() / "sub/b", "2");
  EXPECT_FALSE(fs::exists(dir / "out"));
  staged.Commit();
  EXPECT_EQ(dir.Read("out/a"), "1");
  EXPECT_EQ(dir.Read("out/sub/b"), "2");
  EXPECT_EQ(dir.Names(), Names{"out"});
}

TEST(StagedDirectory, LeavesNothingWithoutCommit) {
  const tests::TempDir dir;
  try {
    const StagedDirectory staged(dir / "out", IfExists::kRefuse);
    Put(staged.path() / "a", "1");
    throw UsageError("changed my mind");
  } catch (const Error&) {
  }
  EXPECT_EQ(dir.Names(), Names{});
}

TEST(StagedDirectory, LeavesNothingWhenTheProcessExitsUnderIt) {
  const tests::TempDir dir;
  const pid_t child = ::fork();
  if (child == 0) {
    const StagedDirectory staged(dir / "out", IfExists::kRefuse);
    Put(staged.path() / "a", "1");
    std::exit(dir.Names().size() == 2 ? 0 : 1);  // with its lock; no destructor of `staged` runs
  }
  int status = 0;
  ASSERT_EQ(::waitpid(child, &status, 0), child);
  EXPECT_EQ(status, 0);
  EXPECT_EQ(dir.Names(), Names{});
}

TEST(StagedDirectory, RefusesOrReplacesWhatIsThere) {
  const tests::TempDir dir;
  PutOutput(dir / "out", "old", "1");
  tests::ExpectError(ErrorKind::kUsage, {"out", "exists already; --force replaces it"},
                     [&] { StagedDirectory staged(dir / "out", IfExists::kRefuse); });
  {
    StagedDirectory staged(dir / "out", IfExists::kReplace);
    Put(staged.path() / "new", "2");
    EXPECT_EQ(dir.Read("out/old"), "1");
    staged.Commit();
  }
  EXPECT_EQ(dir.Names(), Names{"out"});
  EXPECT_EQ(dir.Read("out/new"), "2");
  EXPECT_FALSE(fs::exists(dir / "out/old"));
}

TEST(StagedDirectory, DoesNotOverwriteALatecomer) {
  const tests::TempDir dir;
  {
    StagedDirectory staged(dir / "out", IfExists::kRefuse);
    fs::create_directory(dir / "out");  // empty: rename() alone would replace it
    tests::ExpectError(ErrorKind::kUsage, {"exists already"}, [&] { staged.Commit(); });
  }
  EXPECT_EQ(dir.Names(), Names{"out"});
}

TEST(StagedDirectory, PutsTheOldBackOnFailure) {
  const tests::TempDir dir;
  PutOutput(dir / "out", "old", "1");
  {
    StagedDirectory staged(dir / "out", IfExists::kReplace);
    fs::remove_all(staged.path());
    EXPECT_ANY_THROW(staged.Commit());
  }
  EXPECT_EQ(dir.Names(), Names{"out"});
  EXPECT_EQ(dir.Read("out/old"), "1");
}

TEST(StagedDirectory, TargetMustHaveAPlace) {
  const tests::TempDir dir;
  dir.Write("file", "x");
  tests::ExpectError(ErrorKind::kUsage, {"'" + (dir / "no").string() + "' does not exist"},
                     [&] { StagedDirectory staged(dir / "no/out", IfExists::kRefuse); });
  tests::ExpectError(ErrorKind::kUsage, {"file' is not a directory"},
                     [&] { StagedDirectory staged(dir / "file/out", IfExists::kRefuse); });
  tests::ExpectError(ErrorKind::kUsage, {"file exists and is not a directory"},
                     [&] { StagedDirectory staged(dir / "file", IfExists::kReplace); });
  for (const char* bad : {"", ".", "..", "/", "./", "a/..", "../.."}) {
    tests::ExpectError(ErrorKind::kUsage, {"does not name"},
                       [&] { StagedDirectory staged(bad, IfExists::kReplace); });
  }
  // A slash at the end is common with tab completion.
  StagedDirectory(dir.path().string() + "/out/", IfExists::kRefuse).Commit();
  EXPECT_TRUE(fs::is_directory(dir / "out"));
}

TEST(StagedDirectory, NeverReplacesTheWorkingDirectory) {
  const tests::TempDir dir;
  PutOutput(dir / "here", "x", "1");
  fs::create_directory(dir / "here/sub");
  const fs::path before = fs::current_path();
  fs::current_path(dir / "here/sub");
  for (const char* target : {"here", "here/sub"}) {
    tests::ExpectError(ErrorKind::kUsage, {"working directory"},
                       [&] { StagedDirectory staged(dir / target, IfExists::kReplace); });
  }
  fs::current_path(before);
  EXPECT_NO_THROW(StagedDirectory(dir / "here", IfExists::kReplace));
}

TEST(StagedDirectory, KeepsTheUmaskAndTakesLongNames) {
  const tests::TempDir dir;
  const mode_t before = ::umask(027);
  const std::string long_name(255, 'n');
  StagedDirectory staged(dir / long_name, IfExists::kRefuse);
  staged.Commit();
  ::umask(before);
  EXPECT_EQ(fs::status(dir / long_name).permissions(), fs::perms(0750));
}

TEST(StagedDirectory, PermissionIsASystemError) {
  if (::geteuid() == 0) GTEST_SKIP() << "root may write everywhere";
  const tests::TempDir dir;
  fs::permissions(dir.path(), fs::perms::owner_read | fs::perms::owner_exec);
  tests::ExpectError(ErrorKind::kSystem, {"Permission denied"},
                     [&] { StagedDirectory staged(dir / "out", IfExists::kRefuse); });
  fs::permissions(dir.path(), fs::perms::owner_all);
}

TEST(StagedFile, CommitsRefusesAndReplaces) {
  const tests::TempDir dir;
  {
    StagedFile staged(dir / "f", IfExists::kRefuse);
    EXPECT_TRUE(fs::exists(staged.path()));
    EXPECT_FALSE(fs::exists(dir / "f"));
  }
  EXPECT_EQ(dir.Names(), Names{});
  WriteTextFile(dir / "f", "one", IfExists::kRefuse);
  tests::ExpectError(ErrorKind::kUsage, {"exists already", "--force"},
                     [&] { WriteTextFile(dir / "f", "two", IfExists::kRefuse); });
  EXPECT_EQ(dir.Read("f"), "one");
  tests::ExpectError(ErrorKind::kUsage, {"f exists", "not a file that moefy wrote"},
                     [&] { WriteTextFile(dir / "f", "two", IfExists::kReplace); });
  EXPECT_EQ(dir.Read("f"), "one");
  WriteTextFile(dir / "f", "three", IfExists::kRenew);
  EXPECT_EQ(dir.Read("f"), "three");
  EXPECT_EQ(dir.Names(), Names{"f"});
}

TEST(StagedFile, DoesNotOverwriteALatecomer) {
  const tests::TempDir dir;
  StagedFile staged(dir / "f", IfExists::kRefuse);
  dir.Write("f", "theirs");
  tests::ExpectError(ErrorKind::kUsage, {"exists already"}, [&] { staged.Commit(); });
  EXPECT_EQ(dir.Read("f"), "theirs");
}

TEST(StagedFile, ReplacesFilesOnly) {
  const tests::TempDir dir;
  fs::create_directory(dir / "d");
  tests::ExpectError(ErrorKind::kUsage, {"is not a file"},
                     [&] { StagedFile staged(dir / "d", IfExists::kReplace); });
  tests::ExpectError(ErrorKind::kUsage, {"is not a file"},
                     [&] { StagedFile staged("/dev/null", IfExists::kReplace); });
  EXPECT_TRUE(fs::is_directory(dir / "d"));
}

TEST(Output, CheckSaysWhatConstructorsWouldAndCreatesNothing) {
  const tests::TempDir dir;
  dir.Write("f", "x");
  EXPECT_NO_THROW(CheckOutput(dir / "new", Staging::Kind::kFile, IfExists::kRefuse));
  EXPECT_NO_THROW(CheckOutput(dir / "f", Staging::Kind::kFile, IfExists::kRenew));
  tests::ExpectError(ErrorKind::kUsage, {"--force"},
                     [&] { CheckOutput(dir / "f", Staging::Kind::kFile, IfExists::kRefuse); });
  tests::ExpectError(ErrorKind::kUsage, {"does not exist"},
                     [&] { CheckOutput(dir / "no/f", Staging::Kind::kFile, IfExists::kReplace); });
  EXPECT_EQ(dir.Names(), Names{"f"});
}

TEST(Output, ReadTextFileIsBounded) {
  const tests::TempDir dir;
  const std::string text("a\0b\n", 4);
  dir.Write("f", text);
  EXPECT_EQ(ReadTextFile(dir / "f"), text);
  EXPECT_EQ(ReadTextFile(dir.Write("empty", "")), "");
  EXPECT_EQ(ReadTextFile(dir / "f", 4), text);
  tests::ExpectError(ErrorKind::kInput, {"f: has 4 B; at most 3 B"},
                     [&] { ReadTextFile(dir / "f", 3); });
  tests::ExpectError(ErrorKind::kInput, {"no such file"}, [&] { ReadTextFile(dir / "none"); });
}

}  // namespace
}  // namespace moefy
