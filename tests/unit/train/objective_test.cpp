#include "train/objective.h"

#include <gtest/gtest.h>

#include "support/split_fixtures.h"

namespace moefy::train {
namespace {

using model::ReadTensor;

at::Tensor ReadIds(const io::Checkpoint& golden, const std::string& name) {
  const io::TensorInfo& info = golden.Get(name);
  at::Tensor out = at::empty(std::vector<int64_t>(info.shape.begin(), info.shape.end()), at::kLong);
  std::memcpy(out.data_ptr(), golden.Bytes(name).data(), out.nbytes());
  return out;
}

// The reference implementation's loss for the labels, recorded beside them.
TEST(AnswerLoss, IsTheRecordedOne) {
  for (const char* pico : {"t5-relu-tied", "t5-relu-untied-longbucket", "t5-v1_1-gated-gelu-untied",
                           "gpt2-relu-ninner", "m2m_100-relu"}) {
    SCOPED_TRACE(pico);
    const io::Checkpoint golden =
        io::Checkpoint::Open(tests::Pico(pico) / "golden_nomask_labels.safetensors");
    model::Transformer model = model::LoadTransformer(io::Checkpoint::Open(tests::Pico(pico)));
    const model::ModelConfig& config = model.config();
    ask::Batch batch;
    batch.inputs.input_ids = ReadIds(golden, "input_ids");
    const at::Tensor labels = ReadIds(golden, "labels");
    if (config.architecture == model::Architecture::kDecoder) {
      // What a column gives is the label of the next one.
      batch.targets = at::full_like(labels, ask::kNoTarget);
      batch.targets.slice(1, 0, -1).copy_(labels.slice(1, 1));
    } else {
      batch.targets = labels;
      const at::Tensor shifted = at::full_like(labels, config.decoder_start_id);
      shifted.slice(1, 1).copy_(labels.slice(1, 0, -1));
      batch.inputs.decoder_input_ids = shifted.masked_fill(shifted < 0, config.pad_id);
    }
    const LossSum loss = AnswerLoss(RunAnswers(model, batch));
    EXPECT_NEAR(loss.sum.item<double>() / static_cast<double>(loss.count),
                ReadTensor(golden, "loss").item<double>(), 1e-4);
  }
}

TEST(DistillationLoss, IsTheDivergenceAtATemperature) {
  const at::Tensor targets = at::tensor({0}, at::kLong);
  const std::vector<AnswerLogits> student = {{at::tensor({0.0, 0.0}).view({1, 2}), targets}};
  const std::vector<AnswerLogits> teacher = {{at::tensor({2.0, 0.0}).view({1, 2}), targets}};
  const double p = 1 / (1 + std::exp(-1.0));  // of logits 2, 0 at temperature 2
  const double wanted = 4 * (p * std::log(2 * p) + (1 - p) * std::log(2 * (1 - p)));
  const LossSum loss = DistillationLoss(student, teacher, 2);
  EXPECT_NEAR(loss.sum.item<double>(), wanted, 1e-6);
  EXPECT_EQ(loss.count, 1);
  EXPECT_NEAR(DistillationLoss(teacher, teacher, 2).sum.item<double>(), 0, 1e-7);
}

TEST(StatesLoss, IsTheMeanRelativeSquaredError) {
  const States teacher = {{"ffn.0.output", at::tensor({3.0, 4.0})},
                          {"ffn.1.output", at::tensor({1.0, 0.0})}};
  const States student = {{"ffn.0.output", at::tensor({3.0, 3.0})},
                          {"ffn.1.output", at::tensor({1.0, 0.0})}};
  EXPECT_NEAR(StatesLoss(student, teacher).item<double>(), 0.5 * 1 / 25, 1e-7);
}

}  // namespace
}  // namespace moefy::train
