#include "model/unusable_weights.h"

#include <algorithm>
#include <array>
#include <string_view>

#include "base/json.h"
#include "moefy/base/error.h"

namespace moefy::model {
namespace {

constexpr std::string_view kOriginal = "use the checkpoint that it was made from";

// The names of quantization_config, and what to do if that is more than kOriginal.
struct Method {
  std::string_view name;
  std::string_view advice;
};
constexpr std::string_view kDequantize =
    "use the checkpoint that it was made from, or, in Python, "
    "from_pretrained(DIRECTORY).dequantize().save_pretrained(OUT)";
constexpr std::array<Method, 3> kMethods = {{
    {"bitsandbytes", kDequantize},
    {"hqq", kDequantize},
    {"fp8", "use the checkpoint that it was made from in BF16 or F32, or one that was dequantised"},
}};

std::string_view AdviceFor(std::string_view method) {
  for (const Method& known : kMethods) {
    if (known.name == method) return known.advice;
  }
  return kOriginal;
}

[[noreturn]] void Refuse(const io::Checkpoint& checkpoint, std::string_view method,
                         const std::string& evidence) {
  throw InputError(checkpoint.directory(), ": quantised by ", method, ": ", evidence,
                   "; moefy computes on F32, F16, BF16 and F64: ", AdviceFor(method));
}

// Names of tensors end in ways that mark a method; the first row that fits counts.
struct Marks {
  std::string_view ending;
  std::string_view beside;  // "": nothing else is needed
  std::string_view method;
};
constexpr std::array<Marks, 9> kMarks = {{
    {".qweight", ".g_idx", "gptq"},
    {".qweight", ".qzeros", "awq"},
    {".qweight", "", "gptq or awq"},
    {".SCB", "", "bitsandbytes"},
    {".weight.absmax", "", "bitsandbytes"},
    {".weight_packed", "", "compressed-tensors"},
    {".weight_scale_inv", "", "fp8"},
    {".W_q", "", "hqq"},
    {".packed_weight", "", "a method that packs weights"},
}};

bool IsEightBitFloat(io::DType dtype) {
  return io::DTypeName(dtype).starts_with("F") && io::DTypeBits(dtype) <= 8;
}

// Refuses by what config.json says, except for methods that are named there and do nothing.
void RefuseByConfig(const io::Checkpoint& checkpoint) {
  if (checkpoint.ConfigText().empty()) return;
  const auto path = checkpoint.ConfigPath();
  const Json json = ParseJsonFile(path, checkpoint.ConfigText());
  if (!json.is_object()) return;  // whoever reads it later says so
  for (const char* key : {"quantization_config", "compression_config"}) {
    const auto found = json.find(key);
    if (found == json.end() || !found->is_object() || found->empty()) continue;
    const JsonObject config(*found, StrCat(path, ": ", key));
    const std::string method = config.GetString("quant_method", "an unnamed method");
    const auto is_off = [&](const char* width) {
      const auto flag = found->find(width);
      return flag != found->end() && *flag == false;
    };
    if (method == "bitsandbytes" && is_off("load_in_8bit") && is_off("load_in_4bit")) continue;
    const auto bits = found->find("bits");
    Refuse(checkpoint, method,
           StrCat(key, " in config.json",
                  bits != found->end() && bits->is_number_integer()
                      ? StrCat(" says so (", bits->dump(), " bits)")
                      : " says so"));
  }
}

void RefuseByTensors(const io::Checkpoint& checkpoint) {
  const std::vector<std::string> names = checkpoint.TensorNames();
  const auto find = [&](const auto& matches) {
    return std::find_if(names.begin(), names.end(), matches);
  };
  const auto ends = [&](std::string_view ending) {
    return find([&](const std::string& name) { return name.ends_with(ending); });
  };
  for (const Marks& marks : kMarks) {
    const auto found = ends(marks.ending);
    if (found == names.end()) continue;
    if (!marks.beside.empty() && ends(marks.beside) == names.end()) continue;
    Refuse(checkpoint, marks.method, StrCat("it holds tensors like ", Quoted(*found)));
  }
  const auto narrow =
      find([&](const std::string& name) { return IsEightBitFloat(checkpoint.Get(name).dtype); });
  if (narrow != names.end()) {
    Refuse(checkpoint, "fp8",
           StrCat("tensor ", Quoted(*narrow), " is stored as ",
                  io::DTypeName(checkpoint.Get(*narrow).dtype)));
  }
  const auto lora = find([](const std::string& name) {
    return name.find(".lora_A.") != std::string::npos || name.find(".lora_B.") != std::string::npos;
  });
  if (lora != names.end()) {
    throw InputError(checkpoint.directory(), ": holds a LoRA adapter (", Quoted(*lora),
                     "), not a model: merge it into its base model, in Python, "
                     "PeftModel.from_pretrained(BASE, ADAPTER).merge_and_unload()"
                     ".save_pretrained(OUT)");
  }
}

}  // namespace

void RefuseUnusableWeights(const io::Checkpoint& checkpoint) {
  RefuseByConfig(checkpoint);
  RefuseByTensors(checkpoint);
}

bool HoldsPackedWeights(const io::Checkpoint& checkpoint) {
  std::error_code ignored;
  return std::filesystem::exists(checkpoint.directory() / kPackedWeights, ignored);
}

void RefusePackedWeights(const io::Checkpoint& checkpoint) {
  if (!HoldsPackedWeights(checkpoint)) return;
  throw InputError(checkpoint.directory(), " holds its weights packed for running (",
                   kPackedWeights, "); only `moefy run`, `moefy eval` and `moefy bench ",
                   "--end-to-end` read those: ", kOriginal);
}

}  // namespace moefy::model
