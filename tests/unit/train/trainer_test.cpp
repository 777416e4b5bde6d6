#include "train/trainer.h"
#include "train/training_state.h"

#include <gtest/gtest.h>

#include <numeric>

#include "model/family.h"
#include "model/read_parameters.h"
#include "moefy/base/error.h"
#include "support/expect_error.h"
#include "support/split_fixtures.h"
#include "token_task.h"

namespace moefy::train {
namespace {

struct Fixture {
  io::Checkpoint checkpoint = io::Checkpoint::Open(tests::Pico("bert-cls-gelu"));
  model::ModelConfig config = model::ReadModelConfig(checkpoint);
  task::TaskSpec spec;
  task::Dataset dataset;
  TokenTask task{dataset, config};
  std::vector<ask::Sequence> sequences;

  Fixture() {
    for (int64_t i = 0; i < 40; ++i) dataset.examples.push_back({{}, i % 2});
    sequences = task.RightSequences();
  }
  TrainableWeights Weights(int64_t lora_rank = 0) const {
    const auto names = lora_rank > 0 ? BlockMatrices(config) : SelectParameters(config, "all");
    return TrainableWeights(model::ReadParameters(checkpoint, config), names, {lora_rank, 16}, 1);
  }
  TrainingSetup Setup(TrainableWeights& weights) const {
    TrainingSetup setup{config, weights, 0,  sequences, {task, spec, dataset},
                        {1.0},  {},      {}, {},        {}};
    setup.identity = {{"a", 1}};
    return setup;
  }
};

TrainerOptions Options() {
  TrainerOptions options;
  options.steps = 24;
  options.batch_size = 8;
  options.batch_tokens = 24;  // two rounds a step
  options.learning_rate = 2e-3;
  options.evaluate_every = 8;
  return options;
}

TEST(Trainer, LearnsAndKeepsTheBestWeights) {
  const Fixture fixture;
  const tests::TempDir dir;
  TrainableWeights weights = fixture.Weights();
  const TrainingReport report =
      Train(fixture.Setup(weights), Options(), dir / "state", IfExists::kRefuse, SilentProgress());
  ASSERT_EQ(report.history.size(), 4U);
  const Measurement& best = report.history[report.best];
  EXPECT_EQ(best.metrics[0], 1.0);
  EXPECT_LT(best.held_out_loss, 0.5 * report.history[0].held_out_loss);
  // Whoever cannot write them finds them in the state.
  TrainableWeights again = fixture.Weights();
  EXPECT_EQ(
      Train(fixture.Setup(again), Options(), dir / "state", IfExists::kRefuse, SilentProgress())
          .first_step,
      report.history.back().step);
  for (const auto& [name, leaf] : weights.leaves()) {
    EXPECT_TRUE(at::equal(leaf, again.leaves().at(name))) << name;
  }
  RemoveState(dir / "state");
  EXPECT_TRUE(std::filesystem::is_empty(dir.path()));
  // The weights that are left are those of the best measurement.
  model::Transformer model(fixture.config, weights.Effective());
  const auto answers = fixture.task.Ask(model, SilentProgress());
  for (size_t i = 0; i < answers.size(); ++i) {
    EXPECT_EQ(answers[i].label_idx, fixture.dataset.examples[i].label_idx);
  }
}

TEST(Trainer, LoraLearnsToo) {
  const Fixture fixture;
  const tests::TempDir dir;
  TrainableWeights weights = fixture.Weights(/*lora_rank=*/4);
  TrainerOptions options = Options();
  options.learning_rate = 1e-2;
  const TrainingReport report =
      Train(fixture.Setup(weights), options, dir / "state", IfExists::kRefuse, SilentProgress());
  EXPECT_LT(report.history[report.best].held_out_loss, 0.5 * report.history[0].held_out_loss);
}

TEST(Trainer, GoesOnWhereItWasStopped) {
  const Fixture fixture;
  const tests::TempDir dir;
  TrainableWeights whole = fixture.Weights();
  Train(fixture.Setup(whole), Options(), dir / "whole", IfExists::kRefuse, SilentProgress());
  for (const int64_t steps : {3, 8, 19}) {
    SCOPED_TRACE(steps);
    TrainableWeights stopped = fixture.Weights();
    StopAfter stop(steps);
    tests::ExpectError(ErrorKind::kInterrupted, {StrCat("step ", steps, " of 24"), "goes on"}, [&] {
      Train(fixture.Setup(stopped), Options(), dir / "part", IfExists::kRefuse, stop);
    });
    TrainableWeights resumed = fixture.Weights();
    const TrainingReport report =
        Train(fixture.Setup(resumed), Options(), dir / "part", IfExists::kRefuse, SilentProgress());
    EXPECT_EQ(report.first_step, steps);
    RemoveState(dir / "part");
    for (const auto& [name, leaf] : whole.leaves()) {
      EXPECT_TRUE(at::equal(leaf, resumed.leaves().at(name))) << name;
    }
  }
}

TEST(Trainer, RefusesTheStateOfAnotherTraining) {
  const Fixture fixture;
  const tests::TempDir dir;
  TrainableWeights weights = fixture.Weights();
  StopAfter stop(2);
  tests::ExpectError(ErrorKind::kInterrupted, {"step 2"}, [&] {
    Train(fixture.Setup(weights), Options(), dir / "state", IfExists::kRefuse, stop);
  });
  TrainingSetup other = fixture.Setup(weights);
  other.identity = {{"a", 2}};
  tests::ExpectError(ErrorKind::kUsage, {"a was 1 and is 2", "--force"}, [&] {
    Train(other, Options(), dir / "state", IfExists::kRefuse, SilentProgress());
  });
  dir.Write("state/state.json", "{\"format\"");
  tests::ExpectError(ErrorKind::kInput, {"state.json", "--force", "to begin anew"}, [&] {
    Train(other, Options(), dir / "state", IfExists::kRefuse, SilentProgress());
  });
  const TrainingReport report =
      Train(other, Options(), dir / "state", IfExists::kReplace, SilentProgress());
  EXPECT_EQ(report.first_step, 0);
}

TEST(Trainer, PressesNeuronsToSilenceAndGoesOn) {
  const Fixture fixture;
  const tests::TempDir dir;
  TrainerOptions options = Options();
  options.steps = 150;
  options.batch_tokens = 64;  // one round a step
  options.evaluate_every = 50;
  const PressureOptions wanted{.active = 0.2, .ramp = 0.1};
  const auto learn = [&](TrainableWeights& weights, Progress& progress) {
    SparsePressure pressure(wanted);
    TrainingSetup setup = fixture.Setup(weights);
    setup.pressure = &pressure;
    setup.install = [&](model::Transformer& model, double) { pressure.Install(model); };
    return Train(setup, options, dir / "state", IfExists::kRefuse, progress);
  };
  const auto active = [](const Measurement& point) {
    return std::accumulate(point.active.begin(), point.active.end(), 0.0) /
           static_cast<double>(point.active.size());
  };
  TrainableWeights whole = fixture.Weights();
  const TrainingReport report = learn(whole, SilentProgress());
  EXPECT_LT(active(report.history.back()), 0.7 * active(report.history.front()));
  // Until few enough fire, those weights are best with which the fewest do.
  for (const Measurement& point : report.history) {
    if (active(report.history[report.best]) > 1.1 * wanted.active) {
      EXPECT_LE(active(report.history[report.best]), active(point));
    }
  }
  RemoveState(dir / "state");
  TrainableWeights stopped = fixture.Weights(), resumed = fixture.Weights();
  StopAfter stop(83);
  tests::ExpectError(ErrorKind::kInterrupted, {"step 83 of 150"}, [&] { learn(stopped, stop); });
  EXPECT_EQ(learn(resumed, SilentProgress()).first_step, 83);
  for (const auto& [name, leaf] : whole.leaves()) {
    EXPECT_TRUE(at::equal(leaf, resumed.leaves().at(name))) << name;
  }
}

TEST(Trainer, StopsWhenNothingGetsBetter) {
  const Fixture fixture;
  const tests::TempDir dir;
  TrainableWeights weights = fixture.Weights();
  TrainerOptions options = Options();
  options.steps = 1000;
  options.evaluate_every = 1;
  options.patience = 3;
  options.learning_rate = 1e-30;
  const TrainingReport report =
      Train(fixture.Setup(weights), options, dir / "state", IfExists::kRefuse, SilentProgress());
  EXPECT_EQ(report.best, 0U);
  EXPECT_EQ(report.history.size(), 4U);
}

TEST(Trainer, RefusesOptionsThatMakeNoSense) {
  TrainerOptions options;
  options.learning_rate = 0;
  tests::ExpectError(ErrorKind::kUsage, {"--learning-rate is 0"}, [&] { CheckOptions(options); });
  options = {};
  options.schedule = "sudden";
  tests::ExpectError(ErrorKind::kUsage, {"--schedule", "linear"}, [&] { CheckOptions(options); });
}

}  // namespace
}  // namespace moefy::train
