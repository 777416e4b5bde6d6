// Reader of what torch.save writes: a zip archive with a pickle and raw storages, or the format
// before it (torch 1.5 and older), one pickle after the other.
//
// The pickle is read by an interpreter that executes nothing: it knows the opcodes and the few
// globals that tensors need, and refuses everything else by name. Storages stay in the mapped file
// until they are asked for. docs/decisions/0006-torch-files.md says why so.
//
// Tensors are found in a dict (also an OrderedDict with _metadata), in the dict under "state_dict",
// "model_state_dict", "model" or "module" in it, and so on; or the file is one tensor, called
// "tensor". Parameters are their data; views of a shared storage are tensors of their own.
// Source: torch/serialization.py, torch/_utils.py, Python's pickletools.
#pragma once

#include <filesystem>
#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "io/tensor_file.h"

namespace moefy::io {

class TorchFile final : public TensorFile {
 public:
  // Throws Error{kInput}, beginning with the path, for a file that is of another kind, is cut
  // short, names anything that is not allowed, or lies about its storages.
  explicit TorchFile(const std::filesystem::path& path);
  ~TorchFile() override;

  const std::filesystem::path& path() const override;
  const std::vector<TensorInfo>& tensors() const override;  // sorted by name; begin is 0
  const TensorInfo* Find(std::string_view name) const override;
  // Elements that do not lie in order are copied in order, once, and the copy is kept.
  std::span<const std::byte> Bytes(const TensorInfo& info) const override;
  std::vector<std::string> Warnings() const override;

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace moefy::io
