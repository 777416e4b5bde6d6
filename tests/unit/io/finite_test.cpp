#include "io/finite.h"

#include <gtest/gtest.h>

#include <cstring>
#include <limits>

#include "support/expect_error.h"
#include "support/safetensors_bytes.h"

namespace moefy::io {
namespace {

using tests::AsBytes;

// Elements of one type as bytes: what is finite, the largest and the smallest included, and what is
// not.
struct FiniteRow {
  DType dtype;
  std::vector<uint64_t> finite, not_finite;
  std::vector<const char*> names;  // of what is not
};

std::vector<FiniteRow> Rows() {
  return {
      {DType::kF16,
       {0x0000, 0x8000, 0x7bff, 0xfbff, 0x0001, 0x3c00},
       {0x7c00, 0xfc00, 0x7e00, 0xfc01},
       {"inf", "-inf", "nan", "nan"}},
      {DType::kBF16,
       {0x0000, 0x8000, 0x7f7f, 0xff7f, 0x0001, 0x3f80},
       {0x7f80, 0xff80, 0x7fc0, 0xff81},
       {"inf", "-inf", "nan", "nan"}},
      {DType::kF32,
       {0x00000000, 0x80000000, 0x7f7fffff, 0xff7fffff, 0x00000001, 0x3f800000},
       {0x7f800000, 0xff800000, 0x7fc00000, 0xff800001},
       {"inf", "-inf", "nan", "nan"}},
      {DType::kF64,
       {0, uint64_t{1} << 63, 0x7fefffffffffffff, 0xffefffffffffffff, 1},
       {0x7ff0000000000000, 0xfff0000000000000, 0x7ff8000000000000, 0xfff0000000000001},
       {"inf", "-inf", "nan", "nan"}},
  };
}

std::string Bytes(const std::vector<uint64_t>& values, size_t width) {
  std::string bytes;
  for (const uint64_t value : values) {
    bytes.append(reinterpret_cast<const char*>(&value), width);
  }
  return bytes;
}

TEST(Finite, EveryTypeAtEveryPlace) {
  for (const FiniteRow& row : Rows()) {
    SCOPED_TRACE(DTypeName(row.dtype));
    const auto width = static_cast<size_t>(DTypeBits(row.dtype)) / 8;
    std::vector<uint64_t> many;
    for (size_t i = 0; i < 70; ++i) many.push_back(row.finite[i % row.finite.size()]);
    for (size_t count = 0; count <= many.size(); ++count) {
      const std::string bytes = Bytes({many.begin(), many.begin() + count}, width);
      EXPECT_EQ(FindNonFinite(row.dtype, AsBytes(bytes)), std::nullopt) << count;
      for (size_t at = 0; at < count; ++at) {
        const size_t kind = at % row.not_finite.size();
        // One byte before it all: nothing is aligned.
        std::string changed = "x" + bytes;
        std::memcpy(changed.data() + 1 + at * width, &row.not_finite[kind], width);
        ASSERT_EQ(FindNonFinite(row.dtype, AsBytes(changed).subspan(1)), at) << count;
        EXPECT_EQ(NonFiniteName(row.dtype, AsBytes(changed).subspan(1 + at * width)),
                  row.names[kind]);
      }
    }
  }
}

TEST(Finite, TheFirstOfALongTensorIsFound) {
  std::vector<float> values(100000, 1.5f);
  const auto bytes = std::as_bytes(std::span(values));
  EXPECT_EQ(FindNonFinite(DType::kF32, bytes), std::nullopt);
  for (const size_t at : {99999u, 70000u, 16384u, 16383u, 3u}) {
    values[at] = std::numeric_limits<float>::infinity();
    EXPECT_EQ(FindNonFinite(DType::kF32, bytes), at);
  }
}

TEST(Finite, WholeNumbersAlwaysAre) {
  const std::string ones(64, '\xff');
  for (const DType dtype : {DType::kBool, DType::kU8, DType::kI8, DType::kI16, DType::kI32,
                            DType::kI64, DType::kU64, DType::kF8E5M2}) {
    EXPECT_EQ(FindNonFinite(dtype, AsBytes(ones)), std::nullopt) << DTypeName(dtype);
  }
  EXPECT_EQ(FindNonFinite(DType::kF32, AsBytes(ones)), 0u);
}

TEST(Finite, TheMessageNamesTensorAndElement) {
  std::vector<float> values(24, 1.0f);
  TensorInfo info;
  info.name = "decoder.fc1.weight";
  info.shape = {4, 6};
  CheckFinite(info, std::as_bytes(std::span(values)));
  values[3 * 6 + 2] = std::numeric_limits<float>::quiet_NaN();
  tests::ExpectError(ErrorKind::kInput, {"'decoder.fc1.weight'", "nan at [3, 2]"},
                     [&] { CheckFinite(info, std::as_bytes(std::span(values))); });
  // A complex number is two floats.
  info.dtype = DType::kC64;
  info.shape = {12};
  values[3 * 6 + 2] = -std::numeric_limits<float>::infinity();
  tests::ExpectError(ErrorKind::kInput, {"-inf at [10]"},
                     [&] { CheckFinite(info, std::as_bytes(std::span(values))); });
  EXPECT_EQ(IndicesOf(0, {}), std::vector<uint64_t>{});
  EXPECT_EQ(IndicesOf(5, {2, 3}), (std::vector<uint64_t>{1, 2}));
}

}  // namespace
}  // namespace moefy::io
