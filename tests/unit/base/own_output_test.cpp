// What --force may remove: moefy's own outputs, and nothing that somebody else put there.
#include "base/own_output.h"

#include <gtest/gtest.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstdlib>

#include "base/output.h"
#include "support/expect_error.h"
#include "support/safetensors_bytes.h"
#include "support/temp_dir.h"

namespace moefy {
namespace {

namespace fs = std::filesystem;

// As moefy makes it: out/a and out/sub/b.
fs::path MakeOutput(const tests::TempDir& dir, const std::string& name = "out") {
  StagedDirectory staged(dir / name, IfExists::kRefuse);
  WriteTextFile(staged.path() / "a", "1", IfExists::kRefuse);
  fs::create_directory(staged.path() / "sub");
  WriteTextFile(staged.path() / "sub/b", "22", IfExists::kRefuse);
  staged.Commit();
  return dir / name;
}

// Everything below a directory with its bytes.
std::map<std::string, std::string> Contents(const fs::path& directory) {
  std::map<std::string, std::string> contents;
  for (const auto& entry : fs::recursive_directory_iterator(directory)) {
    contents[entry.path().lexically_relative(directory)] =
        entry.is_regular_file() ? tests::FileBytes(entry.path()) : "";
  }
  return contents;
}

// Refused with these words, in whichever way it is to be replaced, and nothing is gone.
void ExpectKept(const fs::path& path, std::initializer_list<std::string_view> words,
                const InputPaths& inputs = {}) {
  const auto before = Contents(path);
  tests::ExpectError(ErrorKind::kUsage, words,
                     [&] { StagedDirectory staged(path, IfExists::kReplace, inputs); });
  tests::ExpectError(ErrorKind::kUsage, words, [&] {
    CheckOutput(path, Staging::Kind::kDirectory, IfExists::kReplace, inputs);
  });
  EXPECT_EQ(Contents(path), before);
}

TEST(OwnOutput, IsReplacedUnchanged) {
  const tests::TempDir dir;
  const fs::path out = MakeOutput(dir);
  EXPECT_EQ(WhyNotOwn(out), "");
  EXPECT_EQ(WhyNotWhole(out), "");
  StagedDirectory(out, IfExists::kReplace).Commit();
  EXPECT_EQ(dir.Names(), std::vector<std::string>{"out"});
  fs::create_directory(dir / "empty");
  EXPECT_EQ(WhyNotOwn(dir / "empty"), "");
}

TEST(OwnOutput, MarkerIsTheSameEachTime) {
  const tests::TempDir dir;
  const std::string marker = tests::FileBytes(MakeOutput(dir, "one") / kOutputMarker);
  EXPECT_EQ(marker, tests::FileBytes(MakeOutput(dir, "two") / kOutputMarker));
  EXPECT_EQ(ParseJson(marker)["files"]["sub/b"], 2);
}

TEST(OwnOutput, WhatOthersPutInsideStops) {
  for (const char* name : {".git/HEAD", "runs/log.txt", "notes.txt", "sub/c", ".hidden"}) {
    const tests::TempDir dir;
    const fs::path out = MakeOutput(dir);
    dir.Write(std::string("out/") + name, "mine");
    const bool is_git = std::string_view(name).starts_with(".git");
    ExpectKept(out, {is_git ? "top of a git work tree" : name});
    tests::ExpectError(ErrorKind::kUsage, {is_git ? "git" : "did not write"},
                       [&] { StagedDirectory staged(out, IfExists::kRenew); });
    fs::remove_all(out / fs::path(name));
    if (is_git) fs::remove_all(out / ".git");
    EXPECT_NO_THROW(StagedDirectory(out, IfExists::kReplace));  // the twin
  }
}

TEST(OwnOutput, WhatOthersPutInsideMeanwhileStopsTheCommit) {
  const tests::TempDir dir;
  const fs::path out = MakeOutput(dir);
  StagedDirectory staged(out, IfExists::kReplace);
  dir.Write("out/late.txt", "mine");
  tests::ExpectError(ErrorKind::kUsage, {"late.txt"}, [&] { staged.Commit(); });
  EXPECT_EQ(dir.Read("out/late.txt"), "mine");
}

TEST(OwnOutput, AChangedFileStopsAllButWhoMadeIt) {
  const tests::TempDir dir;
  const fs::path out = MakeOutput(dir);
  dir.Write("out/a", "changed");
  ExpectKept(out, {"'a'", "changed since moefy wrote it"});
  EXPECT_EQ(WhyNotWhole(out), "'a' has 7 bytes; 1 were written");
  EXPECT_NO_THROW(StagedDirectory(out, IfExists::kRenew));
  fs::remove(out / "a");  // what is missing is nobody's loss
  EXPECT_EQ(WhyNotWhole(out), "'a' is missing");
  EXPECT_NO_THROW(StagedDirectory(out, IfExists::kReplace));
}

TEST(OwnOutput, LinksAreNeitherFollowedNorReplaced) {
  const tests::TempDir dir;
  const fs::path out = MakeOutput(dir);
  dir.Write("mine/x", "1");
  fs::create_symlink(dir / "mine", out / "link");
  ExpectKept(out, {"'link'"});
  fs::create_symlink(out, dir / "to-out");
  tests::ExpectError(ErrorKind::kUsage, {"is a link to " + out.string()},
                     [&] { StagedDirectory staged(dir / "to-out", IfExists::kReplace); });
  dir.Write("f", "");
  fs::create_symlink(dir / "f", dir / "to-f");
  for (const IfExists if_exists : {IfExists::kReplace, IfExists::kRenew}) {
    tests::ExpectError(ErrorKind::kUsage, {"is a link to"},
                       [&] { StagedFile staged(dir / "to-f", if_exists); });
  }
  EXPECT_TRUE(fs::is_symlink(dir / "to-f"));
}

TEST(OwnOutput, MarkersOfOthersCountForNothing) {
  for (const char* marker : {"", "[]", "{}", R"({"format": 2, "files": {"x": 1}})",
                             R"({"format": 1, "files": {"x": "1"}})"}) {
    const tests::TempDir dir;
    dir.Write("d/x", "1");
    dir.Write(std::string("d/") + kOutputMarker, marker);
    ExpectKept(dir / "d", {"'x'"});
  }
}

TEST(OwnOutput, EarlierVersionsAreKnownByTheirFormats) {
  const tests::TempDir dir;
  dir.Write("moe/moefy.json", R"({"format": 1, "moefy_version": "0.1.0"})");
  for (const char* name :
       {"config.json", "model.safetensors", "moefy.safetensors", "spiece.model"}) {
    dir.Write(std::string("moe/") + name, "x");
  }
  dir.Write("dump/dump.json", R"({"format": 1, "model_fingerprint": ""})");
  dir.Write("dump/ffn.0-00000.safetensors", "x");
  for (const char* name : {"moe", "dump"}) EXPECT_EQ(WhyNotOwn(dir / name), "") << name;
  dir.Write("moe/notes.txt", "mine");
  ExpectKept(dir / "moe", {"'notes.txt'"});
  dir.Write("dump/weights.safetensors", "mine");
  ExpectKept(dir / "dump", {"'weights.safetensors'"});
  dir.Write("dense/config.json", "{}");
  dir.Write("dense/model.safetensors", "mine");
  ExpectKept(dir / "dense", {"'config.json', 'model.safetensors'"});
}

TEST(OwnOutput, FilesAreKnownByTheirLinesOrMetadata) {
  const tests::TempDir dir;
  const std::string own = FormatOwnLine({{"text", "a"}}) + FormatOwnLine({{"text", "b\xff"}});
  EXPECT_EQ(WhyNotOwn(dir.Write("own.jsonl", own)), "");
  EXPECT_EQ(WhyNotOwn(dir.Write("empty", "")), "");
  EXPECT_EQ(WhyNotOwn(dir.Write(
                "own.safetensors",
                tests::SafetensorsBytes(R"({"__metadata__":{"format":"pt","moefy":"1"}})", ""))),
            "");
  const std::pair<const char*, std::string> others[] = {
      {"notes.txt", "my notes\n"},
      {"lines.jsonl", "{\"text\": \"a\"}\n"},
      {"appended.jsonl", own + "{\"text\": \"mine\"}\n"},
      {"cut.jsonl", own + "{\"text\": 1} "},
      {"other.safetensors", tests::SafetensorsBytes(R"({"__metadata__":{"format":"pt"}})", "")},
  };
  for (const auto& [name, bytes] : others) {
    dir.Write(name, bytes);
    EXPECT_NE(WhyNotOwn(dir / name), "") << name;
    tests::ExpectError(ErrorKind::kUsage, {name, "not a file that moefy wrote"},
                       [&] { StagedFile staged(dir / name, IfExists::kReplace); });
    EXPECT_EQ(dir.Read(name), bytes);
  }
}

TEST(OutputPlaces, AnOutputIsApartFromInputs) {
  const tests::TempDir dir;
  dir.Write("model/config.json", "{}");
  dir.Write("text.txt", "a");
  const fs::path model = dir / "model", text = dir / "text.txt";
  const InputPaths inputs = {model, text, "", dir / "nowhere"};
  const auto refused = [&](const fs::path& target, const std::string& word) {
    tests::ExpectError(ErrorKind::kUsage, {word},
                       [&] { StagedDirectory staged(target, IfExists::kRefuse, inputs); });
  };
  refused(model, "is the input");
  refused(dir.path() / "model/", "is the input");
  refused(model / "moe", "lies in the input");
  refused(model / "../model/moe", "lies in the input");
  fs::create_symlink(model, dir / "link");
  refused(dir / "link/moe", "lies in the input");
  refused(dir / "link", "is the input");
  refused(dir.path(), "holds the input");
  refused(text, "is the input");
  EXPECT_NO_THROW(StagedDirectory(dir / "model2", IfExists::kRefuse, inputs));  // the twin
  // What an input only links to is an input too.
  const fs::path out = MakeOutput(dir);
  fs::create_directory(dir / "linked");
  fs::create_symlink(out / "a", dir / "linked/model.safetensors");
  tests::ExpectError(ErrorKind::kUsage, {"holds what is linked in the input"},
                     [&] { StagedDirectory staged(out, IfExists::kReplace, {dir / "linked"}); });
}

TEST(OutputPlaces, HomesAndWorkTreesStay) {
  const tests::TempDir dir;
  const fs::path out = MakeOutput(dir);
  const char* home = std::getenv("HOME");
  const std::string before = home ? home : "";
  ::setenv("HOME", out.c_str(), 1);
  ExpectKept(out, {"home directory"});
  ::setenv("HOME", (out / "sub").c_str(), 1);
  ExpectKept(out, {"holds the home directory"});
  ::setenv("HOME", dir.path().c_str(), 1);  // most outputs lie in a home
  EXPECT_NO_THROW(StagedDirectory(out, IfExists::kReplace));
  if (home) {
    ::setenv("HOME", before.c_str(), 1);
  } else {
    ::unsetenv("HOME");
  }
  dir.Write("out/.git", "gitdir: elsewhere");
  ExpectKept(out, {"top of a git work tree"});
  for (const char* place : {"/proc", "/dev"}) {  // mounted wherever tests run
    if (!fs::is_directory(place)) continue;
    tests::ExpectError(ErrorKind::kUsage, {place},
                       [&] { CheckOutput(place, Staging::Kind::kDirectory, IfExists::kReplace); });
  }
}

TEST(OutputPlaces, NamesThatNoFileCanHaveAreWrongUsage) {
  const tests::TempDir dir;
  tests::ExpectError(ErrorKind::kUsage, {"File name too long"}, [&] {
    StagedDirectory staged(dir / std::string(5000, 'n'), IfExists::kRefuse);
  });
}

TEST(Leftovers, OfKilledProcessesAreRemovedAndThoseOfLivingOnesStay) {
  const tests::TempDir dir;
  dir.Write(".out.moefy-abc123/model.safetensors", "half");
  dir.Write(".out.moefy-file01", "half");
  dir.Write(".other.moefy-abc123/x", "of another output");
  dir.Write(".out.moefy-abc12", "not such a name");
  TakeOutputNotes();
  const StagedDirectory living(dir / "out", IfExists::kRefuse);
  const std::vector<std::string> notes = TakeOutputNotes();
  ASSERT_EQ(notes.size(), 2u);
  EXPECT_NE(notes[0].find("left by an earlier run"), std::string::npos);
  const StagedDirectory second(dir / "out", IfExists::kRefuse);
  EXPECT_TRUE(TakeOutputNotes().empty());
  EXPECT_TRUE(fs::exists(living.path()));
  EXPECT_FALSE(fs::exists(dir / ".out.moefy-abc123"));
  EXPECT_TRUE(fs::exists(dir / ".other.moefy-abc123/x"));
  EXPECT_TRUE(fs::exists(dir / ".out.moefy-abc12"));
}

TEST(Leftovers, AnOldOutputThatSteppedAsideComesBack) {
  const tests::TempDir dir;
  fs::rename(MakeOutput(dir), dir / ".out.moefy-old-abc123");
  TakeOutputNotes();
  tests::ExpectError(ErrorKind::kUsage, {"exists already"},
                     [&] { StagedDirectory staged(dir / "out", IfExists::kRefuse); });
  EXPECT_EQ(dir.Read("out/a"), "1");
  EXPECT_NE(TakeOutputNotes().at(0).find("back"), std::string::npos);
}

TEST(AbandonOutputs, RemovesWhatIsStagedAndNothingElse) {
  const tests::TempDir dir;
  const fs::path old = MakeOutput(dir);
  const pid_t child = ::fork();
  if (child == 0) {
    StagedDirectory staged(old, IfExists::kReplace);
    WriteTextFile(staged.path() / "half", "x", IfExists::kRefuse);
    AbandonOutputs();
    ::_exit(OutputsAbandoned() ? 0 : 1);
  }
  int status = 0;
  ASSERT_EQ(::waitpid(child, &status, 0), child);
  EXPECT_EQ(status, 0);
  EXPECT_EQ(dir.Names(), std::vector<std::string>{"out"});
  EXPECT_EQ(dir.Read("out/a"), "1");
}

}  // namespace
}  // namespace moefy
