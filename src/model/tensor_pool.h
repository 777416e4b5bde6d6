// Memory for the tensors of a loop that makes the same ones again and again: a block that a tensor
// leaves is the next tensor's, not the system's. Blocks are powers of two, so that tensors which
// grow with a text need new ones only when the text has doubled; the pool never holds more blocks
// than were in use at once.
#pragma once

#include <memory>

namespace moefy::model {

// Thread-safety: a pool may be used by several threads at once. Its tensors may outlive it, and may
// be freed anywhere.
class TensorPool {
 public:
  struct Store;  // what a pool and its blocks share

  TensorPool();
  ~TensorPool();
  TensorPool(const TensorPool&) = delete;
  TensorPool& operator=(const TensorPool&) = delete;

  // While one lives, the CPU tensors that its thread makes take their memory from `pool`; null:
  // from LibTorch's own allocator. Scopes nest; a pool outlives its scopes. LibTorch's
  // raw_allocate, which oneDNN's scratch memory comes from, throws inside: nothing that is computed
  // in F32 uses it.
  class Scope {
   public:
    explicit Scope(const TensorPool* pool);
    ~Scope();
    Scope(const Scope&) = delete;
    Scope& operator=(const Scope&) = delete;

   private:
    const std::shared_ptr<Store>* outer_;
  };

 private:
  std::shared_ptr<Store> store_;
};

}  // namespace moefy::model
