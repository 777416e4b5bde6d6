// Where a model computes: the CPU, or a GPU where LibTorch has CUDA. Thread-safe.
#pragma once

#include <ATen/ATen.h>

#include <string>
#include <vector>

#include "moefy/model/transformer.h"

namespace moefy::model {

// "cpu", "cuda" (the first GPU) or "cuda:N". Error{kUsage} for anything else.
at::Device ParseDevice(const std::string& name);

// `wanted`, or the CPU and a warning where LibTorch has no CUDA or finds no GPU. Error{kUsage} for
// a GPU beyond those there are.
at::Device ResolveDevice(at::Device wanted, std::vector<std::string>* warnings = nullptr);

// The same on `device`: no copies of what is there, and undefined tensors stay so.
at::Tensor OnDevice(const at::Tensor& tensor, at::Device device);
TensorMap OnDevice(TensorMap tensors, at::Device device);
ForwardInputs OnDevice(const ForwardInputs& inputs, at::Device device);

// Returns when what `tensor` holds has been computed: GPUs are only told what to do. For clocks.
void WaitFor(const at::Tensor& tensor);

}  // namespace moefy::model
