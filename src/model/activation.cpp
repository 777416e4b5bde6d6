#include "model/activation.h"

#include <algorithm>
#include <array>
#include <charconv>
#include <utility>

#include "moefy/base/error.h"

namespace moefy::model {
namespace {

// The names of ACT2FN. ActivationName() gives the first name of a kind.
constexpr std::array<std::pair<const char*, Activation::Kind>, 18> kActivations = {{
    {"relu", Activation::kRelu},
    {"relu2", Activation::kRelu2},
    {"relu6", Activation::kRelu6},
    {"fatrelu", Activation::kFatRelu},
    {"leaky_relu", Activation::kLeakyRelu},
    {"gelu", Activation::kGelu},
    {"gelu_python", Activation::kGelu},
    {"gelu_10", Activation::kGelu10},
    {"gelu_tanh", Activation::kGeluTanh},
    {"gelu_new", Activation::kGeluTanh},
    {"gelu_pytorch_tanh", Activation::kGeluTanh},
    {"gelu_python_tanh", Activation::kGeluTanh},
    {"gelu_fast", Activation::kGeluTanh},
    {"gelu_accurate", Activation::kGeluTanh},
    {"quick_gelu", Activation::kQuickGelu},
    {"silu", Activation::kSilu},
    {"swish", Activation::kSilu},
    {"mish", Activation::kMish},
}};

constexpr std::string_view kBoth = "_both";

std::string Lowered(std::string name) {
  std::ranges::transform(name, name.begin(), [](char c) {
    return c == '-' ? '_' : c >= 'A' && c <= 'Z' ? c + 32 : c;
  });
  return name;
}

// Reads the number in "fatrelu(0.01)".
bool ParseThreshold(std::string_view text, double& threshold) {
  if (!text.starts_with('(') || !text.ends_with(')')) return false;
  text = text.substr(1, text.size() - 2);
  const auto [end, code] = std::from_chars(text.data(), text.data() + text.size(), threshold);
  return code == std::errc() && end == text.data() + text.size();
}

}  // namespace

std::string ActivationName(const Activation& activation) {
  std::string name;
  for (const auto& [known, kind] : kActivations) {
    if (kind != activation.kind) continue;
    name = known;
    break;
  }
  if (activation.kind == Activation::kFatRelu) {
    std::array<char, 32> digits{};
    const auto end =
        std::to_chars(digits.data(), digits.data() + digits.size(), activation.threshold).ptr;
    name += StrCat("(", std::string(digits.data(), end), ")");
  }
  return name + (activation.on_both ? std::string(kBoth) : "");
}

Activation ParseActivation(const std::string& name, const std::string& where) {
  std::string_view base = name;
  const bool on_both = base.ends_with(kBoth);
  if (on_both) base.remove_suffix(kBoth.size());
  std::vector<std::string> known;
  for (const auto& [known_name, kind] : kActivations) {
    Activation activation = kind;
    activation.on_both = on_both;
    if (kind == Activation::kFatRelu) {
      known.emplace_back("fatrelu(THRESHOLD)");
      if (base.starts_with(known_name) &&
          ParseThreshold(base.substr(std::string_view(known_name).size()), activation.threshold)) {
        return activation;
      }
      continue;
    }
    if (base == known_name) return activation;
    known.emplace_back(known_name);
  }
  // The hint suggests another spelling of the same function, never another function.
  const std::string lowered = Lowered(name);
  const bool spelled_otherwise =
      lowered != name && std::ranges::find(known, lowered) != known.end();
  throw InputError(where, " is ", Quoted(name), ", an activation moefy does not know",
                   spelled_otherwise ? StrCat(" (did you mean ", Quoted(lowered), "?)") : "",
                   "; supported: ", Join(known));
}

}  // namespace moefy::model
