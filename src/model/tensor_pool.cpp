#include "model/tensor_pool.h"

#include <c10/core/CPUAllocator.h>

#include <algorithm>
#include <array>
#include <bit>
#include <mutex>
#include <new>
#include <utility>

namespace moefy::model {
namespace {

constexpr size_t kHeaderBytes = c10::gAlignment;  // what comes behind it is aligned as well
constexpr size_t kSmallestBytes = 512;

// Stands before a tensor's bytes.
struct Block {
  std::shared_ptr<TensorPool::Store> store;  // kept alive for tensors that outlive the pool
  size_t size_class = 0;                     // 2^size_class bytes
  Block* next = nullptr;                     // of the same class, not in use
};
static_assert(sizeof(Block) <= kHeaderBytes);

}  // namespace

struct TensorPool::Store {
  std::mutex mutex;
  std::array<Block*, 64> unused = {};  // by size class, linked
  bool closed = false;                 // the pool is gone: nobody wants blocks back
};

namespace {

// The thread's, of the innermost scope.
constinit thread_local const std::shared_ptr<TensorPool::Store>* current_store = nullptr;

// LibTorch's allocator, or `current_store`'s blocks where there is one.
class PoolingAllocator final : public c10::Allocator {
 public:
  explicit PoolingAllocator(c10::Allocator* system) : system_(system) {}

  c10::DataPtr allocate(size_t num_bytes) const override {
    if (!current_store || num_bytes == 0) return system_->allocate(num_bytes);
    const std::shared_ptr<TensorPool::Store>& store = *current_store;
    const size_t size_class = std::bit_width(std::max(num_bytes, kSmallestBytes) - 1);
    Block* block = TakeUnused(*store, size_class);
    if (!block) {
      void* const memory = system_->raw_allocate(kHeaderBytes + (size_t{1} << size_class));
      block = new (memory) Block{store, size_class};
    }
    return {reinterpret_cast<std::byte*>(block) + kHeaderBytes, block, &GiveBack,
            c10::Device(c10::DeviceType::CPU)};
  }
  // Of what is allocated outside scopes.
  c10::DeleterFnPtr raw_deleter() const override { return system_->raw_deleter(); }

  void Free(Block* block) const {
    block->~Block();
    system_->raw_deallocate(block);
  }

 private:
  static Block* TakeUnused(TensorPool::Store& store, size_t size_class) {
    const std::lock_guard lock(store.mutex);
    Block*& first = store.unused[size_class];
    return first ? std::exchange(first, first->next) : nullptr;
  }
  static void GiveBack(void* context);

  c10::Allocator* system_;
};

// LibTorch has one allocator for all, to be set before there are threads: at start, for good.
const PoolingAllocator& allocator = []() -> PoolingAllocator& {
  auto* const pooling = new PoolingAllocator(c10::GetCPUAllocator());
  c10::SetCPUAllocator(pooling);
  return *pooling;
}();

void PoolingAllocator::GiveBack(void* context) {
  auto* const block = static_cast<Block*>(context);
  TensorPool::Store& store = *block->store;
  {
    const std::lock_guard lock(store.mutex);
    if (!store.closed) {
      block->next = std::exchange(store.unused[block->size_class], block);
      return;
    }
  }
  allocator.Free(block);
}

}  // namespace

TensorPool::TensorPool() : store_(std::make_shared<Store>()) {}

TensorPool::~TensorPool() {
  std::array<Block*, 64> unused;
  {
    const std::lock_guard lock(store_->mutex);
    store_->closed = true;
    unused = std::exchange(store_->unused, {});
  }
  for (Block* block : unused) {
    while (block) allocator.Free(std::exchange(block, block->next));
  }
}

TensorPool::Scope::Scope(const TensorPool* pool)
    : outer_(std::exchange(current_store, pool ? &pool->store_ : nullptr)) {}

TensorPool::Scope::~Scope() { current_store = outer_; }

}  // namespace moefy::model
