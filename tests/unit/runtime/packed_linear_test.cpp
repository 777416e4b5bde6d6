#include "runtime/packed_linear.h"

#include <ATen/ATen.h>
#include <ATen/Parallel.h>
#include <gtest/gtest.h>

#include <vector>

#include "runtime/quantize.h"
#include "support/tolerances.h"
#include "unit/runtime/every_way.h"

namespace moefy::runtime {
namespace {

at::Tensor Held(const at::Tensor& w, WeightFormat format) {
  const at::Tensor wide = w.to(at::kDouble);
  if (format == WeightFormat::kBf16) return w.to(at::kBFloat16).to(at::kDouble);
  if (format == WeightFormat::kF16) return w.to(at::kHalf).to(at::kDouble);
  if (format == WeightFormat::kF32) return wide;
  if (format == WeightFormat::kInt4) return HeldInInt4(w).to(at::kDouble);
  // Rounded in F32: in double precision one weight in a million is rounded to the other side.
  const at::Tensor largest = w.abs().amax(1, true);
  return (w * (127 / largest)).round().to(at::kDouble) * (largest / 127).to(at::kDouble);
}

// The inputs that a format really multiplies.
at::Tensor Read(const at::Tensor& x, WeightFormat format) {
  if (!IsQuantized(format) || x.size(0) == 0) return x.to(at::kDouble);
  std::vector<at::Tensor> groups;
  for (const at::Tensor& group : x.split(kGroupColumns, 1))
    groups.push_back(Held(group, WeightFormat::kInt8));
  return at::cat(groups, 1);
}

// On every instruction set.
template <class Check>
void OnEveryTarget(const Check& check) {
  const Targets targets;
  for (const int64_t target : targets.all()) {
    SCOPED_TRACE(Targets::Name(target));
    targets.Use(target);
    check();
  }
}

TEST(PackedLinear, EqualsADoublePrecisionProduct) {
  at::manual_seed(1);
  for (const WeightFormat format : kFormats) {
    for (const auto& [rows, columns] :
         {std::pair<int64_t, int64_t>{1, 1}, {3, 7}, {70, 33}, {5000, 24}, {130, 256}}) {
      const at::Tensor w = at::randn({rows, columns}), bias = at::randn({rows});
      const at::Tensor held = Held(w, format);
      for (const int64_t tokens : {0, 1, 2, 5, 8, 9, 20, 30, 40}) {
        SCOPED_TRACE(WeightFormatName(format) + " " + std::to_string(rows) + " x " +
                     std::to_string(columns) + ", " + std::to_string(tokens));
        const at::Tensor x = at::randn({tokens, columns});
        const at::Tensor wanted = at::linear(Read(x, format), held, bias.to(at::kDouble));
        const at::Tensor scale =
            at::linear(x.abs().to(at::kDouble), held.abs(), bias.abs().to(at::kDouble));
        OnEveryTarget([&] {
          const at::Tensor y = PackedLinear(w, bias, format).Forward(x);
          ASSERT_EQ(y.sizes(), wanted.sizes());
          if (tokens == 0) return;
          EXPECT_LT(((y - wanted).abs() / scale).max().item<double>(), tests::kKernelVersusDouble);
        });
      }
    }
  }
}

// The codes of a group are 15 steps from its least to its largest weight, or fit better than that.
TEST(PackedLinear, Int4IsWithinHalfAStep) {
  at::manual_seed(1);
  for (const int64_t columns : {1, 31, 32, 33, 100}) {
    const at::Tensor w = at::randn({70, columns});
    const at::Tensor held = HeldInInt4(w);
    const auto groups = w.split(32, 1), held_groups = held.split(32, 1);
    for (size_t i = 0; i < groups.size(); ++i) {
      const at::Tensor range = groups[i].amax(1) - groups[i].amin(1);
      const at::Tensor half_a_step = range / 15 * 0.5;
      const at::Tensor error = (held_groups[i] - groups[i]).square().mean(1).sqrt();
      EXPECT_TRUE((error <= half_a_step + 2e-3).all().item<bool>()) << columns;
    }
  }
  const at::Tensor equal = at::full({20, 40}, 0.25);
  EXPECT_LT((HeldInInt4(equal) - equal).abs().max().item<double>(), 1e-6);
}

TEST(PackedLinear, ARowsResultDoesNotDependOnItsCompany) {
  at::manual_seed(1);
  for (const WeightFormat format : kFormats) {
    for (const int64_t columns : {7, 200}) {
      const PackedLinear linear(at::randn({70, columns}), at::randn({70}), format);
      const at::Tensor x = at::randn({24, columns});
      OnEveryTarget([&] {
        const at::Tensor all = linear.Forward(x);
        for (int64_t row = 0; row < 24; ++row) {
          EXPECT_TRUE(at::equal(linear.Forward(x.narrow(0, row, 1))[0], all[row]));
        }
      });
    }
  }
}

// So many rows that they are copied, in several items and groups.
TEST(PackedLinear, ManyRowsInTilesDoNotDependOnTheirCompanyEither) {
  at::manual_seed(1);
  for (const WeightFormat format : {WeightFormat::kF32, WeightFormat::kInt8, WeightFormat::kInt4}) {
    const PackedLinear linear(at::randn({330, 256}), at::randn({330}), format);
    const at::Tensor x = at::randn({300, 256});
    const at::Tensor all = linear.Forward(x);
    for (int64_t row = 0; row < 300; ++row) {
      ASSERT_TRUE(at::equal(linear.Forward(x.narrow(0, row, 1))[0], all[row])) << row;
    }
  }
}

TEST(PackedLinear, DoesNotDependOnThreads) {
  at::manual_seed(1);
  const at::Tensor w = at::randn({300, 200}), x = at::randn({3, 200});
  const PackedLinear linear(w, {}, WeightFormat::kInt8);
  EXPECT_GE(linear.WeightBytes(), 300 * 200 + 300 * 4);
  EXPECT_LT(linear.WeightBytes(), 300 * 200 + 300 * 4 + 1024);  // alignment
  const int before = at::get_num_threads();
  at::set_num_threads(1);
  const at::Tensor one = linear.Forward(x);
  at::set_num_threads(3);
  const at::Tensor three = linear.Forward(x);
  at::set_num_threads(before);
  EXPECT_TRUE(at::equal(one, three));
}

}  // namespace
}  // namespace moefy::runtime
