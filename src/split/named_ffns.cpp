#include "split/named_ffns.h"

#include <algorithm>
#include <array>
#include <charconv>
#include <map>
#include <optional>
#include <set>

#include "base/problems.h"
#include "moefy/base/error.h"

namespace moefy::split {
namespace {

constexpr const char* kForm =
    "expected W_IN:W_OUT[:gate=W_GATE|:fused][:b_in=BIAS][:b_gate=BIAS][:act=NAME][:transposed]";

// The parts of one --ffn. Names are templates.
struct Pattern {
  std::string text;
  std::string w_in, w_out, w_gate, b_in, b_gate;
  model::Activation activation = model::Activation::kRelu;
  bool transposed = false;
};

Pattern ParsePattern(const std::string& text) {
  const auto fail = [&](const auto&... parts) {
    throw UsageError("--ffn ", Quoted(text), ": ", parts..., "; ", kForm);
  };
  const std::vector<std::string> parts = Split(text, ':');
  if (parts.size() < 2 || parts[0].empty() || parts[1].empty()) fail("W_IN or W_OUT is missing");
  Pattern pattern;
  pattern.text = text;
  pattern.w_in = parts[0];
  pattern.w_out = parts[1];
  const std::map<std::string, std::string*> names = {
      {"gate", &pattern.w_gate}, {"b_in", &pattern.b_in}, {"b_gate", &pattern.b_gate}};
  for (size_t i = 2; i < parts.size(); ++i) {
    const size_t equals = parts[i].find('=');
    const std::string key = parts[i].substr(0, equals);
    const std::string value = equals == std::string::npos ? "" : parts[i].substr(equals + 1);
    if (key == "transposed" && equals == std::string::npos) {
      pattern.transposed = true;
    } else if (key == "fused" && equals == std::string::npos) {
      pattern.w_gate = pattern.w_in;
    } else if (key == "act") {
      try {
        pattern.activation = model::ParseActivation(value, "act");
      } catch (const Error& error) {
        fail(error.what());
      }
    } else if (const auto found = names.find(key); found != names.end() && !value.empty()) {
      *found->second = value;
    } else {
      fail(Quoted(parts[i]), " is not one of its parts",
           DidYouMean(key, {"gate", "fused", "b_in", "b_gate", "act", "transposed"}));
    }
  }
  if (!pattern.b_gate.empty() && pattern.w_gate.empty()) fail("b_gate needs a gate");
  if (pattern.w_gate == pattern.w_in && pattern.transposed) {
    fail("a fused pair that is stored [in, out] is not supported");
  }
  if (pattern.w_gate == pattern.w_in && !pattern.b_gate.empty()) {
    fail("the bias of a fused pair is b_in, of both halves");
  }
  const auto num_numbers = [](const std::string& name) {
    return name.empty()
               ? -1
               : static_cast<int64_t>(Split(ReplaceAll(name, "{}", "\n"), '\n').size()) - 1;
  };
  for (const std::string* name :
       {&pattern.w_out, &pattern.w_gate, &pattern.b_in, &pattern.b_gate}) {
    if (!name->empty() && num_numbers(*name) != num_numbers(pattern.w_in)) {
      fail(Quoted(*name), " has not as many {} as ", Quoted(pattern.w_in));
    }
  }
  return pattern;
}

using Numbers = std::vector<uint64_t>;

bool IsDigit(char c) { return c >= '0' && c <= '9'; }

// The numbers that stand for "{}" in `name`; nullopt when it does not match.
std::optional<Numbers> Match(const std::string& name_template, std::string_view name) {
  const std::vector<std::string> literals = Split(ReplaceAll(name_template, "{}", "\n"), '\n');
  Numbers numbers;
  for (size_t i = 0; i < literals.size(); ++i) {
    if (i > 0) {
      const auto end = std::ranges::find_if_not(name, IsDigit);
      const auto length = static_cast<size_t>(end - name.begin());
      uint64_t number = 0;
      const auto [stop, code] = std::from_chars(name.data(), name.data() + length, number);
      // The name could not be made again from 7 if it has "007".
      if (length == 0 || code != std::errc() || (name[0] == '0' && length > 1)) return std::nullopt;
      numbers.push_back(number);
      name.remove_prefix(length);
    }
    if (!name.starts_with(literals[i])) return std::nullopt;
    name.remove_prefix(literals[i].size());
  }
  return name.empty() ? std::optional(numbers) : std::nullopt;
}

std::string Substitute(const std::string& name_template, const Numbers& numbers) {
  std::string out = name_template;
  for (const uint64_t number : numbers) {
    const size_t at = out.find("{}");
    if (at == std::string::npos) break;
    out.replace(at, 2, std::to_string(number));
  }
  return out;
}

bool IsNumber(std::string_view part) { return !part.empty() && std::ranges::all_of(part, IsDigit); }

// Each name's template: "layers.12.fc1.weight" -> "layers.{}.fc1.weight". A number that is the same
// in all names that differ in numbers only stays.
std::map<std::string, std::string> TemplatesOf(const std::vector<std::string>& names) {
  const auto skeleton_of = [](std::vector<std::string> parts) {
    for (std::string& part : parts) {
      if (IsNumber(part)) part = "{}";
    }
    return parts;
  };
  std::map<std::vector<std::string>, std::vector<std::set<std::string>>> seen;  // part by part
  for (const std::string& name : names) {
    const std::vector<std::string> parts = Split(name, '.');
    auto& values = seen[skeleton_of(parts)];
    values.resize(parts.size());
    for (size_t i = 0; i < parts.size(); ++i) values[i].insert(parts[i]);
  }
  std::map<std::string, std::string> templates;
  for (const std::string& name : names) {
    std::vector<std::string> parts = Split(name, '.');
    const auto& values = seen.at(skeleton_of(parts));
    for (size_t i = 0; i < parts.size(); ++i) {
      if (values[i].size() > 1) parts[i] = "{}";
    }
    templates[name] = Join(parts, ".");
  }
  return templates;
}

// The templates of matrices nearest to `wanted`.
std::string NearestMatrices(const io::Checkpoint& checkpoint, const std::string& wanted) {
  constexpr size_t kShown = 4;
  std::set<std::string> templates;
  for (const auto& [name, name_template] : TemplatesOf(checkpoint.TensorNames())) {
    if (checkpoint.Get(name).shape.size() == 2) templates.insert(name_template);
  }
  std::vector<std::string> nearest;
  while (nearest.size() < kShown && !templates.empty()) {
    const std::string best = NearestName(wanted, {templates.begin(), templates.end()});
    const std::string next = best.empty() ? *templates.begin() : best;
    nearest.push_back(Quoted(next));
    templates.erase(next);
  }
  return nearest.empty() ? "; the checkpoint holds no matrices"
                         : "; nearest in the checkpoint: " + Join(nearest);
}

std::string BiasOf(const io::Checkpoint& checkpoint, const std::string& weight) {
  constexpr std::string_view kWeight = ".weight";
  if (!weight.ends_with(kWeight)) return "";
  const std::string bias = weight.substr(0, weight.size() - kWeight.size()) + ".bias";
  return checkpoint.Find(bias) ? bias : "";
}

class Finder {
 public:
  explicit Finder(const io::Checkpoint& checkpoint) : checkpoint_(checkpoint) {}

  void Add(const Pattern& pattern) {
    std::set<Numbers> matches;
    for (const std::string& name : checkpoint_.TensorNames()) {
      if (const auto numbers = Match(pattern.w_in, name)) matches.insert(*numbers);
    }
    if (matches.empty()) {
      throw UsageError("--ffn ", Quoted(pattern.text), ": no tensor is called ",
                       Quoted(pattern.w_in), NearestMatrices(checkpoint_, pattern.w_in));
    }
    for (const Numbers& numbers : matches) AddOne(pattern, numbers);
  }

  std::vector<model::FfnSpec> Take() {
    WithContext(StrCat(checkpoint_.directory(), ": --ffn does not fit"),
                [&] { problems_.ThrowIfAny(); });
    return std::move(specs_);
  }

  // Warns of tensors beside an FFN's that are as long as it has neurons. One that holds something
  // per neuron must be reordered too, or the split model computes something else.
  std::vector<std::string> Warnings() const {
    std::set<std::string> named;
    for (const model::FfnSpec& spec : specs_) {
      named.insert({spec.w_in, spec.b_in, spec.w_gate, spec.b_gate, spec.w_out});
    }
    const auto templates = TemplatesOf(checkpoint_.TensorNames());
    std::set<std::string> warnings;
    for (const model::FfnSpec& spec : specs_) {
      if (spec.num_neurons == spec.hidden) continue;  // every tensor would be a suspect
      const std::string parent = spec.w_in.substr(0, LayerEnd(spec.w_in));
      if (parent.empty()) continue;
      for (const std::string& name : checkpoint_.TensorNames()) {
        if (!name.starts_with(parent) || named.contains(name)) continue;
        const auto& shape = checkpoint_.Get(name).shape;
        if (std::ranges::find(shape, static_cast<uint64_t>(spec.num_neurons)) == shape.end())
          continue;
        warnings.insert(
            StrCat("tensors ", Quoted(templates.at(name)), " ", FormatShape(shape),
                   " are as long as an FFN has neurons (", spec.num_neurons,
                   "), and --ffn does not name them; if they belong to neurons, such as "
                   "a gate, the split model will not compute the same"));
      }
    }
    return {warnings.begin(), warnings.end()};
  }

 private:
  // The place behind the last number in a name: "layers.3." of "layers.3.mlp.fc1.weight".
  static size_t LayerEnd(const std::string& name) {
    size_t end = 0, position = 0;
    for (const std::string& part : Split(name, '.')) {
      position += part.size() + 1;
      if (IsNumber(part)) end = position;
    }
    return end;
  }

  void AddOne(const Pattern& pattern, const Numbers& numbers) {
    model::FfnSpec spec;
    spec.name = StrCat("ffn.", specs_.size());
    spec.w_in = Substitute(pattern.w_in, numbers);
    spec.w_out = Substitute(pattern.w_out, numbers);
    spec.w_gate = Substitute(pattern.w_gate, numbers);
    spec.b_in =
        pattern.b_in.empty() ? BiasOf(checkpoint_, spec.w_in) : Substitute(pattern.b_in, numbers);
    spec.b_gate = spec.fused()             ? spec.b_in
                  : pattern.b_gate.empty() ? BiasOf(checkpoint_, spec.w_gate)
                                           : Substitute(pattern.b_gate, numbers);
    spec.transposed = pattern.transposed;
    spec.activation = pattern.activation;
    const io::TensorInfo& w_in = checkpoint_.Get(spec.w_in);
    if (w_in.shape.size() != 2) {
      problems_.Add("W_IN ", Quoted(spec.w_in), " has shape ", FormatShape(w_in.shape),
                    "; expected a matrix");
      return;
    }
    spec.num_neurons = static_cast<int64_t>(w_in.shape[spec.transposed ? 1 : 0]);
    spec.hidden = static_cast<int64_t>(w_in.shape[spec.transposed ? 0 : 1]);
    const int64_t parts = spec.fused() ? 2 : 1;
    if (spec.num_neurons % parts != 0) {
      problems_.Add("W_IN ", Quoted(spec.w_in), " has ", spec.num_neurons,
                    " rows; a fused pair has two for each neuron");
      return;
    }
    spec.num_neurons /= parts;
    const std::vector<int64_t> row = {parts * spec.num_neurons},
                               in = {parts * spec.num_neurons, spec.hidden},
                               out = {spec.hidden, spec.num_neurons};
    Check("W_OUT", spec.w_out, spec.transposed ? in : out, spec);
    Check("gate", spec.w_gate, spec.transposed ? out : in, spec);
    Check("b_in", spec.b_in, row, spec);
    Check("b_gate", spec.b_gate, row, spec);
    specs_.push_back(std::move(spec));
  }

  void Check(const char* role, const std::string& name, const std::vector<int64_t>& shape,
             const model::FfnSpec& spec) {
    if (name.empty()) return;
    const io::TensorInfo* info = checkpoint_.Find(name);
    if (!info) {
      problems_.Add(role, " ", Quoted(name), " is missing",
                    DidYouMean(name, checkpoint_.TensorNames()));
    } else if (!io::HasShape(*info, shape)) {
      problems_.Add(
          role, " ", Quoted(name), " has shape ", FormatShape(info->shape), "; W_IN ",
          Quoted(spec.w_in), " ", FormatShape(checkpoint_.Get(spec.w_in).shape),
          spec.transposed ? " (transposed)" : "", " wants ", FormatShape(shape),
          spec.transposed ? "" : "; are the matrices stored [in, out]? then add :transposed");
    }
  }

  const io::Checkpoint& checkpoint_;
  std::vector<model::FfnSpec> specs_;
  Problems problems_;
};

}  // namespace

std::vector<model::FfnSpec> FindNamedFfns(const io::Checkpoint& checkpoint,
                                          const std::vector<std::string>& patterns,
                                          std::vector<std::string>& warnings) {
  Finder finder(checkpoint);
  for (const std::string& text : patterns) finder.Add(ParsePattern(text));
  const std::vector<std::string> suspects = finder.Warnings();
  std::vector<model::FfnSpec> specs = finder.Take();
  for (const std::string& suspect : suspects) warnings.push_back(suspect);
  for (const model::FfnSpec& spec : specs) {
    if (spec.num_neurons >= spec.hidden || spec.transposed) continue;
    warnings.push_back(StrCat(Quoted(spec.w_in), " gives ", spec.num_neurons, " neurons of width ",
                              spec.hidden, "; if it is stored [in, out], add :transposed"));
    break;
  }
  return specs;
}

}  // namespace moefy::split
