#include "record/recorder.h"

#include <gtest/gtest.h>

#include "record/dump_rows.h"
#include "record/dump_writer.h"
#include "support/shared_data.h"
#include "support/temp_dir.h"

namespace moefy::record {
namespace {

model::ForwardInputs PaddedBatch() {
  model::ForwardInputs inputs;
  inputs.input_ids = at::tensor({5, 6, 7, 0, 0, 9, 8, 7, 6, 5}, at::kLong).view({2, 5});
  inputs.attention_mask = at::tensor({1, 1, 1, 0, 0, 1, 1, 1, 1, 1}, at::kLong).view({2, 5});
  return inputs;
}

TEST(Recorder, KeepsWhatEntersEachFfnWithoutPaddingAndLeavesTheModelAsItWas) {
  const at::NoGradGuard no_grad;
  model::Transformer model =
      model::LoadTransformer(io::Checkpoint::Open(tests::TestData() / "pico" / "bert-cls-relu"));
  std::map<std::string, at::Tensor> seen;
  model.Forward(PaddedBatch(),
                [&](const std::string& name, const at::Tensor& x) { seen[name] = x; });
  const model::FeedForward* before = &model.feed_forward(0);

  const tests::TempDir dir;
  DumpWriter writer(dir.path(), {"bert", "f", "c"}, FfnsToRecord(model), 1000);
  int batches_left = 2;
  const int64_t num_examples = RecordActivations(
      model,
      [&]() -> std::optional<model::ForwardInputs> {
        if (batches_left-- == 0) return std::nullopt;
        return PaddedBatch();
      },
      writer, SilentProgress());
  EXPECT_EQ(num_examples, 4);
  EXPECT_EQ(writer.Finish(), (std::vector<int64_t>{16, 16}));
  EXPECT_EQ(&model.feed_forward(0), before);

  const ActivationDump dump = ActivationDump::Open(dir.path());
  for (size_t i = 0; i < dump.ffns().size(); ++i) {
    const at::Tensor padded = seen.at(dump.ffns()[i].name + ".input");  // [2, 5, hidden]
    const at::Tensor want = at::cat({padded[0].narrow(0, 0, 3), padded[1]});
    EXPECT_TRUE(at::equal(ReadRows(dump, i, 0, 8), want)) << dump.ffns()[i].name;
  }
}

TEST(Recorder, StopsWhenTheDumpIsFull) {
  const at::NoGradGuard no_grad;
  model::Transformer model =
      model::LoadTransformer(io::Checkpoint::Open(tests::TestData() / "pico" / "bert-cls-relu"));
  const tests::TempDir dir;
  DumpWriter writer(dir.path(), {"bert", "f", "c"}, FfnsToRecord(model), 10);
  EXPECT_EQ(RecordActivations(
                model, [] { return std::optional(PaddedBatch()); }, writer, SilentProgress()),
            4);
  EXPECT_EQ(writer.Finish(), (std::vector<int64_t>{10, 10}));
}

}  // namespace
}  // namespace moefy::record
