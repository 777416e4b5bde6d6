// Opens any checkpoint that moefy reads: what io::Checkpoint::Open opens, and TorchScript archives,
// which only LibTorch reads. Thread-safe.
#pragma once

#include <filesystem>

#include "moefy/io/checkpoint.h"

namespace moefy::model {

// A checkpoint to compute on: OpenTensors, but for what has no weights in numbers that moefy
// computes on, quantised checkpoints and adapters: Error{kInput} that says how, and what to do.
io::Checkpoint OpenCheckpoint(const std::filesystem::path& path);

// The parameters and buffers of a TorchScript archive under their names in it, each once; the code
// in it is loaded by LibTorch and not run by moefy. Anything else is io::Checkpoint::Open.
// Throws Error{kInput} as that does, and when LibTorch refuses the archive or nothing is in it.
io::Checkpoint OpenTensors(const std::filesystem::path& path);

}  // namespace moefy::model
