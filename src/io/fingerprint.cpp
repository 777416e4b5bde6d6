#include "io/fingerprint.h"

#include <xxhash.h>

#include <algorithm>
#include <atomic>
#include <exception>
#include <memory>
#include <mutex>
#include <thread>

#include "io/mapped_file.h"
#include "moefy/base/error.h"

namespace moefy::io {
namespace {

constexpr size_t kChunkBytes = 8 << 20;  // between two reports of progress

class Hasher {
 public:
  Hasher() : state_(XXH3_createState()) {
    if (!state_) throw std::bad_alloc();
    XXH3_128bits_reset(state_.get());
  }
  void Add(std::span<const std::byte> bytes) {
    XXH3_128bits_update(state_.get(), bytes.data(), bytes.size());
  }
  void Add(uint64_t value) { Add(std::as_bytes(std::span(&value, 1))); }
  void Add(std::string_view text) {
    Add(text.size());  // so that "ab" "c" and "a" "bc" differ
    Add(std::as_bytes(std::span(text)));
  }
  XXH128_hash_t Digest() const { return XXH3_128bits_digest(state_.get()); }
  // 32 hex digits, most significant byte first.
  std::string HexDigest() const {
    constexpr std::string_view kDigits = "0123456789abcdef";
    XXH128_canonical_t canonical;
    XXH128_canonicalFromHash(&canonical, Digest());
    std::string hex;
    for (const unsigned char byte : canonical.digest) {
      hex += kDigits[byte >> 4];
      hex += kDigits[byte & 15];
    }
    return hex;
  }

 private:
  struct Free {
    void operator()(XXH3_state_t* state) const { XXH3_freeState(state); }
  };
  std::unique_ptr<XXH3_state_t, Free> state_;
};

// Calls body(i) for every i < count from as many threads as there are cores. The first exception
// stops the rest and is thrown again here.
template <typename Body>
void ForEachInParallel(size_t count, const Body& body) {
  std::atomic<size_t> next{0};
  std::mutex mutex;
  std::exception_ptr failure;
  const auto work = [&] {
    try {
      for (size_t i = next++; i < count; i = next++) body(i);
    } catch (...) {
      next = count;
      const std::lock_guard lock(mutex);
      if (!failure) failure = std::current_exception();
    }
  };
  {
    std::vector<std::jthread> threads;
    const size_t num_threads = std::min<size_t>(count, std::thread::hardware_concurrency());
    for (size_t i = 1; i < num_threads; ++i) threads.emplace_back(work);
    work();
  }
  if (failure) std::rethrow_exception(failure);
}

}  // namespace

std::string TensorsFingerprint(const Checkpoint& checkpoint, Progress& progress) {
  const std::vector<std::string> names = checkpoint.TensorNames();
  // The largest tensor comes first, so that no thread is left alone with it at the end.
  std::vector<size_t> order(names.size());
  for (size_t i = 0; i < order.size(); ++i) order[i] = i;
  std::stable_sort(order.begin(), order.end(), [&](size_t a, size_t b) {
    return checkpoint.Get(names[a]).num_bytes() > checkpoint.Get(names[b]).num_bytes();
  });

  progress.Begin("fingerprint", checkpoint.TotalBytes(), "B");
  std::mutex progress_mutex;
  std::vector<XXH128_canonical_t> digests(names.size());
  ForEachInParallel(order.size(), [&](size_t i) {
    std::span<const std::byte> bytes = checkpoint.Bytes(names[order[i]]);
    Hasher hasher;
    while (!bytes.empty()) {
      const auto chunk = bytes.first(std::min(bytes.size(), kChunkBytes));
      hasher.Add(chunk);
      bytes = bytes.subspan(chunk.size());
      const std::lock_guard lock(progress_mutex);
      progress.Advance(chunk.size());
    }
    XXH128_canonicalFromHash(&digests[order[i]], hasher.Digest());
  });

  Hasher all;
  for (size_t i = 0; i < names.size(); ++i) {
    const TensorInfo& info = checkpoint.Get(names[i]);
    all.Add(std::string_view(info.name));
    all.Add(DTypeName(info.dtype));
    all.Add(info.shape.size());
    for (uint64_t extent : info.shape) all.Add(extent);
    all.Add(std::as_bytes(std::span(digests[i].digest)));
  }
  const std::string hex = all.HexDigest();
  progress.End("");
  return hex;
}

std::string FileFingerprint(const std::filesystem::path& path) {
  const MappedFile file(path);
  Hasher hasher;
  for (std::span<const std::byte> bytes = file.bytes(); !bytes.empty();) {
    ThrowIfInterrupted();
    const auto chunk = bytes.first(std::min(bytes.size(), kChunkBytes));
    hasher.Add(chunk);
    bytes = bytes.subspan(chunk.size());
  }
  return hasher.HexDigest();
}

std::string TextFingerprint(std::string_view text) {
  Hasher hasher;
  hasher.Add(std::as_bytes(std::span(text)));
  return hasher.HexDigest();
}

}  // namespace moefy::io
