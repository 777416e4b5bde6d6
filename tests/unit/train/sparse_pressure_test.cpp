#include "train/sparse_pressure.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "model/read_parameters.h"
#include "support/expect_error.h"
#include "support/split_fixtures.h"

namespace moefy::train {
namespace {

using ::testing::Each;
using ::testing::SizeIs;

TEST(Penalty, CountsNeuronsThatFireAlike) {
  const at::Tensor neurons = at::tensor({2.0, 0.0, 2.0, 0.0, 0.0, 0.0, -3.0, 0.0}).view({2, 4});
  EXPECT_NEAR(GetPenalty("hoyer")(neurons).item<double>(), (0.5 + 0.25) / 2, 1e-6);
  EXPECT_NEAR(GetPenalty("hoyer")(neurons * 7).item<double>(), (0.5 + 0.25) / 2, 1e-6);
  EXPECT_NEAR(GetPenalty("l1")(neurons).item<double>(), 7.0 / 8, 1e-6);
  EXPECT_EQ(GetPenalty("hoyer")(at::zeros({3, 4})).item<double>(), 0) << "no token fires";
  tests::ExpectError(ErrorKind::kUsage, {"--penalty is 'l2'", "hoyer, l1"},
                     [] { GetPenalty("l2"); });
}

TEST(SparsePressure, WantsFewerAndFewer) {
  PressureOptions options;
  options.active = 0.1;
  options.ramp = 0.5;
  SparsePressure pressure(options);
  pressure.Start(0.4);
  EXPECT_DOUBLE_EQ(pressure.Wanted(0, 100), 0.4);
  EXPECT_DOUBLE_EQ(pressure.Wanted(25, 100), 0.2);
  EXPECT_DOUBLE_EQ(pressure.Wanted(50, 100), 0.1);
  EXPECT_DOUBLE_EQ(pressure.Wanted(100, 100), 0.1);
  EXPECT_TRUE(pressure.Reached(0.109));
  EXPECT_FALSE(pressure.Reached(0.111));
  pressure.Start(0.05);
  EXPECT_DOUBLE_EQ(pressure.Wanted(0, 100), 0.1) << "as few as wanted fire from the start";
}

TEST(SparsePressure, WeighsMoreWhileTooManyFire) {
  SparsePressure pressure({.active = 0.1});
  const double before = pressure.weight();
  pressure.Adapt(0.3, 100, 100);
  const double more = pressure.weight();
  EXPECT_GT(more, before);
  pressure.Adapt(0.05, 100, 100);
  pressure.Adapt(0.02, 100, 100);
  EXPECT_LT(pressure.weight(), more);
  for (int i = 0; i < 10000; ++i) pressure.Adapt(0, 100, 100);
  EXPECT_GT(pressure.weight(), 0);
  SparsePressure resumed({.active = 0.1});
  resumed.Restore(pressure.State());
  EXPECT_EQ(resumed.State(), pressure.State());
}

// Pressed FFNs compute what dense ones do, tell what fires, and have a penalty with a gradient.
TEST(SparsePressure, ReportsWhatFires) {
  for (const char* pico : {"bert-cls-relu", "bert-cls-gelu"}) {
    SCOPED_TRACE(pico);
    const io::Checkpoint checkpoint = io::Checkpoint::Open(tests::Pico(pico));
    const model::ModelConfig config = model::ReadModelConfig(checkpoint);
    TrainableWeights weights(model::ReadParameters(checkpoint, config),
                             SelectParameters(config, "all"), {0, 16}, 1);
    model::Transformer dense(config, weights.Effective());
    model::Transformer pressed(config, weights.Effective());
    SparsePressure pressure({});
    pressure.Install(pressed);
    model::ForwardInputs inputs;
    inputs.input_ids = at::arange(5, 13).view({2, 4});
    const at::Tensor logits = pressed.Forward(inputs).logits;
    EXPECT_TRUE(at::equal(logits, dense.Forward(inputs).logits));
    const std::vector<double> active = pressure.TakeActive();
    EXPECT_THAT(active, SizeIs(pressed.num_ffns()));
    EXPECT_THAT(active, Each(::testing::AllOf(::testing::Gt(0), ::testing::Lt(1))));
    EXPECT_THAT(pressure.TakeActive(), Each(0)) << "nothing was computed since";
    pressure.TakePenalty().backward();
    const std::string w_in = model::FfnSpecs(config).front().w_in;
    EXPECT_GT(weights.leaves().at(w_in).grad().abs().sum().item<double>(), 0);
  }
}

}  // namespace
}  // namespace moefy::train
