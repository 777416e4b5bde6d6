// 8-bit arithmetic on every instruction set: rounding, extremes, odd sizes, what must not be
// touched.
#include <ATen/ATen.h>
#include <gtest/gtest.h>

#include <cmath>
#include <cstdint>
#include <limits>
#include <vector>

#include "runtime/packed_linear.h"
#include "runtime/quantize.h"
#include "runtime/run_experts.h"
#include "unit/runtime/every_way.h"
#include "unit/runtime/on_tensors.h"
#include "unit/runtime/reference.h"

namespace moefy::runtime {
namespace {

template <class Check>
void OnEveryWay(const Check& check) {
  const Targets targets;
  for (const int64_t way : targets.all()) {
    SCOPED_TRACE(Targets::Name(way));
    targets.Use(way);
    check();
  }
}

struct Quantized {
  std::vector<int8_t> numbers;
  float scale = 0;  // of the first group
  int32_t sum = 0;
};
Quantized Quantize(const std::vector<float>& x) {
  QuantizedBuffer buffer;
  const auto size = static_cast<int64_t>(x.size());
  const QuantizedRows rows = buffer.Rows(2, QuantizedSize(size));
  std::fill_n(rows.data, 2 * rows.stride, int8_t{99});
  QuantizeRow(x.data(), size, rows, 1);
  EXPECT_EQ(rows.data[rows.stride - 1], 99) << "wrote into the row before";
  const int8_t* const row = rows.data + rows.stride;
  const QuantizedRows second = rows.From(1);
  return {{row, row + QuantizedSize(size)}, second.scale[0], second.sum[0] + second.sum[1]};
}

TEST(QuantizeRow, RoundsToNearestAndEndsWithZeros) {
  OnEveryWay([] {
    for (const size_t size : {1, 3, 4, 15, 16, 17, 31, 63, 64}) {
      SCOPED_TRACE(size);
      std::vector<float> x(size);
      for (size_t i = 0; i < size; ++i) x[i] = std::sin(static_cast<float>(i) * 7 + 1) * 3;
      x[size / 2] = -4;
      const Quantized q = Quantize(x);
      EXPECT_EQ(q.scale, 4.0f / 127);
      int32_t sum = 0;
      for (size_t i = 0; i < q.numbers.size(); ++i) {
        const float wanted = i < size ? std::nearbyint(x[i] * (127.0f / 4)) : 0;
        EXPECT_EQ(q.numbers[i], static_cast<int>(wanted));
        sum += q.numbers[i];
      }
      EXPECT_EQ(q.sum, sum);
    }
  });
}

TEST(QuantizeRow, GroupsHaveScalesOfTheirOwn) {
  std::vector<float> x(150, 1);
  x[70] = 100;
  x[149] = -2;
  QuantizedBuffer buffer;
  const QuantizedRows rows = buffer.Rows(1, QuantizedSize(150));
  ASSERT_EQ(rows.groups, 3);
  QuantizeRow(x.data(), 150, rows, 0);
  EXPECT_EQ(rows.scale[0], 1.0f / 127);
  EXPECT_EQ(rows.scale[1], 100.0f / 127);
  EXPECT_EQ(rows.scale[2], 2.0f / 127);
  EXPECT_EQ(rows.data[0], 127);
  EXPECT_EQ(rows.data[64], 1);
  EXPECT_EQ(rows.data[149], -127);
}

TEST(QuantizeRow, ZerosAndWhatIsNotFinite) {
  OnEveryWay([] {
    EXPECT_EQ(Quantize(std::vector<float>(20)).scale, 0);
    EXPECT_EQ(Quantize({1e-38f, -1e-38f}).scale, 0);  // 127 / largest would not be finite
    for (const float bad : {std::numeric_limits<float>::infinity(), std::nanf("")}) {
      for (const size_t place : {0, 17, 32}) {
        std::vector<float> x(33, 1);
        x[place] = bad;
        const Quantized q = Quantize(x);
        EXPECT_TRUE(std::isnan(q.scale));
        EXPECT_EQ(q.sum, 0);
      }
    }
  });
}

// The largest products that there are, with every mixture of signs, and no rounding: a way that
// saturates gives another number.
TEST(Int8, ExtremesAreExact) {
  OnEveryWay([] {
    for (const int64_t size : {4, 64, 1000}) {
      for (const float w_sign : {1.0f, -1.0f}) {
        for (const float x_sign : {1.0f, -1.0f}) {
          const PackedLinear linear(at::full({33, size}, w_sign), {}, WeightFormat::kInt8);
          const at::Tensor y = linear.Forward(at::full({14, size}, x_sign));
          const double wanted = static_cast<double>(w_sign * x_sign) * static_cast<double>(size);
          EXPECT_LT((y - wanted).abs().max().item<double>(), 1e-6 * static_cast<double>(size));
        }
      }
    }
  });
}

TEST(Int8, EveryWayGivesTheSameBits) {
  for (const bool gated : {false, true}) {
    for (const int64_t tokens : {1, 2, 7, 30}) {
      const tests::FfnShape shape{70, 6, 37, model::Activation::kRelu, gated, true};
      const ExpertWeights experts = PackExperts(tests::RandomFfn(shape, 1), 6, WeightFormat::kInt8);
      const PackedLinear linear(at::randn({45, 70}), at::randn({45}), WeightFormat::kInt8);
      const at::Tensor x = tests::RandomTokens(tokens, 70, 2);
      const at::Tensor chosen = tests::RandomChoice(tokens, 6, 3, 3);
      at::Tensor first_ffn, first_linear;
      OnEveryWay([&] {
        const at::Tensor ffn = RunExperts(experts, x, chosen), map = linear.Forward(x);
        if (!first_ffn.defined()) {
          first_ffn = ffn;
          first_linear = map;
        }
        // Sums are exact; what is around them is a few F32 operations, fused on some machines.
        EXPECT_LT(((map - first_linear).abs().max() / map.abs().max()).item<double>(), 1e-6);
        EXPECT_LT(((ffn - first_ffn).abs().max() / ffn.abs().max()).item<double>(), 1e-2);
      });
    }
  }
}

TEST(Int8, WritesItsOutputAndNothingElse) {
  OnEveryWay([] {
    for (const int64_t out : {1, 15, 16, 17, 40, 64}) {
      for (const int64_t rows : {1, 5, 13, 40}) {
        const PackedLinear linear(at::randn({out, 9}), at::randn({out}), WeightFormat::kInt8);
        const at::Tensor x = at::randn({rows, 9});
        constexpr float kPoison = 12345;
        std::vector<float> y(static_cast<size_t>(rows * out + 64), kPoison);
        linear.ForwardInto(x.data_ptr<float>(), rows, y.data());
        for (size_t i = 0; i < y.size(); ++i) {
          const bool ours = i < static_cast<size_t>(rows * out);
          EXPECT_EQ(y[i] == kPoison, !ours) << out << " x " << rows << ", " << i;
        }
      }
    }
  });
}

// A neuron whose output is huge in one column must not cost the other columns their precision.
TEST(Int8, AHugeWeightOfOneColumnCostsTheOthersNothing) {
  model::FfnWeights ffn = tests::RandomFfn({64, 4, 32, model::Activation::kRelu}, 1);
  const at::Tensor x = tests::RandomTokens(20, 64, 2);
  const at::Tensor chosen = tests::RandomChoice(20, 4, 4, 3);
  const auto errors = [&] {
    const at::Tensor wanted = RunExperts(PackExperts(ffn, 4), x, chosen);
    const at::Tensor y = RunExperts(PackExperts(ffn, 4, WeightFormat::kInt8), x, chosen);
    return ((y - wanted).norm(2, 0) / wanted.norm(2, 0)).narrow(0, 1, 63).max().item<double>();
  };
  const double before = errors();
  ffn.w_out = ffn.w_out.clone();
  ffn.w_out.select(1, 0).mul_(1000);
  EXPECT_NEAR(errors(), before, 1e-6);
}

TEST(Int8, ANumberThatIsNotFiniteSpoilsItsTokenAlone) {
  const tests::FfnShape shape{64, 4, 32, model::Activation::kRelu, false, false};
  const ExpertWeights experts = PackExperts(tests::RandomFfn(shape, 1), 4, WeightFormat::kInt8);
  const at::Tensor chosen = tests::RandomChoice(9, 4, 2, 3);
  const at::Tensor x = tests::RandomTokens(9, 64, 2);
  OnEveryWay([&] {
    at::Tensor spoilt = x.clone();
    spoilt[4][7] = std::nanf("");
    tests::ExpectSpoilsOneToken(experts, x, spoilt, 4, chosen);
  });
}

}  // namespace
}  // namespace moefy::runtime
