// What this machine and this process have that speed depends on. Only what could be read is told:
// a text is "", and a number is negative, where the system does not say.
#pragma once

#include <cstdint>
#include <filesystem>
#include <string>

#include "model/blas_core.h"

namespace moefy::bench {

struct MachineFacts {
  // The processor.
  std::string cpu;
  std::string instruction_set;  // that our kernels run with, as Highway names it
  std::string byte_products;    // "AVX512_VNNI" or "AVX_VNNI": four products of bytes at once
  model::BlasProcessor blas_processor;
  int64_t last_level_cache_bytes = -1;
  std::string governor;  // of the first processor's frequency

  // Threads.
  int64_t processors = -1;         // that this process may run on
  double processors_allowed = -1;  // whose time the control group may use; negative: no limit
  int64_t threads = -1;            // that we compute with
  double busy_share = -1;          // of all processors' time, while we looked
  std::string wait_policy;         // OMP_WAIT_POLICY

  // Memory, in bytes.
  int64_t memory_bytes = -1, free_bytes = -1;
  int64_t memory_limit_bytes = -1;  // of the control group; negative: no limit

  // LibTorch and what it multiplies through.
  std::string libtorch, libtorch_file;
  std::string blas;          // the library's file
  std::string blas_kernels;  // of an OpenBLAS that chooses them when it starts
  std::string blas_warning;  // as BlasWarning() says it
  std::string onednn;        // its file, "" if LibTorch has none
  int64_t gpus = 0;          // that LibTorch can use
  bool nvidia_gpu = false;   // that the system has
};

// Looks at the machine for `busy_seconds`. `root` is where /proc, /sys and /dev lie.
MachineFacts ReadMachineFacts(double busy_seconds, const std::filesystem::path& root = "/");

}  // namespace moefy::bench
