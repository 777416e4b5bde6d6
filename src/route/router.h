// Routers score experts from the FFN's input; a higher score means more wanted. Here is what a
// router is, and the kinds that can be stored. Thread-safety: Scores may be called from one thread
// at a time.
#pragma once

#include <ATen/ATen.h>

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "moefy/io/tensor_info.h"
#include "moefy/model/ffn.h"
#include "moefy/model/ffn_spec.h"

namespace moefy::route {

// What the sparse kernels can compute by themselves, from a router's Parameters().
enum class RouterForm {
  kOther,
  kMlp,     // w2 tanh(w1 x / |x|)
  kLinear,  // w x + b
  kCosine,  // w x / |x|
};

class Router {
 public:
  virtual ~Router() = default;
  virtual std::string name() const = 0;  // of RouterNames()
  // x [tokens, hidden] F32 -> [tokens, experts] F32.
  virtual at::Tensor Scores(const at::Tensor& x) = 0;
  // What an input costs: multiply-adds times two. 0 for bounds, which are no methods (random,
  // oracles).
  virtual double FlopsPerToken() const = 0;
  virtual RouterForm form() const { return RouterForm::kOther; }
  // A router that computes with the FFN's own weights takes these in place of those that it has:
  // the steps of a training change them. They are permuted as the plan says.
  virtual void SetFfn(const model::FfnWeights& /*ffn*/) {}
  // What the router has learned, in the order of its RouterKind's tensors; nothing for bounds.
  virtual std::vector<at::Tensor> Parameters() const { return {}; }
};

// An extent that the first stored tensor decides.
inline constexpr int64_t kAnySize = io::kAnyExtent;

// The routers that a split checkpoint can store. Adding one is a class (or a use of one), a way to
// find it (from_weights, or a line in src/route/router_fit.cpp) and a line in RouterKinds().
struct RouterKind {
  std::string name;
  std::string description;
  // The names of its tensors behind "<ffn>.router." in moefy.safetensors.
  std::vector<std::string> tensors;
  std::vector<std::vector<int64_t>> (*shapes)(const model::FfnSpec& ffn, int64_t experts);
  std::unique_ptr<Router> (*make)(const std::vector<at::Tensor>& parameters,
                                  model::Activation activation);
  // Makes a router that follows from the weights, permuted as the plan says; nullptr where a dump
  // is needed.
  std::unique_ptr<Router> (*from_weights)(const model::FfnWeights& ffn, int64_t experts);
  // In place of `make`, for kinds that compute with the FFN's own weights, which `read` gives.
  std::unique_ptr<Router> (*make_with_ffn)(const std::vector<at::Tensor>& parameters,
                                           const model::FfnSpec& ffn, int64_t experts,
                                           std::function<model::FfnWeights()> read) = nullptr;
};
const std::vector<RouterKind>& RouterKinds();
// nullptr for names of no kind: bounds (oracles, random) and what is unknown.
const RouterKind* FindRouterKind(const std::string& name);
const RouterKind& GetRouterKind(const std::string& name);  // Error{kUsage} lists the names
// Whether a size in the kind's shapes is for whoever trains the router to choose.
bool HasWidth(const RouterKind& kind);

// The kind that a model of single neurons runs by (route/first_product_router.h).
inline constexpr const char* kFirstProduct = "first-product";
// What a first-product router computes first: whichever product loses less, or the gate, whose
// magnitude then is the score.
inline constexpr const char* kEitherProduct = "either";
inline constexpr const char* kGateAlone = "gate-alone";
// Linear without a bias: what other engines have (export/router_rows.h).
inline constexpr const char* kUnbiased = "unbiased";
inline constexpr const char* kExemplar = "exemplar";
inline constexpr const char* kGateRows = "gate-rows";
inline constexpr const char* kStoredRouter = "stored";  // whichever kind a checkpoint holds

// Everything that can choose experts: the kinds, "stored", the targets' oracles and "random".
const std::vector<std::string>& RouterNames();

}  // namespace moefy::route
