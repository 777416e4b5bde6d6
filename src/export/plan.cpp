#include "export/plan.h"

#include <algorithm>
#include <array>
#include <string_view>
#include <vector>

#include "base/problems.h"
#include "moefy/base/error.h"
#include "route/router_reader.h"
#include "route/top_k.h"

namespace moefy::exports {
namespace {

// The families whose blocks are LLaMA's: they differ only in what is checked below.
constexpr std::array<std::string_view, 4> kFamilies = {"llama", "mistral", "qwen2", "qwen3"};

// The names of the formats that have a property, to say which are nearest.
template <typename Has>
std::string FormatsThat(Has&& has) {
  std::vector<std::string> names;
  for (const Format& format : Formats()) {
    if (has(format)) names.push_back(format.name);
  }
  return Join(names, " or ");
}

bool HasNorms(const model::ModelConfig& config) { return config.qk_norm != model::QkNorm::kNone; }

bool HasBiases(const model::ModelConfig& config) { return config.qkv_bias; }

bool TakesBiases(const Format& format, bool output) {
  if (format.biases == AttentionBiases::kAll) return true;
  return !output && format.biases != AttentionBiases::kNone;
}

bool AlwaysNorms(const Format& format) {
  return format.norms == QueryKeyNorms::kHead || format.norms == QueryKeyNorms::kAll;
}

void CheckAttention(const model::ModelConfig& config, const Format& format, io::DType dtype,
                    Problems& problems) {
  const bool output_bias = config.attention_output_bias;
  if ((HasBiases(config) || output_bias) && !TakesBiases(format, output_bias)) {
    problems.Add("its attention has no biases", output_bias ? " on the output" : "", "; try ",
                 FormatsThat([&](const Format& f) { return TakesBiases(f, output_bias); }));
  }
  if (config.qk_norm == model::QkNorm::kHead && format.norms != QueryKeyNorms::kHead &&
      format.norms != QueryKeyNorms::kOptional) {
    problems.Add("it does not norm queries and keys head by head; try ",
                 FormatsThat([](const Format& f) {
                   return f.norms == QueryKeyNorms::kHead || f.norms == QueryKeyNorms::kOptional;
                 }));
  }
  if (!HasNorms(config) && AlwaysNorms(format)) {
    const auto without = [](const Format& f) { return !AlwaysNorms(f); };
    if (dtype == io::DType::kF16) {
      problems.Add(
          "it norms queries and keys, and F16 cannot hold the weights that undo that; try ",
          FormatsThat(without));
    } else if (config.norm_epsilon <= 0) {
      problems.Add("it norms queries and keys, which cannot be undone with rms_norm_eps 0; try ",
                   FormatsThat(without));
    }
  }
  const model::StackConfig& stack = config.decoder;
  if (!format.free_head_dim && stack.head_dim * stack.num_heads != config.hidden) {
    problems.Add("its heads are hidden / heads = ", config.hidden, " / ", stack.num_heads,
                 " wide, the model's ", stack.head_dim, "; try ",
                 FormatsThat([](const Format& f) { return f.free_head_dim; }));
  }
  if (config.sliding_window == 0) return;
  const auto differs = [&](const model::LayerAttention& layer) {
    return layer != config.attention_of(0);
  };
  if (std::ranges::any_of(config.layer_attention, differs)) {
    problems.Add("its layers are all alike, and some of the model's have a sliding window");
  } else if (config.attention_of(0).windowed && !format.windows) {
    problems.Add("it has no sliding window; try ",
                 FormatsThat([](const Format& f) { return f.windows; }));
  }
}

void CheckFfns(const split::MoeCheckpoint& moe, const Format& format, Problems& problems) {
  const model::ModelConfig& config = moe.config();
  if (!config.gated || config.activation != model::Activation::kSilu) {
    problems.Add("its experts are gated with SiLU, the model's FFNs are not; `moefy run` runs it");
  }
  if (config.ffn_bias) {
    problems.Add("its experts have no biases, the model's FFNs have; `moefy run` runs it");
  }
  const split::ExpertPlan& first = moe.ffns().front().plan;
  for (const split::MoeFfn& ffn : moe.ffns()) {
    if (ffn.plan.num_experts() == first.num_experts() &&
        ffn.plan.num_shared() == first.num_shared()) {
      continue;
    }
    problems.Add("its layers are all alike; ", Quoted(ffn.spec.name), " has ",
                 ffn.plan.num_experts(), " experts, ", ffn.plan.num_shared(), " of them shared, ",
                 Quoted(moe.ffns().front().spec.name), " ", first.num_experts(), " and ",
                 first.num_shared(), "; split with one --expert-size and --shared");
    break;
  }
  if (first.num_experts() - first.num_shared() < 2) {
    problems.Add("a router chooses among two experts at least, and each FFN of the model has ",
                 first.num_experts(), ", ", first.num_shared(),
                 " of them shared; split with a smaller --expert-size");
  }
  if (first.num_shared() > 0 && format.shared == SharedExperts::kNone) {
    problems.Add("it has no shared experts, and ", first.num_shared(), " of the model's are; try ",
                 FormatsThat([](const Format& f) { return f.shared != SharedExperts::kNone; }),
                 ", or split without --shared");
  }
}

void CheckRouters(const split::MoeCheckpoint& moe, Problems& problems) {
  if (route::StoredRouterKind(moe) == route::kFirstProduct) {
    problems.Add(
        "its experts are run whole, and first-product routers choose single neurons; "
        "split with --expert-size 32");
    return;
  }
  const auto stands_in = [&](size_t i) {
    return route::ReadCompensation(moe, i).defined() || route::ReadCorrection(moe, i).defined();
  };
  for (size_t i = 0; i < moe.ffns().size(); ++i) {
    if (!stands_in(i)) continue;
    problems.Add("nothing stands in for experts that do not run, as the stored compensation of ",
                 Quoted(moe.ffns()[i].spec.name),
                 " does; `moefy route-train` with --compensation none leaves it out");
    return;
  }
}

void CheckModel(const split::MoeCheckpoint& moe, const Format& format) {
  const model::ModelConfig& config = moe.config();
  const std::string what = StrCat(moe.directory(), " cannot be exported as ", format.name);
  const bool known = std::ranges::find(kFamilies, config.family) != kFamilies.end();
  if (config.mixture.num_experts > 0) {
    throw InputError(what, ": it is a mixture of experts already (family ", Quoted(config.family),
                     "), and the format has no experts inside of experts. `--format transformers` "
                     "runs them in Transformers 4, `moefy run` here; `moefy merge` gives back the "
                     "mixture, which is in its own format as it is");
  }
  if (!known || config.head != model::Head::kLanguageModel) {
    throw InputError(what, ": it is a model of the family ", Quoted(config.family),
                     known ? " with another head" : "", "; language models of ",
                     Join({kFamilies.begin(), kFamilies.end()}),
                     " can be exported. `--format transformers` takes any model, and `moefy run` "
                     "runs this one");
  }
  Problems problems;
  CheckAttention(config, format, moe.weights().Get(moe.ffns().front().spec.w_out).dtype, problems);
  CheckFfns(moe, format, problems);
  CheckRouters(moe, problems);
  WithContext(what, [&] { problems.ThrowIfAny(); });
}

}  // namespace

ExportPlan PlanExport(const split::MoeCheckpoint& moe, const Format& format, double ffn_ratio) {
  CheckModel(moe, format);
  const split::ExpertPlan& first = moe.ffns().front().plan;
  const model::ModelConfig& config = moe.config();
  ExportPlan plan;
  plan.format = format;
  ExpertSizes& sizes = plan.sizes;
  sizes.neurons = first.neurons_per_expert();
  sizes.shared = first.num_shared();
  sizes.experts = first.num_experts() - sizes.shared;
  sizes.chosen = route::NumSelected(ffn_ratio, first.num_experts(), sizes.shared) - sizes.shared;
  if (sizes.chosen < 1) {
    throw UsageError("--ffn-ratio ", ffn_ratio, " is ", sizes.shared, " of ", first.num_experts(),
                     " experts, which are the shared ones; engines choose at least one more");
  }
  const bool made_up = sizes.shared == 0 && format.always_shared;
  sizes.shared_neurons = (made_up ? 1 : sizes.shared) * sizes.neurons;
  sizes.norms = HasNorms(config) || AlwaysNorms(format);
  sizes.biases = HasBiases(config) || config.attention_output_bias;
  sizes.window = config.attention_of(0).windowed ? config.sliding_window : 0;
  plan.neutral_norms = !HasNorms(config) && AlwaysNorms(format);
  sizes.head_dim = config.decoder.head_dim;
  const bool over_chosen = format.gates == Gates::kNormalised || format.gates == Gates::kChosen;
  plan.w_out_factor = over_chosen                       ? static_cast<double>(sizes.chosen)
                      : format.gates == Gates::kSoftmax ? static_cast<double>(sizes.experts)
                                                        : 1;
  plan.shared_w_out_factor = format.shared == SharedExperts::kGated ? 2 : 1;
  return plan;
}

}  // namespace moefy::exports
