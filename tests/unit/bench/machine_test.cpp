#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <functional>

#include "bench/machine_advice.h"
#include "support/temp_dir.h"

namespace moefy::bench {
namespace {

// A machine about which there is nothing to say.
MachineFacts GoodMachine() {
  MachineFacts facts;
  facts.instruction_set = "AVX3_DL";
  facts.byte_products = "AVX512_VNNI";
  facts.governor = "performance";
  facts.processors = 8;
  facts.threads = 8;
  facts.busy_share = 0.01;
  facts.memory_bytes = 32'000'000'000;
  facts.free_bytes = 30'000'000'000;
  facts.blas_kernels = "SkylakeX";
  facts.blas_processor = {.amd = false, .avx2 = true, .avx512 = true};
  return facts;
}

constexpr int64_t kModelBytes = 3'000'000'000;

std::vector<std::string> AdviceOn(const MachineFacts& facts) {
  std::vector<std::string> about;
  for (const Advice& advice : GiveAdvice(facts, kModelBytes)) {
    EXPECT_FALSE(advice.found.empty() || advice.remedy.empty()) << advice.about;
    about.push_back(advice.about);
  }
  return about;
}

TEST(MachineAdvice, NoneForAGoodMachineOrOneThatTellsNothing) {
  EXPECT_THAT(AdviceOn(GoodMachine()), testing::IsEmpty());
  EXPECT_THAT(AdviceOn(MachineFacts()), testing::IsEmpty());
}

TEST(MachineAdvice, OneForEachThingThatIsSlow) {
  struct Case {
    const char* about;
    std::function<void(MachineFacts&)> spoil;
    const char* remedy;  // part of it
  };
  const std::vector<Case> cases = {
      {"blas",
       [](MachineFacts& m) { m.blas_warning = "LibTorch is slow (a; b); apt-get install x"; },
       "apt-get install x"},
      {"blas_kernels", [](MachineFacts& m) { m.blas_kernels = "Cooperlake"; }, "SkylakeX"},
      {"blas_kernels", [](MachineFacts& m) { m.blas_kernels = "Prescott"; }, "SkylakeX"},
      {"threads", [](MachineFacts& m) { m.threads = 9; }, "--threads 8"},
      {"threads_allowed", [](MachineFacts& m) { m.processors_allowed = 2.5; }, "--threads 2"},
      {"busy", [](MachineFacts& m) { m.busy_share = 0.6; }, "wait"},
      {"wait_policy", [](MachineFacts& m) { m.wait_policy = "passive"; }, "unset"},
      {"governor", [](MachineFacts& m) { m.governor = "powersave"; }, "cpupower"},
      {"byte_products", [](MachineFacts& m) { m.byte_products = ""; }, "processor"},
      {"memory", [](MachineFacts& m) { m.free_bytes = kModelBytes - 1; }, "moefy pack"},
      {"memory", [](MachineFacts& m) { m.memory_limit_bytes = 1000; }, "moefy pack"},
      {"gpu", [](MachineFacts& m) { m.nvidia_gpu = true; }, "CUDA"},
  };
  for (const Case& slow : cases) {
    MachineFacts facts = GoodMachine();
    slow.spoil(facts);
    const std::vector<Advice> advice = GiveAdvice(facts, kModelBytes);
    ASSERT_THAT(AdviceOn(facts), testing::ElementsAre(slow.about));
    EXPECT_THAT(advice.front().remedy, testing::HasSubstr(slow.remedy));
  }
}

TEST(MachineAdvice, SaysBothHalvesOfTheBlasWarning) {
  MachineFacts facts = GoodMachine();
  facts.blas_warning = "LibTorch is slow (a; b); apt-get install x";
  EXPECT_EQ(GiveAdvice(facts, 0).front().found, "LibTorch is slow (a; b)");
}

class FakeMachine : public testing::Test {
 protected:
  void Write(const std::string& file, const std::string& text) { dir_.Write(file, text); }
  MachineFacts Read() { return ReadMachineFacts(0, dir_.path()); }

  tests::TempDir dir_;
};

TEST_F(FakeMachine, WhatTheSystemDoesNotTellIsNotKnown) {
  const MachineFacts facts = Read();
  EXPECT_EQ(facts.governor, "");
  EXPECT_LT(facts.processors_allowed, 0);
  EXPECT_LT(facts.busy_share, 0);
  EXPECT_LT(facts.memory_bytes, 0);
  EXPECT_LT(facts.free_bytes, 0);
  EXPECT_LT(facts.memory_limit_bytes, 0);
  EXPECT_FALSE(facts.nvidia_gpu);
  EXPECT_FALSE(facts.instruction_set.empty());
  EXPECT_GT(facts.threads, 0);
}

TEST_F(FakeMachine, ReadsProcAndSys) {
  Write("proc/meminfo", "MemTotal:       24000 kB\nMemFree: 1 kB\nMemAvailable:   20000 kB\n");
  Write("sys/devices/system/cpu/cpu0/cpufreq/scaling_governor", "powersave\n");
  Write("dev/nvidia0", "");
  const MachineFacts facts = Read();
  EXPECT_EQ(facts.memory_bytes, 24'000 * 1024);
  EXPECT_EQ(facts.free_bytes, 20'000 * 1024);
  EXPECT_EQ(facts.governor, "powersave");
  EXPECT_TRUE(facts.nvidia_gpu);
}

TEST_F(FakeMachine, LimitsOfControlGroupsOfVersionTwo) {
  Write("proc/meminfo", "MemTotal: 24000 kB\n");
  Write("proc/self/cgroup", "0::/jobs/one\n");
  Write("sys/fs/cgroup/jobs/one/cpu.max", "150000 100000\n");
  Write("sys/fs/cgroup/jobs/one/memory.max", "1000000\n");
  EXPECT_EQ(Read().processors_allowed, 1.5);
  EXPECT_EQ(Read().memory_limit_bytes, 1'000'000);
  Write("sys/fs/cgroup/jobs/one/cpu.max", "max 100000\n");
  Write("sys/fs/cgroup/jobs/one/memory.max", "max\n");
  EXPECT_LT(Read().processors_allowed, 0);
  EXPECT_LT(Read().memory_limit_bytes, 0);
}

TEST_F(FakeMachine, LimitsOfControlGroupsOfVersionOne) {
  Write("proc/meminfo", "MemTotal: 24000 kB\n");
  Write("proc/self/cgroup", "4:memory:/elsewhere\n1:cpu:/\n0::/\n");
  Write("sys/fs/cgroup/cpu/cpu.cfs_quota_us", "250000\n");
  Write("sys/fs/cgroup/cpu/cpu.cfs_period_us", "100000\n");
  Write("sys/fs/cgroup/memory/memory.limit_in_bytes", "1000000\n");
  EXPECT_EQ(Read().processors_allowed, 2.5);
  EXPECT_EQ(Read().memory_limit_bytes, 1'000'000);
  Write("sys/fs/cgroup/cpu/cpu.cfs_quota_us", "-1\n");
  Write("sys/fs/cgroup/memory/memory.limit_in_bytes", "9223372036854771712\n");
  EXPECT_LT(Read().processors_allowed, 0);
  EXPECT_LT(Read().memory_limit_bytes, 0);
}

}  // namespace
}  // namespace moefy::bench
