#include "moefy/route/router_trainer.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "moefy/route/selection.h"
#include "support/expect_error.h"
#include "support/split_fixtures.h"
#include "support/temp_dir.h"
#include "support/write_dump.h"

namespace moefy::route {
namespace {

using ::testing::HasSubstr;
using tests::WriteDump;

// Experts whose neurons share a direction, and inputs near a few of the directions: what a router
// can learn, and similarity alone cannot, because expert e's neurons are scaled by their bias.
struct Learnable {
  static constexpr int64_t kExperts = 16, kSize = 8, kHidden = 24;
  model::FfnWeights ffn;
  at::Tensor x;

  explicit Learnable(int64_t tokens) {
    at::manual_seed(11);
    const at::Tensor directions = at::randn({kExperts, 1, kHidden});
    const at::Tensor noise = at::randn({kExperts, kSize, kHidden});
    ffn.w_in = (directions + 0.6 * noise).view({kExperts * kSize, kHidden});
    ffn.b_in = (at::randn({kExperts, 1}) * 4).expand({kExperts, kSize}).reshape({-1});
    ffn.w_out = at::randn({kExperts * kSize, kHidden});
    const at::Tensor near = at::randint(kExperts, {tokens}, at::kLong);
    x = directions.view({kExperts, kHidden}).index_select(0, near) +
        0.7 * at::randn({tokens, kHidden});
  }
};

class Training : public ::testing::Test {
 protected:
  tests::TempDir temp_;
};

TEST_F(Training, LearnsMoreThanSimilarityKnows) {
  const Learnable data(6000);
  const auto dump = WriteDump(temp_.path() / "dump", {{"ffn.0", data.x}});
  const TrainedRouter trained = TrainMlpRouter(data.ffn, Learnable::kExperts, dump, 0, {});
  EXPECT_EQ(trained.dump_tokens, 6000);
  EXPECT_EQ(trained.train_tokens, 5400);
  EXPECT_EQ(trained.mlp.tokens, 600);
  EXPECT_GT(trained.best_epoch, 0);
  EXPECT_GT(trained.mlp.mass, trained.similarity.mass + 0.02);
  EXPECT_GT(trained.similarity.mass, trained.random.mass + 0.05);
  EXPECT_GE(trained.oracle.mass, trained.mlp.mass);
  EXPECT_GT(trained.mlp.mass, 0.9 * trained.oracle.mass);
  EXPECT_EQ(trained.oracle.recall, 1.0);
  EXPECT_GT(trained.mlp.recall, 0.75);
  EXPECT_NEAR(trained.random.recall, 3.0 / 16, 0.05);  // 20 % of 16 experts is 3

  // What is returned is the router that was measured.
  MlpRouter& router = *trained.router;
  const RouterQuality all = MeasureRouter(router, data.ffn, Learnable::kExperts, data.x, 0.2);
  EXPECT_EQ(all.tokens, 6000);
  EXPECT_NEAR(all.mass, trained.mlp.mass, 0.02);
}

TEST_F(Training, IsDeterminedByItsSeed) {
  const Learnable data(1500);
  const auto dump = WriteDump(temp_.path() / "dump", {{"ffn.0", data.x}});
  TrainOptions options;
  options.epochs = 3;
  const auto train = [&] { return TrainMlpRouter(data.ffn, 16, dump, 0, options); };
  const TrainedRouter a = train(), b = train();
  EXPECT_TRUE(a.router->w1().equal(b.router->w1()));
  EXPECT_TRUE(a.router->w2().equal(b.router->w2()));
  EXPECT_EQ(a.mlp.mass, b.mlp.mass);
  options.seed = 1;
  EXPECT_FALSE(train().router->w1().equal(a.router->w1()));
}

TEST_F(Training, MoreEpochsNeverKeepAWorseRouter) {
  const Learnable data(800);
  const auto dump = WriteDump(temp_.path() / "dump", {{"ffn.0", data.x}});
  TrainOptions options;
  double last = 0;
  for (const int64_t epochs : {0, 1, 5, 20}) {
    options.epochs = epochs;
    const double mass = TrainMlpRouter(data.ffn, 16, dump, 0, options).mlp.mass;
    EXPECT_GE(mass, last);
    last = mass;
  }
}

TEST_F(Training, FewTokensWork) {
  for (const int64_t tokens : {1, 2, 5, 30}) {
    const Learnable data(tokens);
    const auto dump = WriteDump(temp_.path() / std::to_string(tokens), {{"ffn.0", data.x}});
    const TrainedRouter trained = TrainMlpRouter(data.ffn, 16, dump, 0, {});
    EXPECT_GE(trained.train_tokens, 1);
    EXPECT_GE(trained.mlp.tokens, 1);
    EXPECT_TRUE(trained.router->w1().isfinite().all().item<bool>());
  }
}

TEST_F(Training, NothingFiringGivesNoNaN) {
  Learnable data(700);
  data.ffn.b_in.fill_(-1e6);
  const auto dump = WriteDump(temp_.path() / "dump", {{"ffn.0", data.x}});
  const TrainedRouter trained = TrainMlpRouter(data.ffn, 16, dump, 0, {});
  EXPECT_TRUE(trained.router->Scores(data.x).isfinite().all().item<bool>());
  EXPECT_EQ(trained.mlp.mass, 1.0);
  EXPECT_EQ(trained.random.recall, 1.0);
}

TEST_F(Training, LargeDumpsAreSubsampledEvenly) {
  const Learnable data(20000);
  const auto dump = WriteDump(temp_.path() / "dump", {{"ffn.0", data.x}});
  TrainOptions options;
  options.epochs = 1;
  options.max_tokens = 1000;
  const TrainedRouter few = TrainMlpRouter(data.ffn, 16, dump, 0, options);
  EXPECT_EQ(few.dump_tokens, 20000);
  EXPECT_EQ(few.train_tokens + few.mlp.tokens, 1000);
  // The same as training on every twentieth row.
  const auto thin = WriteDump(temp_.path() / "thin", {{"ffn.0", data.x.slice(0, 0, 20000, 20)}});
  EXPECT_TRUE(TrainMlpRouter(data.ffn, 16, thin, 0, options).router->w1().equal(few.router->w1()));
}

TEST_F(Training, RefusesDumpsItCannotLearnFrom) {
  Learnable data(10);
  const auto train = [&](const at::Tensor& x, const std::string& name) {
    const auto dump = WriteDump(temp_.path() / name, {{"ffn.0", x}});
    TrainMlpRouter(data.ffn, 16, dump, 0, {});
  };
  tests::ExpectError(ErrorKind::kInput, {"holds no token of 'ffn.0'"},
                     [&] { train(data.x.narrow(0, 0, 0), "empty"); });
  tests::ExpectError(ErrorKind::kInput, {"'ffn.0' is 7 wide; the FFN's inputs are 24"},
                     [&] { train(data.x.narrow(1, 0, 7).contiguous(), "narrow"); });
  data.x[3][2] = std::numeric_limits<float>::infinity();
  tests::ExpectError(ErrorKind::kInput, {"not finite"}, [&] { train(data.x, "infinite"); });
}

class Store : public ::testing::Test {
 protected:
  Store() : dense_(temp_.Make("dense")), moe_(temp_.path() / "moe") {
    tests::CopyModel(tests::Pico("t5-relu-tied"), dense_);
    tests::WriteBytes(dense_ / "spiece.model", "tokenizer");
    tests::SplitInto(dense_, moe_, 8);
  }
  record::ActivationDump Dump(const split::MoeCheckpoint& moe, const std::string& name,
                              const std::string& fingerprint) {
    std::vector<std::pair<std::string, at::Tensor>> ffns;
    at::manual_seed(2);
    for (const split::MoeFfn& ffn : moe.ffns()) {
      ffns.emplace_back(ffn.spec.name, at::randn({40, ffn.spec.hidden}));
    }
    return WriteDump(temp_.path() / name, ffns, fingerprint);
  }
  std::vector<TrainedRouter> Train(const split::MoeCheckpoint& moe,
                                   const record::ActivationDump& dump) {
    TrainOptions options;
    options.epochs = 2;
    std::vector<TrainedRouter> routers;
    for (const split::MoeFfn& ffn : moe.ffns()) {
      routers.push_back(TrainMlpRouter(model::ReadFfnWeights(moe.weights(), ffn.spec),
                                       ffn.plan.num_experts(), dump, dump.GetFfn(ffn.spec.name),
                                       options));
    }
    return routers;
  }

  tests::TempDir temp_;
  std::filesystem::path dense_, moe_;
};

TEST_F(Store, RoutersComeBackAsTrained) {
  const auto moe = split::MoeCheckpoint::Open(moe_);
  const auto dump = Dump(moe, "dump", moe.source_fingerprint());
  CheckDumpMatches(moe, dump);
  const auto routers = Train(moe, dump);
  EXPECT_FALSE(HasRouters(moe));
  tests::ExpectError(ErrorKind::kUsage, {"`moefy route-train`"}, [&] { ReadMlpRouter(moe, 0); });

  WriteRouters(moe, routers, {{"kind", "mlp"}}, temp_.Make("routed"));
  const auto routed = split::MoeCheckpoint::Open(temp_.path() / "routed");
  EXPECT_TRUE(HasRouters(routed));
  for (size_t i = 0; i < routers.size(); ++i) {
    const auto router = ReadMlpRouter(routed, i);
    EXPECT_TRUE(router->w1().equal(routers[i].router->w1()));
    EXPECT_TRUE(router->w2().equal(routers[i].router->w2()));
    EXPECT_EQ(routed.ffns()[i].plan.order(), moe.ffns()[i].plan.order());
    EXPECT_EQ(routed.manifest()["router"]["ffns"][i]["mlp"]["mass"], routers[i].mlp.mass);
  }
  EXPECT_EQ(routed.manifest()["router"]["options"]["kind"], "mlp");
  EXPECT_EQ(tests::FileBytes(temp_.path() / "routed" / "spiece.model"), "tokenizer");
  EXPECT_TRUE(split::VerifyMoe(io::Checkpoint::Open(dense_), routed).ok);
  EXPECT_EQ(std::filesystem::hard_link_count(temp_.path() / "routed" / "model.safetensors"), 2u);

  // Training again replaces the routers, and gives the same bytes.
  WriteRouters(routed, routers, {{"kind", "mlp"}}, temp_.Make("again"));
  EXPECT_EQ(tests::DirectoryBytes(temp_.path() / "again"),
            tests::DirectoryBytes(temp_.path() / "routed"));
  split::MergeMoe(routed, temp_.Make("merged"));
  EXPECT_EQ(tests::DirectoryBytes(temp_.path() / "merged"), tests::DirectoryBytes(dense_));
}

TEST_F(Store, AMissingRouterTensorIsNamed) {
  const auto moe = split::MoeCheckpoint::Open(moe_);
  const std::string manifest = tests::FileBytes(moe_ / "moefy.json");
  tests::WriteBytes(moe_ / "moefy.json",
                    ReplaceAll(manifest, "\"router\": null", "\"router\": {}"));
  const auto lying = split::MoeCheckpoint::Open(moe_);
  tests::ExpectError(ErrorKind::kInput, {"expected a tensor 'encoder.ffn.0.router.w1', F32 [8, "},
                     [&] { ReadMlpRouter(lying, 0); });
}

TEST_F(Store, ADumpOfAnotherModelIsRefusedWithEveryDifference) {
  const auto moe = split::MoeCheckpoint::Open(moe_);
  EXPECT_NO_THROW(CheckDumpMatches(moe, Dump(moe, "unknown", "")));
  tests::ExpectError(
      ErrorKind::kInput,
      {"it was recorded from 0123; the dense checkpoint is " + moe.source_fingerprint()},
      [&] { CheckDumpMatches(moe, Dump(moe, "other", "0123")); });
  const auto dump = WriteDump(temp_.path() / "shapes",
                              {{"encoder.ffn.0", at::zeros({1, 3})}, {"ffn.7", at::zeros({1, 4})}},
                              moe.source_fingerprint());
  tests::ExpectError(ErrorKind::kInput, {"its 'encoder.ffn.0' is 3 wide; expected "},
                     [&] { CheckDumpMatches(moe, dump); });
  tests::ExpectError(ErrorKind::kInput, {"it holds nothing of 'decoder.ffn.0'"},
                     [&] { CheckDumpMatches(moe, dump); });
  tests::ExpectError(ErrorKind::kInput, {"it holds 'ffn.7', which the model lacks"},
                     [&] { CheckDumpMatches(moe, dump); });
}

}  // namespace
}  // namespace moefy::route
