#include "record/row_log.h"

#include <gtest/gtest.h>

#include <filesystem>

#include "record/dump_writer.h"
#include "support/expect_error.h"
#include "support/split_fixtures.h"
#include "support/temp_dir.h"

namespace moefy::record {
namespace {

const std::vector<DumpedFfn> kFfns = {{"a", 0, 3}, {"b", 0, 2}};

// The rows of two FFNs by turns, one of them without any.
void AppendAll(RowSink& sink) {
  sink.Append(0, at::arange(6, at::kFloat).view({2, 3}));
  sink.Append(1, at::arange(8, at::kFloat).view({4, 2}).t().contiguous().t());
  sink.Append(0, at::empty({0, 3}));
  sink.Append(0, at::full({1, 3}, -1.5f));
}

TEST(RowLog, GivesAnotherProcessTheSameDump) {
  const tests::TempDir dir;
  const auto write = [&](const char* name, const auto& append) {
    DumpWriter writer(dir.Make(name), {"t5", "f", "c"}, kFfns, 1000);
    append(writer);
    EXPECT_EQ(writer.Finish(), (std::vector<int64_t>{3, 4}));
    return tests::DirectoryBytes(dir / name);
  };
  RowLogWriter log(dir / "rows");
  AppendAll(log);
  EXPECT_EQ(log.owners(), Json::parse("[[0, 2], [1, 4], [0, 0], [0, 1]]"));
  std::vector<int64_t> tokens = {10, 0};
  CountRows(log.owners(), tokens);
  EXPECT_EQ(tokens, (std::vector<int64_t>{13, 4}));
  EXPECT_EQ(write("alone", AppendAll), write("replayed", [&](RowSink& sink) {
              ReplayRows(dir / "rows", log.owners(), kFfns, sink);
            }));
}

TEST(RowLog, AFileOfAnotherSizeIsRefused) {
  const tests::TempDir dir;
  RowLogWriter log(dir / "rows");
  AppendAll(log);
  DumpWriter writer(dir.Make("dump"), {"t5", "f", "c"}, kFfns, 1000);
  for (const uintmax_t size : {71u, 67u}) {
    std::filesystem::resize_file(dir / "rows", size);
    tests::ExpectError(ErrorKind::kInput,
                       {"rows", StrCat("has ", size, " bytes of rows; expected 68")},
                       [&] { ReplayRows(dir / "rows", log.owners(), kFfns, writer); });
  }
  EXPECT_EQ(writer.Finish(), (std::vector<int64_t>{0, 0})) << "nothing was taken";
}

}  // namespace
}  // namespace moefy::record
