// What a format cannot express is refused, with the reason and what to do.
#include "export/plan.h"

#include <gtest/gtest.h>

#include "export_support.h"
#include "support/expect_error.h"

namespace moefy::exports {
namespace {

using moefy::tests::ExpectError;
using tests::Unbiased;

constexpr const char* kLlama = "llama-llama3-rope-scaling";

split::MoeCheckpoint Made(const moefy::tests::TempDir& dir, const char* model, int64_t experts,
                          const route::RouterTrainOptions& options = Unbiased(),
                          int64_t shared = 0) {
  return moefy::tests::SplitAndRoute(moefy::tests::Pico(model), dir, experts, options, shared);
}

TEST(PlanExport, CountsExpertsWithoutTheSharedOnes) {
  const moefy::tests::TempDir dir;
  const split::MoeCheckpoint moe = Made(dir, kLlama, 6, Unbiased(), 2);
  const ExportPlan plan = PlanExport(moe, GetFormat("qwen2-moe"), 0.5);
  EXPECT_EQ(plan.sizes.experts, 4);
  EXPECT_EQ(plan.sizes.chosen, 1);
  EXPECT_EQ(plan.sizes.shared, 2);
  EXPECT_EQ(plan.sizes.shared_neurons, 40);
  EXPECT_EQ(plan.w_out_factor, 4);
  EXPECT_EQ(plan.shared_w_out_factor, 2);
  EXPECT_EQ(PlanExport(moe, GetFormat("glm4-moe"), 0.5).w_out_factor, 1);
  ExpectError(ErrorKind::kUsage, {"--ffn-ratio 0.2 is 2 of 6 experts", "at least one more"},
              [&] { PlanExport(moe, GetFormat("qwen2-moe"), 0.2); });
  ExpectError(ErrorKind::kInput,
              {"cannot be exported as mixtral", "no shared experts, and 2 of the model's are",
               "granite-moe or qwen2-moe or glm4-moe or deepseek", "split without --shared"},
              [&] { PlanExport(moe, GetFormat("mixtral"), 0.5); });
}

TEST(PlanExport, RefusesOtherFamilies) {
  for (const char* model : {"bert-cls-relu", "t5-relu-tied", "opt-350m-like-postln-proj"}) {
    const moefy::tests::TempDir dir;
    moefy::tests::SplitInto(moefy::tests::Pico(model), dir / "moe", 2);
    const split::MoeCheckpoint moe = split::MoeCheckpoint::Open(dir / "moe");
    ExpectError(ErrorKind::kInput,
                {"cannot be exported as mixtral: it is a model of the family",
                 "llama, mistral, qwen2, qwen3", "`--format transformers` takes any model",
                 "`moefy run` runs this one"},
                [&] { PlanExport(moe, GetFormat("mixtral"), 0.5); });
  }
}

TEST(PlanExport, RefusesAttentionBiasesWhereThereAreNone) {
  const moefy::tests::TempDir dir;
  const split::MoeCheckpoint moe = Made(dir, "qwen2-tied", 2);
  for (const char* format : {"mixtral", "deepseek"}) {
    ExpectError(ErrorKind::kInput,
                {"its attention has no biases",
                 "granite-moe or qwen2-moe or qwen3-moe or olmoe or glm4-moe"},
                [&] { PlanExport(moe, GetFormat(format), 0.5); });
  }
  EXPECT_NO_THROW(PlanExport(moe, GetFormat("qwen2-moe"), 0.5));
}

// Edits of config.json that leave the tensors as they are.
struct ConfigEdit {
  const char* key;
  Json value;
  const char* format;        // that refuses it
  const char* reason;        // in the message
  const char* format_takes;  // nullptr if none does
};

TEST(PlanExport, RefusesWhatConfigJsonSaysOfOtherBlocks) {
  const std::vector<ConfigEdit> edits = {
      {"hidden_act", "relu", "mixtral", "gated with SiLU", nullptr},
      {"hidden_act", "gelu", "glm4-moe", "gated with SiLU", nullptr},
      {"sliding_window", 7, "qwen2-moe", "no sliding window; try mixtral", "mixtral"},
  };
  for (const ConfigEdit& edit : edits) {
    SCOPED_TRACE(edit.key);
    const moefy::tests::TempDir dir;
    std::filesystem::create_directory(dir / "dense");
    moefy::tests::CopyModel(moefy::tests::Pico("mistral-gqa"), dir / "dense");
    Json config = ReadJsonFile(dir / "dense" / "config.json");
    config[edit.key] = edit.value;
    moefy::tests::WriteBytes(dir / "dense" / "config.json", FormatJson(config));
    const split::MoeCheckpoint moe = moefy::tests::SplitAndRoute(dir / "dense", dir, 4, Unbiased());
    ExpectError(ErrorKind::kInput, {"cannot be exported as", edit.reason},
                [&] { PlanExport(moe, GetFormat(edit.format), 0.5); });
    if (edit.format_takes) {
      EXPECT_EQ(PlanExport(moe, GetFormat(edit.format_takes), 0.5).sizes.window, 7);
    }
  }
}

TEST(PlanExport, RefusesWhatStandsInForExperts) {
  const moefy::tests::TempDir dir;
  const split::MoeCheckpoint plain = Made(dir, kLlama, 6);
  split::MoeChanges changes;
  changes.routers = split::MoeChanges::Routers{{{"kind", "ridge"}},
                                               {{plain.ffns()[1].spec.name + ".router.compensation",
                                                 at::zeros({6, plain.config().hidden})}}};
  split::WriteChangedMoe(plain, changes, dir.Make("changed"));
  const split::MoeCheckpoint moe = split::MoeCheckpoint::Open(dir / "changed");
  ExpectError(ErrorKind::kInput,
              {"nothing stands in for experts", "'ffn.1'", "--compensation none"},
              [&] { PlanExport(moe, GetFormat("mixtral"), 0.5); });
}

TEST(PlanExport, RefusesFirstProducts) {
  const moefy::tests::TempDir dir;
  route::RouterTrainOptions options = Unbiased(route::kFirstProduct);
  const split::MoeCheckpoint moe = Made(dir, kLlama, 120, options);
  ExpectError(ErrorKind::kInput, {"first-product routers choose single neurons", "--expert-size"},
              [&] { PlanExport(moe, GetFormat("mixtral"), 0.5); });
}

TEST(FindLinearRouters, SaysWhichRoutersToTrain) {
  struct Stored {
    const char* router;
    const char* format;
    const char* reason;
    const char* advice;
  };
  for (const Stored& stored :
       {Stored{"mlp", "mixtral", "its mlp routers are not linear", "--router unbiased"},
        Stored{"sketch", "olmoe", "its sketch routers are not linear", "--router unbiased"},
        Stored{"ridge", "mixtral", "its ridge routers have a bias, and mixtral has none",
               "--router unbiased"},
        Stored{"mlp", "glm4-moe", "its mlp routers are not linear", "--router ridge"}}) {
    SCOPED_TRACE(stored.router);
    const moefy::tests::TempDir dir;
    const split::MoeCheckpoint moe = Made(dir, kLlama, 6, Unbiased(stored.router));
    const ExportPlan plan = PlanExport(moe, GetFormat(stored.format), 0.5);
    ExpectError(ErrorKind::kUsage, {stored.reason, "moefy route-train", stored.advice, "--dump"},
                [&] { FindLinearRouters(moe, plan, nullptr, SilentProgress()); });
    const auto dump = record::ActivationDump::Open(dir / "dump");
    const LinearRouters found = FindLinearRouters(moe, plan, &dump, SilentProgress());
    EXPECT_FALSE(found.stored);
    EXPECT_EQ(found.rows.size(), moe.ffns().size());
    EXPECT_EQ(HasBias(found.rows[0]), plan.format.router_bias);
  }
}

TEST(FindLinearRouters, SaysThatThereAreNone) {
  const moefy::tests::TempDir dir;
  moefy::tests::SplitInto(moefy::tests::Pico(kLlama), dir / "moe", 6);
  const split::MoeCheckpoint moe = split::MoeCheckpoint::Open(dir / "moe");
  const ExportPlan plan = PlanExport(moe, GetFormat("mixtral"), 0.5);
  ExpectError(ErrorKind::kUsage, {"it has no routers", "moefy route-train"},
              [&] { FindLinearRouters(moe, plan, nullptr, SilentProgress()); });
}

TEST(GetFormat, SuggestsTheNearestName) {
  ExpectError(ErrorKind::kUsage, {"--format is 'mixtrel'", "did you mean 'mixtral'?", "qwen2-moe"},
              [] { GetFormat("mixtrel"); });
}

}  // namespace
}  // namespace moefy::exports
