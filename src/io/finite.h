// Finds NaN and infinities among a tensor's bytes, several elements at a time, at the speed of
// memory, without converting them. Thread-safe.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "moefy/io/tensor_info.h"

namespace moefy::io {

// The index of the first element that is NaN or infinite, nullopt where there is none. Whole
// numbers have none; eight-bit floats are not looked at, because moefy does not compute on them.
// `bytes` begin with an element and need not be aligned.
std::optional<uint64_t> FindNonFinite(DType dtype, std::span<const std::byte> bytes);

// "nan", "inf" or "-inf": the name of an element that FindNonFinite has found.
std::string NonFiniteName(DType dtype, std::span<const std::byte> element);

// The place of an element in a tensor: 5 of [2, 3] is at [1, 2].
std::vector<uint64_t> IndicesOf(uint64_t element, const std::vector<uint64_t>& shape);

// Throws Error{kInput} naming the tensor and the element, if there is one. `bytes` are the whole
// tensor's.
void CheckFinite(const TensorInfo& info, std::span<const std::byte> bytes);

}  // namespace moefy::io
