// Packed checkpoints answer as the checkpoints they were made from do in the same format, to the
// last bit, and say what they are to whoever needs the weights themselves.
#include "pipeline/pack_stage.h"

#include <gtest/gtest.h>

#include <filesystem>

#include "io/safetensors.h"
#include "model/unusable_weights.h"
#include "moefy/model/transformer.h"
#include "moefy/pipeline/open_model.h"
#include "moefy/pipeline/split_stage.h"
#include "moefy/pipeline/verify_stage.h"
#include "pipeline/inspect.h"
#include "runtime/dense_model.h"
#include "runtime/sparse_model.h"
#include "stage_support.h"
#include "support/expect_error.h"
#include "support/route_fixtures.h"
#include "support/safetensors_bytes.h"
#include "support/shared_data.h"

namespace moefy::pipeline {
namespace {

namespace fs = std::filesystem;

PackResult PackTo(const fs::path& model, const fs::path& out, const std::string& weights) {
  return Pack({.model = model.string(), .weights = weights, .out = out.string()},
              IfExists::kReplace, SilentProgress());
}

at::Tensor OutputOf(model::Transformer& model) {
  model::ForwardInputs inputs;
  inputs.input_ids = at::arange(2, 32, at::kLong).view({2, 15});
  if (model.config().architecture == model::Architecture::kEncoderDecoder) {
    inputs.decoder_input_ids = at::arange(3, 11, at::kLong).view({2, 4});
  }
  return model.ForwardHidden(inputs);
}

// What decodes token by token reads the same packed maps in other ways.
at::Tensor NextLogits(model::Transformer& model) {
  const at::Tensor ids = at::arange(2, 8, at::kLong).view({1, 6});
  model::ForwardInputs inputs;
  inputs.input_ids = ids;
  auto state = model.StartDecoding(inputs);
  model.Decode(*state, ids);
  return model.Decode(*state, ids.slice(1, 0, 1)).clone();
}

TEST(Pack, EveryFamilyAnswersAsItDoesWithoutPacking) {
  const at::NoGradGuard no_grad;
  const tests::TempDir dir;
  int models = 0, decoders = 0;
  for (const auto& entry : fs::directory_iterator(tests::TestData() / "pico")) {
    if (!fs::exists(entry.path() / "config.json")) continue;
    for (const char* weights : {"int8", "int4"}) {
      SCOPED_TRACE(entry.path().filename().string() + " in " + weights);
      PackTo(entry.path(), dir / "packed", weights);
      const auto format = runtime::ParseWeightFormat(weights);
      const io::Checkpoint plain = io::Checkpoint::Open(entry.path());
      const io::Checkpoint packed = io::Checkpoint::Open(dir / "packed");
      model::Transformer wanted = runtime::LoadPackedTransformer(plain, format);
      model::Transformer got = runtime::LoadPackedTransformer(packed, format);
      EXPECT_TRUE(at::equal(OutputOf(got), OutputOf(wanted)));
      ++models;
      if (got.config().architecture != model::Architecture::kDecoder) continue;
      if (got.config().head != model::Head::kLanguageModel) continue;
      EXPECT_TRUE(at::equal(NextLogits(got), NextLogits(wanted)));
      ++decoders;
    }
  }
  EXPECT_GE(models, 2 * 20);
  EXPECT_GE(decoders, 2 * 5);
}

// Experts of a tile and more, and small ones, which lie otherwise.
TEST(Pack, SplitModelsRunTheSameExperts) {
  const at::NoGradGuard no_grad;
  for (const char* pico : {"llama-llama3-rope-scaling", "bert-cls-relu"}) {
    for (const int64_t experts : {2, 20}) {
      for (const char* weights : {"int8", "int4"}) {
        SCOPED_TRACE(testing::Message() << pico << ", " << experts << " experts, " << weights);
        const tests::TempDir dir;
        tests::SplitInto(tests::Pico(pico), dir / "moe", experts);
        EXPECT_TRUE(PackTo(dir / "moe", dir / "packed", weights).is_split);
        const auto output = [&](const fs::path& path) {
          const split::MoeCheckpoint moe = split::MoeCheckpoint::Open(path);
          runtime::SparseModel model(moe, 7, runtime::ParseWeightFormat(weights));
          model.Install(route::ParseSelection("random"), 0.5);
          return OutputOf(model.transformer());
        };
        EXPECT_TRUE(at::equal(output(dir / "packed"), output(dir / "moe")));
      }
    }
  }
}

TEST(Pack, ModelsThatRunNeuronByNeuronAreRefused) {
  const tests::TempDir dir;
  const fs::path pico = tests::Pico("llama-llama3-rope-scaling");
  route::RouterTrainOptions options;
  options.router = route::kFirstProduct;
  const int64_t neurons = model::ReadModelConfig(pico / "config.json").decoder.num_neurons;
  const split::MoeCheckpoint moe = tests::SplitAndRoute(pico, dir, neurons, options);
  tests::ExpectError(ErrorKind::kUsage, {"first-product", "neuron by neuron"},
                     [&] { PackTo(moe.directory(), dir / "packed", "int8"); });
}

// When this fails the kernels read other bytes than before: kLayout in runtime/packed_file.cpp is
// to be raised, and the fingerprints here are those of the new layout.
TEST(Pack, TheLayoutIsTheOneThatFilesAreMarkedWith) {
  const tests::TempDir dir;
  tests::SplitInto(tests::Pico("bert-cls-relu"), dir / "small", 20);
  const auto fingerprint = [&](const fs::path& model, const char* weights) {
    PackTo(model, dir / "packed", weights);
    const auto file = std::make_shared<io::SafetensorsFile>(dir / "packed" / model::kPackedWeights);
    return io::Checkpoint::FromFile(file).Fingerprint();
  };
  EXPECT_EQ(fingerprint(tests::Pico("bert-cls-relu"), "int8"), "84cb844467605645202da61b1f7fc261");
  EXPECT_EQ(fingerprint(tests::Pico("bert-cls-relu"), "int4"), "47965c51c98be36ab315c13b1b03c5b8");
  EXPECT_EQ(fingerprint(dir / "small", "int8"), "5e243d8092b9128816554ffd609d030f");
}

struct PackedExample : testing::Test {
  PackedExample() {
    PackTo(tests::Quickstart() / "model", dir / "packed", "int8");
    tests::SplitInto(tests::Quickstart() / "model", dir / "moe", /*num_experts=*/16);
    PackTo(dir / "moe", dir / "packed_moe", "int8");
  }
  const tests::TempDir dir;
};

TEST_F(PackedExample, IsSmallerAndRunsInItsFormatWithoutBeingTold) {
  const PackResult result = PackTo(tests::Quickstart() / "model", dir / "again", "int8");
  EXPECT_LT(result.bytes_after, result.bytes_before);
  OpenedModel packed(dir / "packed");
  EXPECT_EQ(packed.Generate("sentiment: nothing about the plot was dull .", 1), "positive");
  EXPECT_EQ(Inspect(dir / "packed").packed, "int8");
  EXPECT_EQ(Inspect(tests::Quickstart() / "model").packed, "");
}

TEST_F(PackedExample, TheSameInputGivesTheSameBytes) {
  PackTo(tests::Quickstart() / "model", dir / "again", "int8");
  for (const char* name : {model::kPackedWeights, "model.safetensors", "config.json"}) {
    EXPECT_EQ(tests::FileBytes(dir / "again" / name), tests::FileBytes(dir / "packed" / name));
  }
}

TEST_F(PackedExample, WhatNeedsTheWeightsThemselvesSaysSo) {
  const auto refuse = [&](const auto& use) {
    tests::ExpectError(ErrorKind::kInput, {"packed for running", "that it was made from"}, use);
  };
  refuse([&] { model::LoadTransformer(io::Checkpoint::Open(dir / "packed")); });
  SplitOptions split;
  split.checkpoint = (dir / "packed").string();
  split.num_experts = 4;
  split.out = (dir / "o").string();
  refuse([&] { Split(split, IfExists::kRefuse, SilentProgress()); });
  refuse([&] {
    Merge({.moe = (dir / "packed_moe").string(), .out = (dir / "o").string()}, IfExists::kRefuse,
          SilentProgress());
  });
  refuse([&] {
    Verify(
        {.dense = (tests::Quickstart() / "model").string(), .moe = (dir / "packed_moe").string()},
        SilentProgress());
  });
}

TEST_F(PackedExample, OptionsThatDoNotSuitAreRefused) {
  const auto refuse = [&](const char* name, const OpenOptions& options,
                          std::initializer_list<std::string_view> fragments) {
    tests::ExpectError(ErrorKind::kUsage, fragments, [&] { OpenedModel(dir / name, options); });
  };
  refuse("packed", {.weights = "int4"}, {"--weights int4", "packed in int8"});
  refuse("packed_moe", {}, {"--selection stored"});
  refuse("packed_moe", {.selection = "similarity"}, {"similarity", "packed only"});
  tests::ExpectError(ErrorKind::kUsage, {"only int8 and int4"},
                     [&] { PackTo(dir / "moe", dir / "o", "bf16"); });
  tests::ExpectError(ErrorKind::kUsage, {"packed already"},
                     [&] { PackTo(dir / "packed", dir / "o", "int8"); });
}

TEST_F(PackedExample, FilesThatDoNotFitAreRefused) {
  const fs::path file = dir / "packed" / model::kPackedWeights;
  const std::string good = tests::FileBytes(file);
  const auto refuse = [&](const std::string& bytes,
                          std::initializer_list<std::string_view> fragments) {
    tests::WriteBytes(file, bytes);
    tests::ExpectError(ErrorKind::kInput, fragments, [&] { OpenedModel(dir / "packed"); });
  };
  refuse(good.substr(0, good.size() - 64), {model::kPackedWeights, "cut short"});
  std::string other = good;
  other.replace(other.find("\"layout\":\"1\""), 12, "\"layout\":\"9\"");
  refuse(other, {"layout '9'", "moefy pack"});
  other = good;
  other.replace(other.find("\"linear.0\""), 10, "\"linear.x\"");
  refuse(other, {"'linear.0' has no bytes"});
}

}  // namespace
}  // namespace moefy::pipeline
