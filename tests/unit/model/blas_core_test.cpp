#include "model/blas_core.h"

#include <ATen/ATen.h>
#include <gtest/gtest.h>

#include <cstdlib>

namespace moefy::model {
namespace {

constexpr BlasProcessor kOld{}, kAvx2{.avx2 = true}, kAvx512{.avx2 = true, .avx512 = true},
    kAmd{.amd = true, .avx2 = true, .avx512 = true};

TEST(BlasCore, OnlySlowOnesAreReplaced) {
  EXPECT_EQ(FasterBlasCore("Cooperlake", kAvx512), "SkylakeX");
  EXPECT_EQ(FasterBlasCore("Cooperlake", kAmd), "Haswell");
  for (const char* good : {"SkylakeX", "Haswell", "Zen", "Sapphirerapids", ""}) {
    for (const BlasProcessor& processor : {kOld, kAvx2, kAvx512, kAmd}) {
      EXPECT_EQ(FasterBlasCore(good, processor), "") << good;
    }
  }
}

TEST(BlasCore, AProcessorIsNotTakenForAnOlderOne) {
  for (const char* old : {"Prescott", "Core2", "Nehalem", "Sandybridge", "Barcelona"}) {
    EXPECT_EQ(FasterBlasCore(old, kOld), "") << old;
    EXPECT_EQ(FasterBlasCore(old, kAvx2), "Haswell") << old;
    EXPECT_EQ(FasterBlasCore(old, kAvx512), "SkylakeX") << old;
    EXPECT_EQ(FasterBlasCore(old, kAmd), "Haswell") << old;
  }
}

// The relative error of a product that is large enough for OpenBLAS to use all threads, and of one
// that is not.
double ProductError() {
  double worst = 0;
  for (const int64_t rows : {int64_t{3}, int64_t{517}}) {
    const at::Tensor a = at::randn({rows, 700});
    const at::Tensor b = at::randn({391, 700});
    const at::Tensor wanted = a.to(at::kDouble).matmul(b.to(at::kDouble).t());
    const at::Tensor error = a.matmul(b.t()).to(at::kDouble) - wanted;
    worst = std::max(worst, (error.norm() / wanted.norm()).item<double>());
  }
  return worst;
}

TEST(BlasCore, IsChangedInProcessAndBack) {
  const std::string before = BlasCore();
  if (before.empty()) {
    EXPECT_FALSE(UseBlasCore("Haswell"));
    GTEST_SKIP() << "the BLAS is not an OpenBLAS that chooses its kernels when it starts";
  }
  setenv("OPENBLAS_CORETYPE", "Zen", 1);
  int changed = 0;
  for (const char* core : {"Sandybridge", "Haswell", "SkylakeX"}) {
    if (!UseBlasCore(core)) continue;  // this processor has not the instructions
    EXPECT_EQ(BlasCore(), core);
    EXPECT_LT(ProductError(), 1e-6) << core;
    ++changed;
  }
  EXPECT_GT(changed, 0);
  EXPECT_STREQ(std::getenv("OPENBLAS_CORETYPE"), "Zen");
  unsetenv("OPENBLAS_CORETYPE");
  EXPECT_TRUE(UseBlasCore(before));
  EXPECT_EQ(std::getenv("OPENBLAS_CORETYPE"), nullptr);
  EXPECT_LT(ProductError(), 1e-6);
}

TEST(BlasCore, AChoiceThatIsGoodOrTheUsersStays) {
  const std::string before = BlasCore();
  const std::string faster = FasterBlasCore(before, ThisProcessor());
  AvoidSlowBlasCore();
  EXPECT_EQ(BlasCore(), faster.empty() || std::getenv("OPENBLAS_CORETYPE") ? before : faster);
}

}  // namespace
}  // namespace moefy::model
