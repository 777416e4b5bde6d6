// Quantised checkpoints and adapters: what the names, types and config.json give away.
#include <gtest/gtest.h>

#include "base/json.h"
#include "model/open_checkpoint.h"
#include "support/expect_error.h"
#include "support/safetensors_bytes.h"
#include "support/temp_dir.h"

namespace moefy::model {
namespace {

using tests::ExpectError;

constexpr const char* kPrefix = "model.layers.0.mlp.up_proj";

// Tensors without elements: only names and types are looked at.
void WriteNamedTensors(const tests::TempDir& dir,
                       const std::vector<std::pair<std::string, std::string>>& tensors) {
  std::string header = "{";
  for (const auto& [name, dtype] : tensors) {
    header += StrCat(header.size() > 1 ? "," : "", "\"", kPrefix, name, "\":{\"dtype\":\"", dtype,
                     "\",\"shape\":[0],\"data_offsets\":[0,0]}");
  }
  dir.Write("model.safetensors", tests::SafetensorsBytes(header + "}"));
}

TEST(UnusableWeights, MethodsByTheirTensors) {
  struct Row {
    std::vector<std::pair<std::string, std::string>> tensors;
    const char* method;
  };
  const Row rows[] = {
      {{{".qweight", "I32"}, {".qzeros", "I32"}, {".scales", "F16"}, {".g_idx", "I32"}}, "gptq:"},
      {{{".qweight", "I32"}, {".qzeros", "I32"}, {".scales", "F16"}}, "awq:"},
      {{{".weight", "I8"}, {".SCB", "F32"}}, "bitsandbytes:"},
      {{{".weight", "U8"}, {".weight.absmax", "F32"}}, "bitsandbytes:"},
      {{{".weight_packed", "I32"}, {".weight_scale", "F16"}}, "compressed-tensors:"},
      {{{".weight", "F8_E4M3"}, {".weight_scale_inv", "F32"}}, "fp8:"},
      {{{".weight", "F8_E5M2"}}, "fp8:"},
  };
  for (const Row& row : rows) {
    SCOPED_TRACE(row.method);
    const tests::TempDir dir;
    WriteNamedTensors(dir, row.tensors);
    ExpectError(ErrorKind::kInput,
                {StrCat("quantised by ", row.method), kPrefix, "the checkpoint that it was made"},
                [&] { OpenCheckpoint(dir.path()); });
    EXPECT_EQ(OpenTensors(dir.path()).TensorNames().size(), row.tensors.size());
  }
  const tests::TempDir plain;
  WriteNamedTensors(plain, {{".weight", "F16"}, {".bias", "F32"}, {".scales", "F32"}});
  EXPECT_EQ(OpenCheckpoint(plain.path()).TensorNames().size(), 3u);
}

TEST(UnusableWeights, MethodsByTheConfig) {
  const tests::TempDir dir;
  WriteNamedTensors(dir, {{".weight", "F16"}});
  const auto config = [&](const std::string& text) {
    dir.Write("config.json", StrCat("{\"quantization_config\": ", text, "}"));
  };
  config(R"({"quant_method": "gptq", "bits": 4})");
  ExpectError(ErrorKind::kInput, {"quantised by gptq: quantization_config", "(4 bits)"},
              [&] { OpenCheckpoint(dir.path()); });
  config(R"({"quant_method": "bitsandbytes", "load_in_8bit": true, "load_in_4bit": false})");
  ExpectError(ErrorKind::kInput, {"quantised by bitsandbytes:", "dequantize()"},
              [&] { OpenCheckpoint(dir.path()); });
  config(R"({"quant_method": "torchao"})");
  ExpectError(ErrorKind::kInput, {"quantised by torchao:"}, [&] { OpenCheckpoint(dir.path()); });
  for (const char* nothing :
       {"null", "{}",
        R"({"quant_method": "bitsandbytes", "load_in_8bit": false, "load_in_4bit": false})"}) {
    config(nothing);
    EXPECT_EQ(OpenCheckpoint(dir.path()).TensorNames().size(), 1u) << nothing;
  }
}

TEST(UnusableWeights, AnAdapterNamedAsAFile) {
  const tests::TempDir dir;
  WriteNamedTensors(dir, {{".lora_A.weight", "F32"}, {".lora_B.weight", "F32"}});
  ExpectError(ErrorKind::kInput, {"a LoRA adapter", "lora_A", "merge_and_unload"},
              [&] { OpenCheckpoint(dir / "model.safetensors"); });
}

}  // namespace
}  // namespace moefy::model
