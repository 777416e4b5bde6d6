// What is fuzzed: one function per reader of what comes from outside. It returns when the bytes are
// read or refused with an Error; anything else that happens is a bug of ours.
#pragma once

#include <span>
#include <string>
#include <vector>

namespace moefy::fuzz {

struct Target {
  const char* name;  // also of the directory under corpus/
  void (*run)(std::span<const std::byte> input);
};

void Safetensors(std::span<const std::byte> input);
void ShardIndex(std::span<const std::byte> input);
void Pickle(std::span<const std::byte> input);
void Zip(std::span<const std::byte> input);
void TorchFile(std::span<const std::byte> input);
void Tokenizer(std::span<const std::byte> input);
void DataRows(std::span<const std::byte> input);
// Of the layers above io and text.
void Config(std::span<const std::byte> input);
void DumpManifest(std::span<const std::byte> input);
void MoeManifest(std::span<const std::byte> input);
void Recipe(std::span<const std::byte> input);

}  // namespace moefy::fuzz
