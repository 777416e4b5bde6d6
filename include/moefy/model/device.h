// Where a model computes: the CPU, or a GPU where LibTorch has CUDA.
#pragma once

#include <ATen/ATen.h>

#include <string>
#include <vector>

namespace moefy::model {

// "cpu", "cuda" (the first GPU) or "cuda:N". Error{kUsage} for anything else.
at::Device ParseDevice(const std::string& name);

// `wanted`, or the CPU and a warning where LibTorch has no CUDA or finds no GPU. Error{kUsage} for
// a GPU beyond those there are.
at::Device ResolveDevice(at::Device wanted, std::vector<std::string>* warnings = nullptr);

// Returns when what `tensor` holds has been computed: GPUs are only told what to do. For clocks.
void WaitFor(const at::Tensor& tensor);

}  // namespace moefy::model
