#include "export/model_tensors.h"

#include <gtest/gtest.h>

#include <cmath>

#include "export_support.h"

namespace moefy::exports {
namespace {

TEST(NeutralNorms, MultiplyToTheEpsilonInEachType) {
  for (const double epsilon : {1e-5, 1e-6, 3e-4}) {
    for (const auto& [dtype, allowed] :
         {std::pair{io::DType::kF32, 1e-7}, std::pair{io::DType::kBF16, 2e-4}}) {
      const NeutralNorms norms = NeutralNormsFor(epsilon, dtype);
      EXPECT_NEAR(norms.query * norms.key * 0x1p-60 / epsilon, 1, allowed);
    }
  }
}

// RMS norm of a head: what the engine computes with the made-up weights is what was there before.
TEST(NeutralNorms, GiveBackWhatIsNormed) {
  constexpr double kEpsilon = 1e-6;
  const NeutralNorms norms = NeutralNormsFor(kEpsilon, io::DType::kF32);
  const at::Tensor query = at::randn({100, 64}) * 40, key = at::randn({100, 64}) * 40;
  const auto normed = [&](const at::Tensor& x, double weight) {
    const at::Tensor scaled = x * 0x1p-30;
    return scaled * (scaled.square().mean(1, true) + kEpsilon).rsqrt() * weight;
  };
  const at::Tensor wanted = query.mm(key.t());
  const at::Tensor got = normed(query, norms.query).mm(normed(key, norms.key).t());
  EXPECT_LT((got - wanted).abs().max().item<double>(), 1e-5 * wanted.abs().max().item<double>());
}

TEST(ModelTensors, AddsNormsAndBiasesThatTheFormatHas) {
  const moefy::tests::TempDir dir;
  const split::MoeCheckpoint moe = moefy::tests::SplitAndRoute(
      moefy::tests::Pico("llama-llama3-rope-scaling"), dir, 6, tests::Unbiased());
  const auto find = [&](const char* format, const std::string& name) {
    for (const ExportedTensor& tensor :
         ModelTensors(moe, PlanExport(moe, GetFormat(format), 0.5))) {
      if (tensor.name == name) return tensor.read();
    }
    return at::Tensor();
  };
  const std::string attention = "model.layers.1.self_attn.";
  EXPECT_FALSE(find("mixtral", attention + "q_norm.weight").defined());
  EXPECT_EQ(find("qwen3-moe", attention + "q_norm.weight").numel(), 12);
  EXPECT_EQ(find("olmoe", attention + "q_norm.weight").numel(), 48);
  EXPECT_EQ(find("olmoe", attention + "k_norm.weight").numel(), 24);
  EXPECT_FALSE(find("mixtral", attention + "k_proj.bias").defined());
  const at::Tensor bias = find("qwen2-moe", attention + "k_proj.bias");
  EXPECT_EQ(bias.numel(), 24);
  EXPECT_TRUE(bias.eq(0).all().item<bool>());
  const at::Tensor plain = find("mixtral", attention + "q_proj.weight");
  EXPECT_TRUE(at::equal(find("olmoe", attention + "q_proj.weight"), plain * 0x1p-30));
  EXPECT_TRUE(at::equal(find("olmoe", attention + "v_proj.weight"),
                        find("mixtral", attention + "v_proj.weight")));
}

}  // namespace
}  // namespace moefy::exports
