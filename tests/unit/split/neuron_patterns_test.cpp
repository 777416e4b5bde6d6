// What neurons did on recorded inputs, beside plain loops.
#include "split/neuron_patterns.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <limits>

#include "moefy/base/strings.h"
#include "support/expect_error.h"
#include "support/temp_dir.h"
#include "support/write_dump.h"

namespace moefy::split {
namespace {

model::FfnWeights GatedFfn(int64_t neurons, int64_t hidden) {
  at::manual_seed(3);
  model::FfnWeights ffn;
  ffn.w_in = at::randn({neurons, hidden});
  ffn.w_gate = at::randn({neurons, hidden});
  ffn.b_gate = at::randn({neurons});
  ffn.w_out = at::randn({neurons, hidden});
  ffn.activation = model::Activation::kSilu;
  return ffn;
}

class NeuronPatterns : public ::testing::Test {
 protected:
  record::RecordedInputs Record(const at::Tensor& x) {
    const auto directory = temp_.path() / StrCat("dump-", ++num_dumps_);
    dump_.emplace(tests::WriteDump(directory, {{"ffn.0", x}}));
    return {*dump_, 0};
  }

  tests::TempDir temp_;
  std::optional<record::ActivationDump> dump_;
  int num_dumps_ = 0;
};

TEST_F(NeuronPatterns, ATokensLargestAreMarked) {
  const model::FfnWeights ffn = GatedFfn(40, 6);  // a tenth is 4
  const at::Tensor x = at::randn({70, 6});
  const at::Tensor marks = ActivationMarks(ffn, Record(x), 1000);
  ASSERT_EQ(marks.sizes(), at::IntArrayRef({40, 70}));
  const at::Tensor activations = model::NeuronActivations(ffn, x);
  for (int64_t t = 0; t < 70; ++t) {
    std::vector<std::pair<float, int64_t>> by_size;
    for (int64_t n = 0; n < 40; ++n) {
      by_size.emplace_back(-std::abs(activations[t][n].item<float>()), n);
    }
    std::ranges::sort(by_size);
    for (int64_t i = 0; i < 40; ++i) {
      EXPECT_EQ(marks[by_size[i].second][t].item<float>(), i < 4 ? 1 : 0) << t << " " << i;
    }
  }
}

TEST_F(NeuronPatterns, TenAreMarkedOfManyAndNoneThatIsZero) {
  model::FfnWeights mirror;
  mirror.w_in = at::eye(300);
  mirror.w_out = at::eye(300);
  at::Tensor x = at::arange(300).to(at::kFloat).repeat({2, 1});
  x[1].slice(0, 2, 300).zero_();  // 0, 1, 0, 0, ...
  const at::Tensor marks = MarkLargest(mirror, x);
  EXPECT_TRUE(marks[0].equal((at::arange(300) >= 290).to(at::kFloat)));
  EXPECT_TRUE(marks[1].equal((at::arange(300) == 1).to(at::kFloat)));
}

TEST_F(NeuronPatterns, AProfileIsTheMeanGateOfEachPart) {
  const model::FfnWeights ffn = GatedFfn(12, 5);
  const at::Tensor x = at::randn({150, 5});  // two parts of 64, and a rest
  const at::Tensor profiles = GateProfiles(ffn, Record(x), 1000);
  ASSERT_EQ(profiles.sizes(), at::IntArrayRef({12, 2}));
  for (int64_t n = 0; n < 12; ++n) {
    for (int64_t part = 0; part < 2; ++part) {
      double sum = 0;
      for (int64_t t = 64 * part; t < 64 * part + 64; ++t) {
        const double z = (x[t] * ffn.w_gate[n]).sum().item<double>() + ffn.b_gate[n].item<double>();
        sum += std::abs(z / (1 + std::exp(-z)));
      }
      EXPECT_NEAR(profiles[n][part].item<double>(), sum / 64, 1e-4);
    }
  }
}

TEST_F(NeuronPatterns, FewTokensAreOnePartAndNoneAreZeros) {
  const model::FfnWeights ffn = GatedFfn(12, 5);
  EXPECT_EQ(GateProfiles(ffn, Record(at::randn({10, 5})), 1000).sizes(), at::IntArrayRef({12, 1}));
  const at::Tensor none = GateProfiles(ffn, Record(at::zeros({0, 5})), 1000);
  EXPECT_TRUE(none.equal(at::zeros({12, 1})));
}

TEST_F(NeuronPatterns, WithoutAGateTheActivationIsIt) {
  model::FfnWeights ffn = GatedFfn(12, 5);
  ffn.w_gate = ffn.b_gate = at::Tensor();
  ffn.activation = model::Activation::kRelu;
  const at::Tensor x = at::randn({64, 5});
  EXPECT_TRUE(GateProfiles(ffn, Record(x), 1000)
                  .allclose(at::relu(at::linear(x, ffn.w_in)).mean(0).unsqueeze(1), 1e-5, 1e-6));
}

TEST_F(NeuronPatterns, VariationIsTheDeviationOverTheMean) {
  const at::Tensor profiles =
      at::tensor({1.0f, 3.0f, 2.0f, 2.0f, 0.0f, 0.0f, 0.0f, 4.0f}).view({4, 2});
  EXPECT_TRUE(Variation(profiles).allclose(at::tensor({0.5f, 0.0f, 0.0f, 1.0f})));
}

TEST_F(NeuronPatterns, RefuseWhatIsNotFinite) {
  model::FfnWeights ffn = GatedFfn(12, 5);
  const at::Tensor x = at::randn({64, 5});
  EXPECT_NO_THROW(MarkLargest(ffn, x));
  ffn.w_gate[3][0] = std::numeric_limits<float>::quiet_NaN();
  tests::ExpectError(ErrorKind::kInput, {"is not finite"}, [&] { MarkLargest(ffn, x); });
  tests::ExpectError(ErrorKind::kInput, {"is not finite"},
                     [&] { GateProfiles(ffn, Record(x), 1000); });
}

}  // namespace
}  // namespace moefy::split
