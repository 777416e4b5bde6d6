// FFNs that run neuron by neuron, against LibTorch with the neurons that do not run put to zero.
#include "runtime/neuronwise_ffn.h"

#include <gtest/gtest.h>

#include <cmath>
#include <limits>

#include "model/activation.h"
#include "moefy/base/strings.h"
#include "route/expert_mask.h"
#include "route/first_product_router.h"
#include "runtime/gather_rows.h"
#include "runtime/sparse_model.h"
#include "support/route_fixtures.h"
#include "support/tolerances.h"
#include "unit/runtime/every_way.h"
#include "unit/runtime/reference.h"

namespace moefy::runtime {
namespace {

constexpr int64_t kNeurons = 40, kHidden = 37;

struct NeuronwiseCase {
  std::string name;
  model::FfnWeights ffn;
  int64_t first;  // the row of `worth` in use
};

model::FfnWeights SomeFfn(const char* activation, bool gated, bool biases) {
  return tests::RandomFfn(
      {kHidden, kNeurons, 1, model::ParseActivation(activation, "test"), gated, biases}, 3);
}

std::vector<NeuronwiseCase> Cases() {
  return {{"gated, up first", SomeFfn("silu", true, false), 1},
          {"gated with biases, up first", SomeFfn("gelu", true, true), 1},
          {"gated with biases, gate first", SomeFfn("silu", true, true), 0},
          {"activation on both, up first", SomeFfn("relu_both", true, true), 1},
          {"activation on both, gate first", SomeFfn("relu_both", true, false), 0},
          {"no gate", SomeFfn("gelu", false, true), 0},
          {"no gate, zeros", SomeFfn("relu", false, false), 0}};
}

at::Tensor WorthOf(const NeuronwiseCase& of) {
  at::Generator generator = at::detail::createCPUGenerator(7);
  const int64_t matrices = of.ffn.w_gate.defined() ? 2 : 1;
  at::Tensor worth = at::zeros({matrices, kNeurons});
  worth[of.first] = at::rand({kNeurons}, generator) + 0.5;
  return worth;
}

route::FirstProductRouter RouterOf(const NeuronwiseCase& of) {
  return {WorthOf(of), kNeurons, kHidden, [&of] { return of.ffn; }};
}

// The output where `runs` [tokens, neurons] says which neurons do.
at::Tensor Wanted(const model::FfnWeights& ffn, const at::Tensor& x, const at::Tensor& runs) {
  const at::Tensor kept = model::NeuronActivations(ffn, x).to(at::kDouble) * runs;
  const at::Tensor y = kept.mm(ffn.w_out.to(at::kDouble));
  return ffn.b_out.defined() ? y + ffn.b_out : y;
}

double RelativeError(const at::Tensor& got, const at::Tensor& wanted) {
  return ((got - wanted).norm() / wanted.norm()).item<double>();
}

TEST(NeuronwiseFfn, RunsTheNeuronsThatTheirFirstProductChooses) {
  const at::NoGradGuard no_grad;
  const Targets targets;
  for (const NeuronwiseCase& of : Cases()) {
    for (const WeightFormat format : kFormats) {
      const auto weights = std::make_shared<const NeuronwiseWeights>(of.ffn, WorthOf(of), format);
      for (const int64_t way : targets.all()) {
        targets.Use(way);
        for (const int64_t tokens : {1, 7}) {
          SCOPED_TRACE(StrCat(of.name, ", ", WeightFormatName(format), ", ", Targets::Name(way),
                              ", ", tokens, " tokens"));
          const at::Tensor x = tests::RandomTokens(tokens, kHidden, 5);
          const at::Tensor scores = RouterOf(of).Scores(x);
          NeuronwiseFeedForward ffn(weights, {.num_selected = 15});
          const at::Tensor got = ffn.Forward(x);
          EXPECT_EQ(ffn.counters().neurons_evaluated, 15 * tokens);
          EXPECT_EQ(ffn.counters().neurons_total, kNeurons * tokens);
          if (format != WeightFormat::kF32) {  // a rounded product may choose another neuron
            const at::Tensor all = at::ones({tokens, kNeurons});
            NeuronwiseFeedForward every(weights, {.num_selected = kNeurons});
            EXPECT_LT(RelativeError(every.Forward(x), Wanted(of.ffn, x, all)),
                      format == WeightFormat::kInt4 ? 0.2 : 0.03);
            continue;
          }
          const at::Tensor runs = route::MaskFor({{.num_selected = 15}}, scores).experts;
          EXPECT_LT(RelativeError(got, Wanted(of.ffn, x, runs)), 1e-5);
        }
      }
    }
  }
}

TEST(NeuronwiseFfn, AThresholdChoosesAsManyAsReachIt) {
  const at::NoGradGuard no_grad;
  const NeuronwiseCase of = Cases().front();
  const auto weights =
      std::make_shared<const NeuronwiseWeights>(of.ffn, WorthOf(of), WeightFormat::kF32);
  for (const int64_t tokens : {1, 9}) {
    const at::Tensor x = tests::RandomTokens(tokens, kHidden, 6);
    const at::Tensor scores = RouterOf(of).Scores(x);
    // Between two scores, because LibTorch's products and ours may differ in the last bit.
    const at::Tensor sorted = std::get<0>(scores.flatten().sort());
    const int64_t middle = sorted.numel() / 2;
    const auto threshold = sorted.narrow(0, middle - 1, 2).mean().item<float>();
    NeuronwiseFeedForward ffn(weights, {.num_selected = kNeurons, .threshold = threshold});
    const at::Tensor runs = scores >= threshold;
    EXPECT_LT(RelativeError(ffn.Forward(x), Wanted(of.ffn, x, runs)), 1e-5);
    EXPECT_EQ(ffn.counters().neurons_evaluated, runs.sum().item<int64_t>());
  }
  // No token may reach it.
  NeuronwiseFeedForward none(
      weights, {.num_selected = kNeurons, .threshold = std::numeric_limits<float>::infinity()});
  EXPECT_EQ(none.Forward(tests::RandomTokens(1, kHidden, 6)).abs().max().item<float>(), 0);
}

TEST(NeuronwiseFfn, ANumberThatIsNotFiniteSpoilsItsTokenAlone) {
  const at::NoGradGuard no_grad;
  const NeuronwiseCase of = Cases()[1];
  for (const WeightFormat format : kFormats) {
    const auto weights = std::make_shared<const NeuronwiseWeights>(of.ffn, WorthOf(of), format);
    for (const route::SelectionRule& rule :
         {route::SelectionRule{.num_selected = 15},
          route::SelectionRule{.num_selected = kNeurons, .threshold = 0.5f}}) {
      NeuronwiseFeedForward ffn(weights, rule);
      at::Tensor x = tests::RandomTokens(5, kHidden, 5);
      const at::Tensor clean = ffn.Forward(x);
      x[3][2] = std::nanf("");
      const at::Tensor spoilt = ffn.Forward(x);
      for (int64_t t = 0; t < 5; ++t) {
        if (t != 3) {
          EXPECT_TRUE(spoilt[t].equal(clean[t]));
        }
      }
      EXPECT_TRUE(spoilt[3].isnan().all().item<bool>());
      EXPECT_TRUE(ffn.Forward(x.narrow(0, 3, 1)).isnan().all().item<bool>());  // row by row
    }
  }
}

TEST(NeuronwiseFfn, GivesTheSameBitsWithAnyNumberOfThreads) {
  const at::NoGradGuard no_grad;
  const model::FfnWeights large =
      tests::RandomFfn({512, 1024, 1, model::ParseActivation("silu", "test"), true, true}, 3);
  at::Tensor worth = at::zeros({2, 1024});
  worth[1] = 1;
  const auto weights = std::make_shared<const NeuronwiseWeights>(large, worth, WeightFormat::kF32);
  const at::Tensor x = tests::RandomTokens(1, 512, 5);
  const auto run = [&](int threads) {
    const ThreadCount count(threads);
    return NeuronwiseFeedForward(weights, {.num_selected = 600}).Forward(x);
  };
  const at::Tensor alone = run(1);
  for (const int threads : {2, 3}) EXPECT_TRUE(run(threads).equal(alone));
}

// Rows of every width on every instruction set, and nothing read or written beside them.
TEST(GatherRows, AreTheRowsOfTheList) {
  const Targets targets;
  for (const int64_t columns : {1, 15, 16, 33, 64, 100}) {
    for (const int64_t count : {0, 1, 4, 7}) {
      const at::Tensor x = at::randn({columns}), w = at::randn({9, columns}) * 20;
      const at::Tensor factors = at::randn({count});
      const at::Tensor list = at::randperm(9).narrow(0, 0, count).to(at::kInt).contiguous();
      const std::pair<WeightFormat, at::ScalarType> kTypes[] = {
          {WeightFormat::kF32, at::kFloat},
          {WeightFormat::kBf16, at::kBFloat16},
          {WeightFormat::kF16, at::kHalf},
          {WeightFormat::kInt8, at::kChar}};
      for (const auto& [format, type] : kTypes) {
        const at::Tensor rows = w.clamp(-127, 127).to(type).contiguous();
        const at::Tensor chosen = rows.to(at::kDouble).index_select(0, list.to(at::kLong));
        for (const int64_t way : targets.all()) {
          targets.Use(way);
          SCOPED_TRACE(StrCat(WeightFormatName(format), ", ", Targets::Name(way), ", ", count,
                              " rows of ", columns));
          const GatheredRows gathered{rows.data_ptr(), format, columns, list.data_ptr<int32_t>(),
                                      count};
          at::Tensor dots = at::full({count + 1}, std::nanf(""));
          DotGathered(gathered, x.data_ptr<float>(), dots.data_ptr<float>());
          EXPECT_TRUE(dots.narrow(0, 0, count)
                          .allclose(chosen.mv(x.to(at::kDouble)).to(at::kFloat), 1e-4, 1e-3));
          EXPECT_TRUE(dots[count].isnan().item<bool>());
          at::Tensor y = at::ones({columns + 1});
          y[columns] = std::nanf("");
          AddGathered(gathered, factors.data_ptr<float>(), y.data_ptr<float>());
          const at::Tensor sum = 1 + chosen.t().mv(factors.to(at::kDouble));
          EXPECT_TRUE(y.narrow(0, 0, columns).allclose(sum.to(at::kFloat), 1e-4, 1e-3));
          EXPECT_TRUE(y[columns].isnan().item<bool>());
        }
      }
    }
  }
}

// Decoding goes neuron by neuron, a text at once through whole products: both choose alike.
TEST(NeuronwiseFfn, AModelDecodesWhatItReadsAtOnce) {
  const at::NoGradGuard no_grad;
  const tests::TempDir dir;
  route::RouterTrainOptions options;
  options.router = "first-product";
  const std::filesystem::path pico = tests::Pico("llama-llama3-rope-scaling");
  const model::ModelConfig config = model::ReadModelConfig(pico / "config.json");
  const split::MoeCheckpoint moe =
      tests::SplitAndRoute(pico, dir, config.decoder.num_neurons, options);
  SparseModel sparse(moe);
  model::Transformer& model = sparse.transformer();
  const at::Tensor ids = at::arange(3, 15, at::kLong).view({1, 12});
  model::ForwardInputs inputs;
  inputs.input_ids = ids;
  for (const char* selection : {"stored", "first-product:threshold", "stored:budget"}) {
    sparse.Install(route::ParseSelection(selection), 0.5);
    const at::Tensor logits = model.Forward(inputs).logits;
    EXPECT_NEAR(sparse.Counters().FfnRatio(), 0.5, 0.1) << selection;
    const auto state = model.StartDecoding(inputs);
    model.Decode(*state, ids.slice(1, 0, 11));
    const at::Tensor last = model.Decode(*state, ids.slice(1, 11, 12));
    EXPECT_LT(RelativeError(last[0], logits[0][11]), 1e-4) << selection;
    EXPECT_GT(sparse.Counters().router_flops, 0);
  }
  // All neurons are the dense model, and other selections run as ever.
  model::Transformer dense = model::LoadTransformer(moe.weights());
  const at::Tensor wanted = dense.Forward(inputs).logits;
  for (const char* selection : {"stored", "random", "oracle"}) {
    sparse.Install(route::ParseSelection(selection), 1.0);
    EXPECT_LT(RelativeError(model.Forward(inputs).logits, wanted), tests::kSparseVersusDense);
  }
}

}  // namespace
}  // namespace moefy::runtime
