#include "moefy/io/tensor_info.h"

#include <gtest/gtest.h>

namespace moefy::io {
namespace {

TEST(DType, NamesAndBits) {
  EXPECT_EQ(DTypeNames().size(), 22u);
  for (const std::string& name : DTypeNames()) {
    ASSERT_TRUE(FindDType(name)) << name;
    EXPECT_EQ(DTypeName(*FindDType(name)), name);
  }
  EXPECT_EQ(DTypeBits(DType::kF4), 4);
  EXPECT_EQ(DTypeBits(DType::kF6E3M2), 6);
  EXPECT_EQ(DTypeBits(DType::kBool), 8);
  EXPECT_EQ(DTypeBits(DType::kF8E5M2Fnuz), 8);
  EXPECT_EQ(DTypeBits(DType::kBF16), 16);
  EXPECT_EQ(DTypeBits(DType::kF32), 32);
  EXPECT_EQ(DTypeBits(DType::kC64), 64);
  EXPECT_EQ(DTypeName(DType::kF8E4M3Fnuz), "F8_E4M3FNUZ");
  EXPECT_EQ(DTypeName(DType::kU64), "U64");
  EXPECT_FALSE(FindDType("f32"));
  EXPECT_FALSE(FindDType(""));
}

// The order of the enum is the order of width: the writer aligns tensors by it.
TEST(DType, WholeByteTypesAreSortedByWidth) {
  for (auto i = static_cast<int>(DType::kU8); i < static_cast<int>(DType::kU64); ++i) {
    EXPECT_LE(DTypeBits(static_cast<DType>(i)), DTypeBits(static_cast<DType>(i + 1)));
  }
}

TEST(TensorInfo, ComparesAndDescribesShapes) {
  const TensorInfo matrix = {"w", DType::kF32, {2, 3}};
  EXPECT_TRUE(HasShape(matrix, {2, 3}));
  EXPECT_TRUE(HasShape(matrix, {kAnyExtent, 3}));
  EXPECT_FALSE(HasShape(matrix, {3, 2}));
  EXPECT_FALSE(HasShape(matrix, {2}));
  EXPECT_FALSE(HasShape(matrix, {2, 3, 1}));
  EXPECT_FALSE(HasShape({"w", DType::kF32, {0}}, {kAnyExtent}));
  EXPECT_FALSE(HasShape({"w", DType::kF32, {uint64_t(-2)}}, {-2}));
  EXPECT_TRUE(HasShape({"w", DType::kF32, {}}, {}));
  EXPECT_EQ(DescribeType(&matrix), "F32 [2, 3]");
  EXPECT_EQ(DescribeType(nullptr), "none");
}

TEST(TensorInfo, CountsElementsAndBytes) {
  EXPECT_EQ(NumElements({}), 1u);
  EXPECT_EQ(NumElements({2, 3}), 6u);
  EXPECT_EQ(NumElements({5, 0}), 0u);
  EXPECT_EQ(NumBytes({}, DType::kF32), 4u);
  EXPECT_EQ(NumBytes({2, 3}, DType::kBF16), 12u);
  EXPECT_EQ(NumBytes({4}, DType::kF6E2M3), 3u);
  EXPECT_EQ(NumBytes({3}, DType::kF4), std::nullopt);
}

TEST(TensorInfo, NoticesOverflow) {
  constexpr uint64_t kHalf = uint64_t{1} << 32;
  EXPECT_EQ(NumElements({kHalf, kHalf - 1}), kHalf * (kHalf - 1));
  EXPECT_EQ(NumElements({kHalf, kHalf}), std::nullopt);
  EXPECT_EQ(NumElements({kHalf, kHalf, 0}), std::nullopt);
  EXPECT_EQ(NumElements({0, kHalf, kHalf}), std::nullopt);
  EXPECT_EQ(NumBytes({uint64_t{1} << 58}, DType::kF64), std::nullopt);
  EXPECT_EQ(NumBytes({(uint64_t{1} << 58) - 1}, DType::kF64), (uint64_t{1} << 61) - 8);
}

}  // namespace
}  // namespace moefy::io
