#include "export/model_tensors.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <set>

#include "model/expected_tensors.h"
#include "model/stored_names.h"
#include "moefy/base/error.h"
#include "moefy/model/tensor_io.h"

namespace moefy::exports {
namespace {

constexpr double kNeutralScale = 0x1p-30;

// The config of the same model stored under its family's own names.
model::ModelConfig Canonical(model::ModelConfig config) {
  config.missing_prefix = config.added_prefix = "";
  config.aliases.clear();
  return config;
}

bool IsQueryOrKey(const std::string& name) {
  return name.find(".self_attn.q_proj.") != std::string::npos ||
         name.find(".self_attn.k_proj.") != std::string::npos;
}

// What the format's attention has in a layer and the model's has not.
void AddMissing(const model::ModelConfig& config, const ExportPlan& plan, int64_t layer_idx,
                io::DType dtype, std::vector<ExportedTensor>& out) {
  const model::StackConfig& stack = config.decoder;
  const std::string attention = StrCat("model.layers.", layer_idx, ".self_attn.");
  const auto add = [&](const std::string& part, int64_t size, double value) {
    out.push_back({attention + part, dtype, {size}, [size, value] {
                     return at::full({size}, value, at::kFloat);
                   }});
  };
  const AttentionBiases biases = plan.format.biases;
  const bool any = config.qkv_bias || config.attention_output_bias;
  if (biases == AttentionBiases::kAlwaysQkv || (any && biases != AttentionBiases::kNone)) {
    if (!config.qkv_bias) {
      add("q_proj.bias", stack.num_heads * stack.head_dim, 0);
      add("k_proj.bias", stack.num_kv_heads * stack.head_dim, 0);
      add("v_proj.bias", stack.num_kv_heads * stack.head_dim, 0);
    }
  }
  if (any && biases == AttentionBiases::kAll && !config.attention_output_bias) {
    add("o_proj.bias", config.hidden, 0);
  }
  if (!plan.neutral_norms) return;
  const NeutralNorms norms = NeutralNormsFor(config.norm_epsilon, dtype);
  const bool all = plan.format.norms == QueryKeyNorms::kAll;
  add("q_norm.weight", (all ? stack.num_heads : 1) * stack.head_dim, norms.query);
  add("k_norm.weight", (all ? stack.num_kv_heads : 1) * stack.head_dim, norms.key);
}

double Rounded(double value, io::DType dtype) {
  const at::ScalarType type = model::ComputableType(dtype).value();
  return at::full({}, value, at::kDouble).to(type).to(at::kDouble).item<double>();
}

}  // namespace

io::DType WrittenType(io::DType stored) {
  return stored == io::DType::kF64 ? io::DType::kF32 : stored;
}

NeutralNorms NeutralNormsFor(double epsilon, io::DType dtype) {
  constexpr int kTried = 256;
  const double root = std::sqrt(epsilon) / kNeutralScale;
  NeutralNorms best{0, 0};
  double least = std::numeric_limits<double>::infinity();
  for (int i = 0; i < kTried; ++i) {  // up to twice the root, for more pairs to choose from
    const double query = Rounded(root * (1 + static_cast<double>(i) / kTried), dtype);
    const double key = Rounded(root * root / query, dtype);
    const double error = std::abs(query * key / (root * root) - 1);
    if (error >= least) continue;
    least = error;
    best = {query, key};
  }
  return best;
}

std::vector<ExportedTensor> ModelTensors(const split::MoeCheckpoint& moe, const ExportPlan& plan) {
  const model::ModelConfig& config = moe.config();
  std::set<std::string> of_ffns;
  for (const split::MoeFfn& ffn : moe.ffns()) {
    of_ffns.insert({ffn.spec.w_in, ffn.spec.w_gate, ffn.spec.w_out});
  }
  const std::vector<model::ExpectedTensor> stored = model::ExpectedTensors(config);
  const std::vector<model::ExpectedTensor> named = model::ExpectedTensors(Canonical(config));
  MOEFY_CHECK(stored.size() == named.size());
  std::vector<ExportedTensor> out;
  for (size_t i = 0; i < stored.size(); ++i) {
    if (of_ffns.contains(stored[i].name) || !moe.weights().Find(stored[i].name)) continue;
    const double scale = plan.neutral_norms && IsQueryOrKey(named[i].name) ? kNeutralScale : 1;
    out.push_back({named[i].name, WrittenType(moe.weights().Get(stored[i].name).dtype),
                   stored[i].shape, [&moe, name = stored[i].name, scale] {
                     const at::Tensor values = model::ReadTensor(moe.weights(), name);
                     return scale == 1 ? values : values.mul(scale);
                   }});
  }
  const io::DType dtype = WrittenType(moe.weights().Get(moe.ffns().front().spec.w_out).dtype);
  for (int64_t i = 0; i < config.decoder.num_layers; ++i) AddMissing(config, plan, i, dtype, out);
  return out;
}

at::Tensor ReadFfnNorm(const split::MoeCheckpoint& moe, int64_t layer_idx) {
  const std::string name = StrCat("model.layers.", layer_idx, ".post_attention_layernorm.weight");
  return model::ReadTensor(moe.weights(), model::StoredName(moe.config(), name));
}

}  // namespace moefy::exports
