#include "base/output_lock.h"

#include <gtest/gtest.h>
#include <sys/wait.h>
#include <unistd.h>

#include <csignal>
#include <functional>

#include "base/output.h"
#include "support/expect_error.h"
#include "support/temp_dir.h"

namespace moefy {
namespace {

namespace fs = std::filesystem;

// Another process that takes a lock and keeps it until it is killed.
class Holder {
 public:
  explicit Holder(const std::function<std::shared_ptr<OutputLock>()>& take) {
    int ends[2];
    if (::pipe(ends) != 0) return;
    pid_ = ::fork();
    if (pid_ == 0) {
      const auto lock = take();
      [[maybe_unused]] const auto written = ::write(ends[1], lock ? "y" : "n", 1);
      for (;;) ::pause();
    }
    char took = 0;
    has_it_ = ::read(ends[0], &took, 1) == 1 && took == 'y';
    ::close(ends[0]);
    ::close(ends[1]);
  }
  ~Holder() { Kill(); }
  void Kill() {
    if (pid_ > 0) ::kill(pid_, SIGKILL);
    if (pid_ > 0) ::waitpid(pid_, nullptr, 0);
    pid_ = 0;
  }
  pid_t pid() const { return pid_; }
  bool has_it() const { return has_it_; }

 private:
  pid_t pid_ = 0;
  bool has_it_ = false;
};

TEST(OutputLock, NamesWhoHasItAndIsInNobodysWayAfterwards) {
  const tests::TempDir dir;
  Holder holder([&] { return LockOutput(dir / "out/"); });
  ASSERT_TRUE(holder.has_it());
  EXPECT_EQ(dir.Names(), std::vector<std::string>{".out.moefy-lock"});
  const std::string process = "process " + std::to_string(holder.pid()) + " on ";
  tests::ExpectError(ErrorKind::kSystem, {(dir / "out").string(), process, "since 20", "--wait"},
                     [&] { LockOutput(dir / "out"); });
  tests::ExpectError(ErrorKind::kSystem, {process},
                     [&] { StagedDirectory(dir / "out", IfExists::kRefuse); });
  EXPECT_NO_THROW(LockOutput(dir / "other"));
  EXPECT_NO_THROW(StagedDirectory(dir / "out", IfExists::kRenew)) << "its caller has the lock";
  holder.Kill();
  EXPECT_TRUE(fs::exists(dir / ".out.moefy-lock"));
  EXPECT_NE(LockOutput(dir / "out"), nullptr);
  EXPECT_EQ(dir.Names(), std::vector<std::string>{});
}

TEST(OutputLock, OfADirectoryLiesInIt) {
  const tests::TempDir dir;
  Holder holder([&] { return LockDirectory(dir.path()); });
  ASSERT_TRUE(holder.has_it());
  EXPECT_EQ(dir.Names(), std::vector<std::string>{kLockFile});
  tests::ExpectError(ErrorKind::kSystem, {"is at work on it"}, [&] { LockDirectory(dir.path()); });
}

TEST(OutputLock, IsTheProcesssOwn) {
  const tests::TempDir dir;
  const auto lock = LockOutput(dir / "out");
  EXPECT_EQ(LockOutput(dir / "sub/../out"), lock);
  EXPECT_EQ(LockOutput(dir / "no/out"), nullptr) << "there is no place for it";
  tests::ExpectError(ErrorKind::kUsage, {"does not exist"},
                     [&] { StagedDirectory(dir / "no/out", IfExists::kRefuse); });
}

TEST(OutputLock, MayBeWaitedFor) {
  const tests::TempDir dir;
  Holder holder([&] { return LockOutput(dir / "out"); });
  ASSERT_TRUE(holder.has_it());
  std::vector<std::string> said;
  WaitForOutputs([&](const std::string& who) {
    said.push_back(who);
    holder.Kill();
  });
  EXPECT_NE(LockOutput(dir / "out"), nullptr);
  WaitForOutputs({});
  ASSERT_EQ(said.size(), 1u);
  EXPECT_NE(said.front().find("waiting for it to end"), std::string::npos) << said.front();
}

TEST(OutputLock, IsNotTakenInWhatIsStaged) {
  const tests::TempDir dir;
  StagedDirectory staged(dir / "out", IfExists::kRefuse);
  const StagedFile file(staged.path() / "a", IfExists::kRefuse);
  for (const auto& entry : fs::directory_iterator(staged.path())) {
    EXPECT_EQ(entry.path(), file.path());
  }
}

// What cannot be understood in the file is no holder, and what is no file is not touched.
TEST(OutputLock, OfStrangeFiles) {
  const tests::TempDir dir;
  dir.Write(".out.moefy-lock", "not JSON");
  EXPECT_NE(LockOutput(dir / "out"), nullptr);
  fs::create_symlink(dir / "elsewhere", dir / ".out.moefy-lock");
  EXPECT_EQ(LockOutput(dir / "out"), nullptr);
  EXPECT_FALSE(fs::exists(dir / "elsewhere"));
}

}  // namespace
}  // namespace moefy
