// The memory that packed weights lie in: allocated and filled by whoever packs, or a part of a
// mapped file that holds them packed (runtime/packed_file.h). Thread-safety: one caller at a time.
#pragma once

#include <cstdint>
#include <memory>
#include <string>

namespace moefy::runtime {

inline constexpr int64_t kPackedAlignment = 64;

// The bytes of packed weights, which begin at a multiple of kPackedAlignment.
struct PackedBytes {
  std::shared_ptr<void> memory;
  bool is_filled = false;  // with the packed weights; else it is for the caller to write
};

// Gives memory by name.
class PackedStore {
 public:
  virtual ~PackedStore() = default;
  virtual PackedBytes Take(const std::string& name, int64_t bytes) = 0;
};

// Where one matrix, or one FFN, gets its memory from: a name in a store, or nowhere special.
struct PackedSlot {
  PackedStore* store = nullptr;
  std::string name = {};

  PackedSlot Of(const std::string& part) const { return {store, name + "." + part}; }
};

// Memory for weights, which asks for huge pages where it is large. Error{kSystem} when there is
// none.
std::shared_ptr<void> AllocateWeights(int64_t bytes);

// One allocation of which parts are handed out: first all are reserved, then all are there.
// Kernels may read past a part's end, and ignore what they read.
class WeightArena {
 public:
  int64_t Reserve(int64_t bytes);  // returns the part's offset
  // All parts, from the slot's store or allocated. Throws what that throws.
  PackedBytes Create(const PackedSlot& slot = {}) const;
  int64_t bytes() const { return total_; }

 private:
  int64_t total_ = 0;
};

}  // namespace moefy::runtime
