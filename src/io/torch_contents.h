// The two containers that torch.save writes: a zip archive, or the format before it (torch 1.5 and
// older). Either holds a pickle and the raw storages that the pickle names. Pure functions but for
// IsTorchScript, which reads a file.
#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <map>
#include <optional>
#include <span>
#include <string>

#include "io/pickle.h"

namespace moefy::io {

// The pickle of a file, and its raw storages by key. Both point into the file.
struct TorchContents {
  pickle::Pickle pickle;
  std::map<std::string, std::span<const std::byte>, std::less<>> storages;
};

// `file` is the whole file. Throws Error{kInput} for a file of another kind and for one that is cut
// short.
TorchContents ReadTorchContents(std::span<const std::byte> file);

// The bytes of an element of a storage; untyped storages have elements of 1 byte.
uint64_t TorchElementBytes(std::optional<DType> dtype);

// True for a TorchScript archive, which only LibTorch reads (model/open_checkpoint.h).
bool IsTorchScript(const std::filesystem::path& path);

}  // namespace moefy::io
