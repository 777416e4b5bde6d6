// Expert scores from the FFN's input: what a router is, and the kinds that can be stored.
// Higher means more wanted. Thread-safety: Scores may be called from one thread at a time.
#pragma once

#include <ATen/ATen.h>

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "moefy/model/ffn.h"
#include "moefy/model/ffn_spec.h"

namespace moefy::route {

class Router {
 public:
  virtual ~Router() = default;
  virtual std::string name() const = 0;  // of RouterNames()
  // x [tokens, hidden] F32 -> [tokens, experts] F32.
  virtual at::Tensor Scores(const at::Tensor& x) = 0;
  // Multiply-adds times two that an input costs; 0 for selections that are bounds, not methods
  // (random, oracle).
  virtual double FlopsPerToken() const = 0;
  // What it has learned, in the order of its RouterKind's tensors; nothing for the others.
  virtual std::vector<at::Tensor> Parameters() const { return {}; }
};

inline constexpr int64_t kAnySize = -1;  // an extent that the first stored tensor decides

// The routers that a split checkpoint can store. Adding one is a class (or a use of one), a way to
// find it (from_weights, or a line in src/route/router_fit.cpp) and a line in RouterKinds().
struct RouterKind {
  std::string name;
  std::string description;
  // Behind "<ffn>.router." in moefy.safetensors.
  std::vector<std::string> tensors;
  std::vector<std::vector<int64_t>> (*shapes)(const model::FfnSpec& ffn, int64_t experts);
  std::unique_ptr<Router> (*make)(const std::vector<at::Tensor>& parameters,
                                  model::Activation activation);
  // Of routers that follow from the weights (permuted as the plan says); nullptr: from a dump.
  std::unique_ptr<Router> (*from_weights)(const model::FfnWeights& ffn, int64_t experts);
};
const std::vector<RouterKind>& RouterKinds();
// nullptr for names that are none: bounds (oracles, random) and what is unknown.
const RouterKind* FindRouterKind(const std::string& name);
const RouterKind& GetRouterKind(const std::string& name);  // Error{kUsage} lists the names
// Whether a size in its tensors' shapes is for whoever trains it to choose.
bool HasWidth(const RouterKind& kind);

inline constexpr const char* kStoredRouter = "stored";  // whichever kind a checkpoint holds

// All that can choose experts: the kinds, "stored", the targets' oracles and "random".
const std::vector<std::string>& RouterNames();

}  // namespace moefy::route
