#include "split/permute.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace moefy::split {
namespace {

TEST(Permute, MovesNeuronsOfEveryWidth) {
  const Permutation rows{{2, 0, 1}, NeuronAxis::kRows}, columns{{2, 0, 1}, NeuronAxis::kColumns};
  std::vector<std::byte> scratch;
  for (const io::DType dtype : {io::DType::kF8E4M3, io::DType::kF16, io::DType::kBF16,
                                io::DType::kF32, io::DType::kF64, io::DType::kC64}) {
    const auto width = static_cast<size_t>(io::DTypeBits(dtype)) / 8;
    std::vector<std::byte> bytes(6 * width);
    for (size_t i = 0; i < bytes.size(); ++i) bytes[i] = static_cast<std::byte>(i);
    const auto element = [&](std::span<const std::byte> span, size_t i) {
      return static_cast<size_t>(span[i * width]) / width;  // which one it was
    };
    io::TensorInfo info{"w", dtype, {3, 2}, 0, bytes.size()};
    auto out = Permute(info, bytes, rows, scratch);
    const size_t by_rows[] = {4, 5, 0, 1, 2, 3}, by_columns[] = {2, 0, 1, 5, 3, 4};
    for (size_t i = 0; i < 6; ++i) EXPECT_EQ(element(out, i), by_rows[i]);
    info.shape = {2, 3};
    out = Permute(info, bytes, columns, scratch);
    for (size_t i = 0; i < 6; ++i) EXPECT_EQ(element(out, i), by_columns[i]);
    for (size_t i = 0; i < 6 * width; ++i)
      EXPECT_EQ(static_cast<size_t>(out[i]) % width, i % width);
  }
}

}  // namespace
}  // namespace moefy::split
