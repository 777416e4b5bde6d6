// The instruction sets the kernels are compiled for; to be included before Highway.
#pragma once

// Vectors of unknown length cannot be kept in arrays of accumulators.
#define HWY_DISABLED_TARGETS (HWY_SVE | HWY_SVE2 | HWY_SVE_256 | HWY_SVE2_128 | HWY_RVV)
