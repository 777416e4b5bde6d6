// The device on which a model computes: the CPU, or a GPU if LibTorch has CUDA. Thread-safe.
#pragma once

#include <ATen/ATen.h>

#include <string>
#include <vector>

#include "moefy/model/transformer.h"

namespace moefy::model {

// Reads "cpu", "cuda" (the first GPU) or "cuda:N". Throws Error{kUsage} for anything else.
at::Device ParseDevice(const std::string& name);

// Returns `wanted`, or the CPU and a warning if LibTorch has no CUDA or finds no GPU. Throws
// Error{kUsage} for a GPU beyond those there are.
at::Device ResolveDevice(at::Device wanted, std::vector<std::string>* warnings = nullptr);

// Moves tensors to `device`. Those that are there already are not copied, and undefined ones stay
// undefined.
at::Tensor OnDevice(const at::Tensor& tensor, at::Device device);
TensorMap OnDevice(TensorMap tensors, at::Device device);
ForwardInputs OnDevice(const ForwardInputs& inputs, at::Device device);

// Waits until the values of `tensor` have been computed: a GPU may still be at work. For clocks.
void WaitFor(const at::Tensor& tensor);

}  // namespace moefy::model
