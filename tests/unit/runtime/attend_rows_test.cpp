#include "runtime/attend_rows.h"

#include <ATen/ATen.h>
#include <gtest/gtest.h>

#include <cmath>
#include <limits>

#include "support/tolerances.h"
#include "unit/runtime/every_way.h"

namespace moefy::runtime {
namespace {

struct Shape {
  int64_t queries, keys, dim, visible;  // visible 0: no causality
  bool bias;
  double softcap;
};

// LibTorch's, in double precision.
at::Tensor Wanted(const at::Tensor& q, const at::Tensor& k, const at::Tensor& v,
                  const at::Tensor& bias, const Shape& shape, double scale) {
  at::Tensor scores = at::mm(q.to(at::kDouble), k.to(at::kDouble).t()) * scale;
  if (shape.softcap != 0) scores = at::tanh(scores / shape.softcap) * shape.softcap;
  if (bias.defined()) scores = scores + bias.to(at::kDouble);
  if (shape.visible > 0) {
    const at::Tensor hidden = at::arange(shape.keys).unsqueeze(0) >=
                              (at::arange(shape.queries) + shape.visible).unsqueeze(1);
    scores = scores.masked_fill(hidden, -std::numeric_limits<double>::infinity());
  }
  return at::mm(at::softmax(scores, 1), v.to(at::kDouble));
}

TEST(AttendRows, EqualsLibTorchInDoublePrecisionOnEveryInstructionSet) {
  at::manual_seed(1);
  const Targets targets;
  for (const Shape& shape : {Shape{1, 1, 1, 0, false, 0}, Shape{5, 7, 3, 0, true, 0},
                             Shape{13, 33, 24, 0, true, 0}, Shape{40, 40, 64, 1, false, 0},
                             Shape{29, 70, 80, 42, true, 5}, Shape{300, 300, 64, 1, true, 0}}) {
    // Rows of a wider matrix, as heads are.
    const at::Tensor q = at::randn({shape.queries, shape.dim + 5}).narrow(1, 2, shape.dim);
    const at::Tensor k = at::randn({shape.keys, shape.dim + 9}).narrow(1, 3, shape.dim);
    const at::Tensor v = at::randn({shape.keys, shape.dim});
    const at::Tensor bias = shape.bias ? at::randn({shape.queries, shape.keys}) : at::Tensor();
    const at::Tensor wanted = Wanted(q, k, v, bias, shape, 0.3);
    for (const int64_t way : targets.all()) {
      SCOPED_TRACE(Targets::Name(way));
      targets.Use(way);
      at::Tensor out = at::full({shape.queries, shape.dim + 1}, std::nanf(""));
      model::AttentionRows rows;
      rows.queries = q.data_ptr<float>();
      rows.query_stride = q.stride(0);
      rows.num_queries = shape.queries;
      rows.keys = k.data_ptr<float>();
      rows.key_stride = k.stride(0);
      rows.values = v.data_ptr<float>();
      rows.value_stride = v.stride(0);
      rows.num_keys = shape.keys;
      rows.head_dim = shape.dim;
      rows.visible_keys = shape.visible > 0 ? shape.visible : shape.keys;
      rows.scale = 0.3f;
      rows.softcap = static_cast<float>(shape.softcap);
      if (shape.bias) rows.bias = bias.data_ptr<float>();
      rows.bias_stride = shape.keys;
      rows.out = out.data_ptr<float>();
      rows.out_stride = shape.dim + 1;
      AttendRows(rows);
      EXPECT_LT((out.narrow(1, 0, shape.dim) - wanted).abs().max().item<double>(), 1e-5);
      EXPECT_TRUE(out.select(1, shape.dim).isnan().all().item<bool>());  // nothing but its columns
    }
  }
}

TEST(AttendRows, PaddingWeighsNothingAndNaNSpoilsItsQuery) {
  const at::Tensor q = at::ones({2, 4}), k = at::ones({20, 4});
  at::Tensor v = at::zeros({20, 4});
  v.narrow(0, 10, 10).fill_(100);
  at::Tensor bias = at::zeros({20});
  bias.narrow(0, 10, 10).fill_(std::numeric_limits<float>::lowest());
  at::Tensor out = at::zeros({2, 4});
  at::Tensor queries = q.clone();
  queries[1][2] = std::nanf("");
  model::AttentionRows rows;
  rows.queries = queries.data_ptr<float>();
  rows.query_stride = 4;
  rows.num_queries = 2;
  rows.keys = k.data_ptr<float>();
  rows.key_stride = 4;
  rows.values = v.data_ptr<float>();
  rows.value_stride = 4;
  rows.num_keys = rows.visible_keys = 20;
  rows.head_dim = 4;
  rows.bias = bias.data_ptr<float>();
  rows.out = out.data_ptr<float>();
  rows.out_stride = 4;
  AttendRows(rows);
  EXPECT_TRUE(at::equal(out[0], at::zeros({4})));
  EXPECT_TRUE(out[1].isnan().all().item<bool>());
}

}  // namespace
}  // namespace moefy::runtime
