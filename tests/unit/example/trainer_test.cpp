// The example's trainer learns, and what it leaves behind can be loaded.
#include "trainer.h"

#include <gtest/gtest.h>

#include <filesystem>

namespace moefy::example {
namespace {

const std::filesystem::path kExample = MOEFY_SOURCE_DIR "/examples/quickstart";

TEST(ExampleTrainer, LowersTheLossAndWritesWhatCanBeLoaded) {
  const std::filesystem::path out = std::filesystem::path(testing::TempDir()) / "example_trainer";
  std::filesystem::remove_all(out);
  std::filesystem::create_directories(out);
  TrainOptions options;
  options.steps = 30;
  options.easy_steps = 10;
  options.warm_up = 5;
  options.report_every = 10;
  options.report_rows = 16;
  options.tokens_per_batch = 256;
  options.hidden = 16;
  options.num_neurons = 32;
  options.num_heads = 2;
  options.head_dim = 8;
  options.num_encoder_layers = 1;
  options.num_decoder_layers = 1;
  std::vector<int64_t> steps;
  const TrainReport trained =
      Train(options, kExample, kExample / "model", out,
            [&](const TrainProgress& progress) { steps.push_back(progress.step); });
  EXPECT_EQ(steps, (std::vector<int64_t>{10, 20, 30}));
  EXPECT_LT(trained.last_loss, trained.first_loss);

  const TrainReport loaded = Evaluate(out, kExample);
  EXPECT_EQ(loaded.ffn_names, (std::vector<std::string>{"encoder.ffn.0", "decoder.ffn.0"}));
  ASSERT_EQ(loaded.results.size(), 2u);
  for (size_t i = 0; i < 2; ++i) {
    EXPECT_EQ(loaded.results[i].accuracy, trained.results[i].accuracy);
    EXPECT_EQ(loaded.results[i].active, trained.results[i].active);
  }
  std::filesystem::remove_all(out);
}

}  // namespace
}  // namespace moefy::example
