// Which of its sets of kernels ("cores") OpenBLAS multiplies with: LibTorch's products go through
// it. docs/decisions/0017-ground.md says what was measured. Thread-safety: nobody may multiply, or
// read or set environment variables, during UseBlasCore; the others are safe.
#pragma once

#include <string>
#include <string_view>

namespace moefy::model {

// "SkylakeX", "Haswell", ...; "" if the BLAS is not an OpenBLAS that chooses when it starts.
std::string BlasCore();

// Makes OpenBLAS multiply with the kernels of `core`, spelt as BlasCore() does, from here on.
// Returns false, and changes nothing, if the BLAS is not OpenBLAS. OpenBLAS takes another core than
// it was told where the processor lacks the instructions; then the result is false too.
bool UseBlasCore(const std::string& core);

// What OpenBLAS should know of the processor.
struct BlasProcessor {
  bool amd = false, avx2 = false, avx512 = false;
};
BlasProcessor ThisProcessor();

// What is faster than OpenBLAS's choice of kernels; "" if that choice is good.
std::string FasterBlasCore(std::string_view chosen, const BlasProcessor& processor);

// Puts a slow choice of OpenBLAS right, unless the user made it by setting OPENBLAS_CORETYPE. The
// first call does it, before which nobody may multiply in another thread; others do nothing.
void AvoidSlowBlasCore();

}  // namespace moefy::model
