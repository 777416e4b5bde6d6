#include "io/npy_file.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "support/expect_error.h"
#include "support/safetensors_bytes.h"
#include "support/temp_dir.h"

namespace moefy::io {
namespace {

// As numpy.save pads it: version 1, the header ends in a new line.
std::string Npy(const std::string& header, const std::string& data, char version = 1) {
  const auto size = static_cast<char>(header.size() + 1);
  return std::string("\x93NUMPY") + version + '\0' + size + '\0' +
         (version == 1 ? "" : std::string(2, '\0')) + header + "\n" + data;
}
std::string Header(const std::string& descr, const std::string& shape,
                   const std::string& fortran = "False") {
  return "{'descr': '" + descr + "', 'fortran_order': " + fortran + ", 'shape': " + shape + ", }";
}

TEST(NpyFile, ReadsArrays) {
  const tests::TempDir dir;
  for (const char version : {'\1', '\2', '\3'}) {
    const NpyFile file(dir.Write("x.npy", Npy(Header("<f4", "(2, 1)"), "abcdefgh", version)));
    const TensorInfo* info = file.Find("npy");
    ASSERT_TRUE(info);
    EXPECT_EQ(info->dtype, DType::kF32);
    EXPECT_THAT(info->shape, testing::ElementsAre(2, 1));
    EXPECT_EQ(tests::AsString(file.Bytes(*info)), "abcdefgh");
  }
  EXPECT_THAT(NpyFile(dir.Write("v.npy", Npy(Header("<f2", "(3,)"), "abcdef"))).tensors()[0].shape,
              testing::ElementsAre(3));
  EXPECT_TRUE(
      NpyFile(dir.Write("s.npy", Npy(Header("|u1", "()"), "a"))).tensors()[0].shape.empty());
}

TEST(NpyFile, RefusesWhatItCannotRead) {
  const tests::TempDir dir;
  const auto refuse = [&](const std::string& bytes, const char* fragment) {
    const auto path = dir.Write("x.npy", bytes);
    tests::ExpectError(ErrorKind::kInput, {path.string(), fragment}, [&] { NpyFile file(path); });
  };
  const std::string good = Header("<f4", "(2,)");
  EXPECT_NO_THROW(NpyFile(dir.Write("good.npy", Npy(good, "abcdefgh"))));
  refuse("", "not a file of numpy.save");
  refuse("\x93NUMPY", "not a file of numpy.save");
  refuse(Npy(good, "abcdefgh", 4), "version 4");
  refuse(Npy(good, "abcdefg"), "needs 8 bytes; the file has 7");
  refuse(Npy(good, "abcdefghi"), "the file has 9");
  refuse(Npy(good, "").substr(0, 30), "cut short");
  refuse(Npy(Header(">f4", "(2,)"), "abcdefgh"), "its dtype is ''>f4''");
  refuse(Npy(Header("|O", "(2,)"), "abcdefgh"), "its dtype");
  refuse(Npy(Header("<f4", "(2, 1)", "True"), "abcdefgh"), "column by column");
  refuse(Npy(Header("<f4", "(-2,)"), "abcdefgh"), "expected numbers");
  refuse(Npy(Header("<f4", "(99999999999999999999,)"), "abcdefgh"), "expected numbers");
  refuse(Npy(Header("<f4", "(4294967296, 4294967296, 2)"), "abcdefgh"), "too many");
  refuse(Npy(Header("<f4", "2"), "abcdefgh"), "not a tuple");
  refuse(Npy("{'descr': '<f4'}", "abcdefgh"), "no 'shape'");
}

}  // namespace
}  // namespace moefy::io
