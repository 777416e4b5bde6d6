#include "runtime/weight_arena.h"

#include <sys/mman.h>

#include <algorithm>
#include <cerrno>
#include <cstdlib>

#include "moefy/base/error.h"

namespace moefy::runtime {
namespace {

constexpr int64_t kHugePage = int64_t{2} << 20;
constexpr int64_t kSlackBytes = 256;  // what kernels may read past a part's end

}  // namespace

// Large arrays begin on a huge page and ask for more of them: streaming through 4 KB pages costs a
// noticeable share of the memory bandwidth, and reading scattered rows a third of it. An end that
// fills less than three quarters of a huge page asks for none, which would be memory for nothing.
std::shared_ptr<void> AllocateWeights(int64_t wanted) {
  const int64_t huge = (wanted + kHugePage / 4) / kHugePage * kHugePage;
  const int64_t alignment = huge > 0 ? kHugePage : kPackedAlignment;
  const int64_t aligned = (wanted + kPackedAlignment - 1) / kPackedAlignment * kPackedAlignment;
  const auto bytes = static_cast<size_t>(std::max(aligned, huge));
  void* memory = nullptr;
  if (posix_memalign(&memory, static_cast<size_t>(alignment), bytes) != 0) {
    throw SystemError(ENOMEM, "no memory for ", FormatBytes(bytes), " of weights");
  }
  if (huge > 0) madvise(memory, static_cast<size_t>(huge), MADV_HUGEPAGE);  // may be refused
  return {memory, std::free};
}

int64_t WeightArena::Reserve(int64_t bytes) {
  const int64_t offset = total_;
  total_ += (bytes + kSlackBytes + kPackedAlignment - 1) / kPackedAlignment * kPackedAlignment;
  return offset;
}

PackedBytes WeightArena::Create(const PackedSlot& slot) const {
  return slot.store ? slot.store->Take(slot.name, total_) : PackedBytes{AllocateWeights(total_)};
}

}  // namespace moefy::runtime
