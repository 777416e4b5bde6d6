// Opens any checkpoint that moefy reads: those that io::Checkpoint::Open opens, and TorchScript
// archives, which only LibTorch can read. Thread-safe.
#pragma once

#include <filesystem>

#include "moefy/io/checkpoint.h"

namespace moefy::model {

// Opens a checkpoint to compute on, as OpenTensors does. Throws Error{kInput} that says what to do
// for a checkpoint without weights that moefy can compute on: a quantised one, or an adapter.
io::Checkpoint OpenCheckpoint(const std::filesystem::path& path);

// Opens a TorchScript archive as its parameters and buffers, each once under its name there;
// LibTorch loads the code in it, and moefy does not run it. Opens anything else as
// io::Checkpoint::Open does. Throws Error{kInput} as that does, and if LibTorch refuses the archive
// or nothing is in it.
io::Checkpoint OpenTensors(const std::filesystem::path& path);

}  // namespace moefy::model
