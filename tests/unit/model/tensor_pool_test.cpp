#include "model/tensor_pool.h"

#include <ATen/ATen.h>
#include <gtest/gtest.h>

#include <optional>
#include <thread>

#include "support/storage_count.h"

namespace moefy::model {
namespace {

void* DataOf(int64_t num_floats) { return at::empty({num_floats}).data_ptr(); }

TEST(TensorPool, ABlockIsTheNextTensorsOfItsSize) {
  const TensorPool pool;
  const TensorPool::Scope scope(&pool);
  void* const first = DataOf(1000);
  const tests::StorageCount storages;
  EXPECT_EQ(DataOf(1024), first);
  EXPECT_EQ(DataOf(513), first);
  EXPECT_EQ(storages.Get(), 0);
  EXPECT_NE(DataOf(1025), first);  // twice the size
  EXPECT_EQ(storages.Get(), 1);
  const at::Tensor held = at::empty({1000}), more = at::empty({1000});
  EXPECT_EQ(held.data_ptr(), first);
  EXPECT_NE(more.data_ptr(), first);
  EXPECT_EQ(storages.Get(), 2);
}

TEST(TensorPool, TensorsHoldWhatIsWrittenAndAreAligned) {
  const TensorPool pool;
  const TensorPool::Scope scope(&pool);
  std::vector<at::Tensor> tensors;
  for (int64_t size = 1; size < 5000; size += 321) tensors.push_back(at::full({size}, size));
  for (const at::Tensor& t : tensors) {
    EXPECT_EQ(reinterpret_cast<uintptr_t>(t.data_ptr()) % 64, 0u);
    EXPECT_TRUE((t == t.size(0)).all().item<bool>());
  }
  EXPECT_EQ(at::empty({0}).numel(), 0);
  at::Tensor grown = at::ones({3});
  grown.resize_({10000}).fill_(2);
  EXPECT_EQ(grown.sum().item<float>(), 20000);
}

TEST(TensorPool, OnlyTheScopesThreadAndTheInnermostScopeCount) {
  const TensorPool pool, inner_pool;
  const TensorPool::Scope scope(&pool);
  void* const first = DataOf(1000);
  {
    const TensorPool::Scope inner(&inner_pool);
    EXPECT_NE(DataOf(1000), first);
  }
  {
    const TensorPool::Scope none(nullptr);
    const tests::StorageCount storages;
    DataOf(1000);
    DataOf(1000);
    EXPECT_EQ(storages.Get(), 2);
  }
  std::thread([&] {
    const tests::StorageCount storages;
    DataOf(1000);
    DataOf(1000);
    EXPECT_EQ(storages.Get(), 2);
  }).join();
  EXPECT_EQ(DataOf(1000), first);
}

TEST(TensorPool, TensorsMayOutliveItAndBeFreedElsewhere) {
  at::Tensor survivor;
  {
    std::optional<TensorPool> pool(std::in_place);
    {
      const TensorPool::Scope scope(&*pool);
      survivor = at::ones({1000});
      at::Tensor freed_elsewhere = at::empty({1000});
      void* const data = freed_elsewhere.data_ptr();
      std::thread([t = std::move(freed_elsewhere)]() mutable { t.reset(); }).join();
      EXPECT_EQ(DataOf(1000), data);
    }
    pool.reset();
  }
  EXPECT_EQ(survivor.sum().item<float>(), 1000);
  const tests::StorageCount storages;
  survivor.resize_({2000});  // with no scope: from the system
  EXPECT_EQ(storages.Get(), 1);
}

TEST(TensorPool, ThreadsShareOne) {
  const TensorPool pool;
  std::vector<std::thread> threads;
  for (int i = 0; i < 4; ++i) {
    threads.emplace_back([&pool, i] {
      const TensorPool::Scope scope(&pool);
      for (int64_t n = 0; n < 2000; ++n) {
        const at::Tensor t = at::full({1 + n % 700}, i);
        ASSERT_EQ(t.sum().item<float>(), static_cast<float>(i * t.numel()));
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
}

// oneDNN's scratch memory comes so.
TEST(TensorPool, OutsideScopesNothingChanges) {
  c10::Allocator* const allocator = c10::GetAllocator(c10::DeviceType::CPU);
  void* const memory = allocator->raw_allocate(100);
  allocator->raw_deallocate(memory);
}

}  // namespace
}  // namespace moefy::model
