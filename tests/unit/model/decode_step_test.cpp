// The decoder's second way to compute a token against the first, for every family that decodes.
#include "model/decode_step.h"

#include <gtest/gtest.h>

#include "base/json.h"
#include "moefy/model/transformer.h"
#include "support/random_model.h"
#include "support/shared_data.h"
#include "support/split_fixtures.h"
#include "support/temp_dir.h"
#include "unit/model/both_ways.h"

namespace moefy::model {
namespace {

at::Tensor ExpectBothWaysAlikeFor(const std::filesystem::path& checkpoint) {
  return tests::ExpectBothWaysAlike(
      [&] { return LoadTransformer(io::Checkpoint::Open(checkpoint)); });
}

TEST(DecodeStep, EveryFamilysLogitsAreThoseOfTheTensors) {
  for (const char* pico :
       {"bart-gelu", "falcon-40b-like-grouped", "falcon-7b-like-mqa", "gemma-mqa",
        "gpt2-relu-ninner", "gpt_neox-parallel", "llama-llama3-rope-scaling", "m2m_100-relu",
        "marian-swish", "mistral-gqa", "opt-350m-like-postln-proj", "opt-fp16", "pegasus-relu",
        "phi-gelu_new", "qwen2-tied", "t5-relu-tied", "t5-relu-untied-longbucket",
        "t5-v1_1-gated-gelu-untied"}) {
    SCOPED_TRACE(pico);
    ExpectBothWaysAlikeFor(tests::Pico(pico));
  }
}

TEST(DecodeStep, SoAreThoseOfFamiliesWithoutACommittedModel) {
  std::vector<Json> configs = tests::NewDecoders();
  for (const Json& config : tests::NewTextToText()) configs.push_back(config);
  for (const Json& config : configs) {
    SCOPED_TRACE(config.dump());
    const tests::TempDir dir;
    tests::WriteRandomModel(config, dir.path());
    ExpectBothWaysAlikeFor(dir.path());
  }
}

TEST(DecodeStep, SeesNoFurtherThanTheSlidingWindow) {
  const tests::TempDir dir;
  tests::CopyModel(tests::Pico("mistral-gqa"), dir.path());
  Json config = ReadJsonFile(dir / "config.json");
  config["sliding_window"] = 6;
  dir.Write("config.json", config.dump());
  const at::Tensor all = ExpectBothWaysAlikeFor(tests::Pico("mistral-gqa"));
  const at::Tensor few = ExpectBothWaysAlikeFor(dir.path());
  EXPECT_GT(tests::LogitsDifference(few, all), 1e-3) << "no window";
}

}  // namespace
}  // namespace moefy::model
