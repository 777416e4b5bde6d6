#include "runtime/norm_rows.h"

#include <ATen/ATen.h>
#include <gtest/gtest.h>

#include <cmath>

#include "unit/runtime/every_way.h"

namespace moefy::runtime {
namespace {

// LibTorch's, in double precision.
at::Tensor Wanted(const at::Tensor& x, const at::Tensor& weight, const at::Tensor& bias,
                  double epsilon) {
  const at::Tensor in = x.to(at::kDouble);
  if (bias.defined()) {
    return at::layer_norm(in, {x.size(1)}, weight.to(at::kDouble), bias.to(at::kDouble), epsilon);
  }
  return in * at::rsqrt(in.square().mean(-1, /*keepdim=*/true) + epsilon) * weight;
}

TEST(NormRows, EqualsLibTorchInDoublePrecisionOnEveryInstructionSet) {
  at::manual_seed(1);
  constexpr float kEpsilon = 1e-3f;
  const Targets targets;
  for (const int64_t width : {1, 5, 16, 37, 768}) {
    const at::Tensor x = at::randn({7, width}) * 3 + 1, added = at::randn({7, width});
    const at::Tensor weight = at::randn({width}), bias = at::randn({width});
    for (const bool has_bias : {false, true}) {
      for (const bool has_added : {false, true}) {
        const at::Tensor normed = has_added ? x + added : x;
        const at::Tensor wanted = Wanted(normed, weight, has_bias ? bias : at::Tensor(), kEpsilon);
        for (const int64_t way : targets.all()) {
          SCOPED_TRACE(testing::Message() << Targets::Name(way) << ", width " << width);
          targets.Use(way);
          at::Tensor out = at::full({8, width}, std::nanf("")), sum = out.clone();
          model::NormRowsArgs args;
          args.x = x.data_ptr<float>();
          args.added = has_added ? added.data_ptr<float>() : nullptr;
          args.rows = 7;
          args.width = width;
          args.weight = weight.data_ptr<float>();
          args.bias = has_bias ? bias.data_ptr<float>() : nullptr;
          args.epsilon = kEpsilon;
          args.sum = has_added ? sum.data_ptr<float>() : nullptr;
          args.out = out.data_ptr<float>();
          NormRows(args);
          EXPECT_LT((out.narrow(0, 0, 7) - wanted).abs().max().item<double>(), 2e-5);
          EXPECT_TRUE(out[7].isnan().all().item<bool>());  // nothing but its rows
          if (has_added) {
            EXPECT_TRUE(sum.narrow(0, 0, 7).equal(normed));
          }
          args.sum = nullptr;
          at::Tensor in_place = x.clone();
          args.out = in_place.data_ptr<float>();
          args.x = args.out;
          NormRows(args);
          EXPECT_TRUE(in_place.equal(out.narrow(0, 0, 7)));
        }
      }
    }
  }
}

}  // namespace
}  // namespace moefy::runtime
