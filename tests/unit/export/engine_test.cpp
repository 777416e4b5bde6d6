// Each format's own rule, applied to what was written, gives the plain sum of the experts that
// moefy chooses; and config.json says what the tensors are.
#include <ATen/core/grad_mode.h>

#include <gtest/gtest.h>

#include <filesystem>

#include "export/model_tensors.h"
#include "export_support.h"
#include "moefy/base/strings.h"
#include "moefy/model/tensor_io.h"
#include "route/top_k.h"

namespace moefy::exports {
namespace {

using tests::ExportTo;
using tests::Unbiased;

// The engines' rules, from their modeling files. x [tokens, hidden].
struct Engine {
  io::Checkpoint weights;
  Json config;
  const Format& format;

  at::Tensor Read(const std::string& name) const { return model::ReadTensor(weights, name); }

  // Of a stacked expert, its part of the tensors.
  at::Tensor Expert(const std::string& prefix, const at::Tensor& x, int64_t index = -1) const {
    if (format.w_in.empty()) {
      at::Tensor in = Read(prefix + format.w_gate + ".weight");
      at::Tensor out = Read(prefix + format.w_out + ".weight");
      if (index >= 0) in = in[index], out = out[index];
      const std::vector<at::Tensor> halves = x.mm(in.t()).chunk(2, 1);
      return (at::silu(halves[0]) * halves[1]).mm(out.t());
    }
    const at::Tensor gate = x.mm(Read(prefix + format.w_gate + ".weight").t());
    const at::Tensor up = x.mm(Read(prefix + format.w_in + ".weight").t());
    return (at::silu(gate) * up).mm(Read(prefix + format.w_out + ".weight").t());
  }

  // What each expert's output is multiplied with: [tokens, experts], 0 for those not chosen.
  at::Tensor Weights(const std::string& layer, const at::Tensor& x) const {
    const at::Tensor logits = x.mm(Read(layer + format.router + "weight").t());
    if (config["model_type"] == "granitemoeshared") {
      const auto [best, indices] = logits.topk(config["num_experts_per_tok"].get<int64_t>(), 1);
      return at::zeros_like(logits).scatter(1, indices, best.softmax(1));
    }
    const bool sigmoid = config.contains("routed_scaling_factor");
    const at::Tensor scores = sigmoid ? logits.sigmoid() : logits.softmax(1);
    at::Tensor choice = scores;
    if (sigmoid) choice = scores + Read(layer + format.router + "e_score_correction_bias");
    const auto [best, indices] = choice.topk(config["num_experts_per_tok"].get<int64_t>(), 1);
    at::Tensor chosen = scores.gather(1, indices);
    // Mixtral normalises without being told.
    if (config.value("norm_topk_prob", true)) chosen = chosen / chosen.sum(1, true);
    if (sigmoid) chosen = chosen * config["routed_scaling_factor"].get<double>();
    return at::zeros_like(scores).scatter(1, indices, chosen);
  }

  at::Tensor Run(int64_t layer_idx, const at::Tensor& x) const {
    const std::string layer = StrCat("model.layers.", layer_idx, ".");
    const at::Tensor weights_of = Weights(layer, x);
    at::Tensor y = at::zeros_like(x);
    for (int64_t e = 0; e < weights_of.size(1); ++e) {
      const std::string prefix = layer + ReplaceAll(format.expert, "{}", std::to_string(e));
      y = y + Expert(prefix, x, e) * weights_of.select(1, e).unsqueeze(1);
    }
    if (!weights.Find(layer + format.shared_expert + format.w_out + ".weight")) return y;
    at::Tensor shared = Expert(layer + format.shared_expert, x);
    if (!format.shared_gate.empty()) {
      shared = shared * x.mm(Read(layer + format.shared_gate + "weight").t()).sigmoid();
    }
    return y + shared;
  }
};

// The sum of the experts that the stored router chooses.
at::Tensor Wanted(const split::MoeCheckpoint& moe, size_t ffn_idx, int64_t chosen,
                  const at::Tensor& x) {
  const split::MoeFfn& ffn = moe.ffns()[ffn_idx];
  const model::FfnWeights weights = model::ReadFfnWeights(moe.weights(), ffn.spec);
  const int64_t shared = ffn.plan.num_shared();
  const at::Tensor runs =
      route::TopKMask(route::ReadRouter(moe, ffn_idx)->Scores(x), shared + chosen, shared);
  const at::Tensor neurons =
      model::NeuronActivations(weights, x).view({x.size(0), ffn.plan.num_experts(), -1});
  return (neurons * runs.unsqueeze(2)).flatten(1).mm(weights.w_out);
}

// An FFN's inputs: normed rows times the norm's weight.
at::Tensor Inputs(const split::MoeCheckpoint& moe, int64_t layer_idx) {
  const at::Tensor x = at::randn({40, moe.config().hidden});
  return x / x.square().mean(1, true).sqrt() * ReadFfnNorm(moe, layer_idx);
}

// The rows of x for which the last expert that is chosen is ahead of the next by more than engines'
// arithmetic on rounded routers resolves; either is right for the others.
at::Tensor Decided(const split::MoeCheckpoint& moe, size_t ffn_idx, int64_t chosen,
                   const at::Tensor& x) {
  constexpr double kResolved = 5e-4;  // of a token's spread of scores
  const int64_t shared = moe.ffns()[ffn_idx].plan.num_shared();
  const at::Tensor scores = route::ReadRouter(moe, ffn_idx)->Scores(x);
  const auto [sorted, order] = scores.narrow(1, shared, scores.size(1) - shared).sort(1, true);
  const at::Tensor lead = sorted.select(1, chosen - 1) - sorted.select(1, chosen);
  const at::Tensor spread = sorted.select(1, 0) - sorted.select(1, -1);
  return x.index({lead > kResolved * spread});
}

struct Case {
  const char* model;
  const char* format;
  int64_t experts;
  int64_t shared;
  const char* router = route::kUnbiased;
};

void PrintTo(const Case& c, std::ostream* out) { *out << c.model << " as " << c.format; }

class EngineOf : public testing::TestWithParam<Case> {};

TEST_P(EngineOf, SumsTheChosenExperts) {
  const Case& c = GetParam();
  const at::NoGradGuard no_grad;
  const moefy::tests::TempDir dir;
  const split::MoeCheckpoint moe = moefy::tests::SplitAndRoute(
      moefy::tests::Pico(c.model), dir, c.experts, Unbiased(c.router), c.shared);
  const ExportPlan plan = ExportTo(moe, c.format, 0.6, dir / "out");
  const Engine engine{io::Checkpoint::Open(dir / "out"), ReadJsonFile(dir / "out" / "config.json"),
                      plan.format};
  EXPECT_EQ(engine.config["architectures"][0], plan.format.class_name);
  for (size_t i = 0; i < moe.ffns().size(); ++i) {
    const at::Tensor all = Inputs(moe, static_cast<int64_t>(i));
    const at::Tensor x = Decided(moe, i, plan.sizes.chosen, all);
    EXPECT_GE(x.size(0), all.size(0) * 3 / 4);
    const at::Tensor wanted = Wanted(moe, i, plan.sizes.chosen, x);
    const at::Tensor got = engine.Run(static_cast<int64_t>(i), x);
    const auto error = (got - wanted).abs().max().item<double>();
    EXPECT_LT(error, 6e-3 * wanted.abs().max().item<double>()) << "FFN " << i;
    // An expert less makes much more of a difference.
    const at::Tensor other = Wanted(moe, i, plan.sizes.chosen - 1, x);
    EXPECT_GT((other - wanted).abs().max().item<double>(), 10 * error);
  }
}

INSTANTIATE_TEST_SUITE_P(
    All, EngineOf,
    testing::Values(Case{"llama-llama3-rope-scaling", "mixtral", 6, 0},
                    Case{"llama-llama3-rope-scaling", "qwen2-moe", 6, 0},
                    Case{"llama-llama3-rope-scaling", "qwen2-moe", 6, 2},
                    Case{"llama-llama3-rope-scaling", "qwen3-moe", 6, 0},
                    Case{"llama-llama3-rope-scaling", "olmoe", 6, 0},
                    Case{"llama-llama3-rope-scaling", "granite-moe", 6, 0},
                    Case{"qwen2-tied", "granite-moe", 53, 2},
                    Case{"llama-llama3-rope-scaling", "deepseek", 6, 0},
                    Case{"llama-llama3-rope-scaling", "deepseek", 6, 1},
                    Case{"llama-llama3-rope-scaling", "glm4-moe", 6, 1, "ridge"},
                    Case{"llama-llama3-rope-scaling", "mixtral", 6, 0, "similarity"},
                    Case{"mistral-gqa", "mixtral", 4, 0},
                    Case{"mistral-gqa", "glm4-moe", 4, 0, "low-rank"},
                    Case{"qwen2-tied", "qwen2-moe", 53, 3}, Case{"qwen2-tied", "olmoe", 53, 0}));

std::string Text(const io::Checkpoint& checkpoint, const std::string& name) {
  const auto bytes = checkpoint.Bytes(name);
  return {reinterpret_cast<const char*>(bytes.data()), bytes.size()};
}

// What is outside the FFNs is there once, under LLaMA's names and in the stored types.
TEST(WriteDirectory, KeepsTheRestOfTheModel) {
  const moefy::tests::TempDir dir;
  const std::filesystem::path dense = moefy::tests::Pico("qwen2-tied");
  const split::MoeCheckpoint moe = moefy::tests::SplitAndRoute(dense, dir, 2, Unbiased());
  ExportTo(moe, "qwen2-moe", 0.5, dir / "out");
  const io::Checkpoint from = io::Checkpoint::Open(dense);
  const io::Checkpoint to = io::Checkpoint::Open(dir / "out");
  int same = 0;
  for (const std::string& name : from.TensorNames()) {
    if (name.find(".mlp.") != std::string::npos) {
      EXPECT_EQ(to.Find(name), nullptr) << name;
      continue;
    }
    ASSERT_NE(to.Find(name), nullptr) << name;
    EXPECT_EQ(Text(from, name), Text(to, name)) << name;
    ++same;
  }
  EXPECT_GT(same, 10);
  EXPECT_FALSE(std::filesystem::exists(dir / "out" / split::kMoeManifest));
}

TEST(EngineConfig, SaysWhatTheModelIs) {
  const moefy::tests::TempDir dir;
  const split::MoeCheckpoint moe = moefy::tests::SplitAndRoute(
      moefy::tests::Pico("llama-llama3-rope-scaling"), dir, 6, Unbiased());
  ExportTo(moe, "mixtral", 0.5, dir / "out");
  const Json config = ReadJsonFile(dir / "out" / "config.json");
  EXPECT_EQ(config["model_type"], "mixtral");
  EXPECT_EQ(config["num_local_experts"], 6);
  EXPECT_EQ(config["num_experts_per_tok"], 3);
  EXPECT_EQ(config["intermediate_size"], 20);
  EXPECT_EQ(config["rope_theta"], 500000.0);
  EXPECT_EQ(config["rope_scaling"]["rope_type"], "llama3");
  EXPECT_EQ(config["rope_scaling"]["original_max_position_embeddings"], 32);
  EXPECT_EQ(config["max_position_embeddings"], 256);
  EXPECT_EQ(config["num_key_value_heads"], 2);
  EXPECT_EQ(config["head_dim"], 12);
  EXPECT_EQ(config["tie_word_embeddings"], false);
  EXPECT_EQ(config["torch_dtype"], "float32");
  EXPECT_EQ(config["eos_token_id"], 2);
  EXPECT_FALSE(config.contains("moefy"));
}

}  // namespace
}  // namespace moefy::exports
