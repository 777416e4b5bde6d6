// GGUF files, read back by the format's description: header, values of each type, names and the
// order of rows.
#include <gtest/gtest.h>

#include <cstring>
#include <map>

#include "base/output.h"
#include "export/gguf_quantize.h"
#include "export/gguf_tokenizer.h"
#include "export/write_gguf.h"
#include "export_support.h"
#include "moefy/model/tensor_io.h"
#include "support/expect_error.h"

namespace moefy::exports {
namespace {

namespace fs = std::filesystem;
using moefy::tests::ExpectError;

// Reads a file front to back.
class GgufReader {
 public:
  explicit GgufReader(const fs::path& path) : bytes_(ReadTextFile(path)) {
    EXPECT_EQ(bytes_.substr(0, 4), "GGUF");
    at_ = 4;
    EXPECT_EQ(Next<uint32_t>(), 3u);
    const auto num_tensors = Next<uint64_t>();
    const auto num_values = Next<uint64_t>();
    for (uint64_t i = 0; i < num_values; ++i) {
      const std::string key = Text();
      values[key] = Value(Next<uint32_t>());
    }
    for (uint64_t i = 0; i < num_tensors; ++i) ReadTensor();
    begin_ = (at_ + 31) / 32 * 32;
  }

  struct Tensor {
    std::vector<int64_t> shape;
    uint32_t type;
    uint64_t offset;
  };
  std::map<std::string, std::string> values;  // arrays as "[size]"
  std::map<std::string, Tensor> tensors;

  at::Tensor Floats(const std::string& name) const {
    const Tensor& tensor = tensors.at(name);
    EXPECT_EQ(tensor.type, 0u);
    at::Tensor out = at::empty(tensor.shape, at::kFloat);
    EXPECT_LE(begin_ + tensor.offset + out.nbytes(), bytes_.size());
    std::memcpy(out.data_ptr(), bytes_.data() + begin_ + tensor.offset, out.nbytes());
    return out;
  }

 private:
  template <typename T>
  T Next() {
    T value;
    std::memcpy(&value, bytes_.data() + at_, sizeof(value));
    at_ += sizeof(value);
    return value;
  }
  std::string Text() {
    const auto size = Next<uint64_t>();
    std::string text = bytes_.substr(at_, size);
    at_ += size;
    return text;
  }
  std::string Value(uint32_t type) {
    if (type == 4) return StrCat(Next<uint32_t>());
    if (type == 5) return StrCat(Next<int32_t>());
    if (type == 6) return StrCat(Next<float>());
    if (type == 7) return Next<uint8_t>() != 0 ? "true" : "false";
    if (type == 8) return Text();
    EXPECT_EQ(type, 9u);
    const auto element = Next<uint32_t>();
    const auto size = Next<uint64_t>();
    for (uint64_t i = 0; i < size; ++i) Value(element);
    return StrCat("[", size, "]");
  }
  void ReadTensor() {
    const std::string name = Text();
    Tensor& tensor = tensors[name];
    tensor.shape.resize(Next<uint32_t>());
    for (auto extent = tensor.shape.rbegin(); extent != tensor.shape.rend(); ++extent) {
      *extent = static_cast<int64_t>(Next<uint64_t>());
    }
    tensor.type = Next<uint32_t>();
    tensor.offset = Next<uint64_t>();
    EXPECT_EQ(tensor.offset % 32, 0u);
  }

  std::string bytes_;
  size_t at_ = 0, begin_ = 0;
};

GgufReader ExportGguf(const split::MoeCheckpoint& moe, const fs::path& file,
                      GgufType type = GgufType::kF32) {
  const ExportPlan plan = PlanExport(moe, GgufFormat(moe.config()), 0.5);
  const LinearRouters routers = FindLinearRouters(moe, plan, nullptr, SilentProgress());
  WriteGguf(moe, plan, routers.rows, type, file, SilentProgress());
  return GgufReader(file);
}

at::Tensor Stored(const split::MoeCheckpoint& moe, const std::string& name) {
  return model::ReadTensor(moe.weights(), name);
}

TEST(WriteGguf, WritesGlm4Moe) {
  const moefy::tests::TempDir dir;
  const split::MoeCheckpoint moe = moefy::tests::SplitAndRoute(
      moefy::tests::Pico("qwen2-tied"), dir, 53, tests::Unbiased("ridge"), 3);
  const GgufReader file = ExportGguf(moe, dir / "model.gguf");
  EXPECT_EQ(file.values.at("general.architecture"), "glm4moe");
  EXPECT_EQ(file.values.at("glm4moe.expert_count"), "50");
  EXPECT_EQ(file.values.at("glm4moe.expert_used_count"), "24");
  EXPECT_EQ(file.values.at("glm4moe.expert_shared_count"), "3");
  EXPECT_EQ(file.values.at("glm4moe.expert_gating_func"), "3");
  EXPECT_EQ(file.values.at("glm4moe.expert_weights_norm"), "false");
  EXPECT_EQ(file.values.at("glm4moe.block_count"), "2");
  EXPECT_EQ(file.values.at("glm4moe.rope.freq_base"), "1e+06");
  EXPECT_EQ(file.values.at("tokenizer.ggml.model"), "none");
  const std::string layer = "model.layers.1.", block = "blk.1.";
  EXPECT_TRUE(at::equal(file.Floats(block + "attn_q.weight"),
                        Stored(moe, layer + "self_attn.q_proj.weight")));
  EXPECT_TRUE(
      at::equal(file.Floats(block + "attn_k.bias"), Stored(moe, layer + "self_attn.k_proj.bias")));
  EXPECT_TRUE(at::equal(file.Floats(block + "post_attention_norm.weight"),
                        Stored(moe, layer + "post_attention_layernorm.weight")));
  const at::Tensor up = Stored(moe, layer + "mlp.up_proj.weight");
  EXPECT_TRUE(at::equal(file.Floats(block + "ffn_up_shexp.weight"), up.narrow(0, 0, 6)));
  EXPECT_TRUE(at::equal(file.Floats(block + "ffn_up_exps.weight")[4], up.narrow(0, 6 + 8, 2)));
  const at::Tensor down = Stored(moe, layer + "mlp.down_proj.weight");
  EXPECT_TRUE(
      at::equal(file.Floats(block + "ffn_down_exps.weight")[4], down.narrow(1, 6 + 8, 2) * 24));
  EXPECT_TRUE(at::equal(file.Floats(block + "ffn_down_shexp.weight"), down.narrow(1, 0, 6)));
  EXPECT_EQ(file.tensors.at(block + "exp_probs_b.bias").shape, std::vector<int64_t>{50});
  EXPECT_FALSE(file.tensors.contains("output.weight"));  // it is the embedding
}

// Llama 3.1's rotary scaling is in Mixtral's architecture only, which rotates neighbours.
TEST(WriteGguf, WritesLlama) {
  const moefy::tests::TempDir dir;
  const split::MoeCheckpoint moe = moefy::tests::SplitAndRoute(
      moefy::tests::Pico("llama-llama3-rope-scaling"), dir, 6, tests::Unbiased());
  const GgufReader file = ExportGguf(moe, dir / "model.gguf");
  EXPECT_EQ(file.values.at("general.architecture"), "llama");
  const at::Tensor stored = Stored(moe, "model.layers.0.self_attn.q_proj.weight");
  const at::Tensor query = file.Floats("blk.0.attn_q.weight");
  for (int64_t pair = 0; pair < 6; ++pair) {  // of head 1; a head has 12 rows
    EXPECT_TRUE(at::equal(query[12 + 2 * pair], stored[12 + pair]));
    EXPECT_TRUE(at::equal(query[12 + 2 * pair + 1], stored[12 + 6 + pair]));
  }
  const at::Tensor factors = file.Floats("rope_freqs.weight");
  EXPECT_EQ(factors.numel(), 6);
  EXPECT_EQ(factors[0].item<float>(), 1);  // fast frequencies stay
  EXPECT_EQ(factors[5].item<float>(), 8);  // slow ones are eight times slower
}

TEST(WriteGguf, SaysWhenTheGraphHasNoRoom) {
  const moefy::tests::TempDir dir;
  const split::MoeCheckpoint moe =
      moefy::tests::SplitAndRoute(moefy::tests::Pico("mistral-gqa"), dir, 29, tests::Unbiased());
  const ExportPlan plan = PlanExport(moe, GgufFormat(moe.config()), 1);
  ExportPlan wide = plan;
  wide.sizes.chosen = 1000;
  const LinearRouters routers = FindLinearRouters(moe, plan, nullptr, SilentProgress());
  ExpectError(
      ErrorKind::kUsage, {"llama.cpp's graph has room for", "chooses 1000", "--expert-size"}, [&] {
        WriteGguf(moe, wide, routers.rows, GgufType::kF16, dir / "wide.gguf", SilentProgress());
      });
  WriteGguf(moe, plan, routers.rows, GgufType::kF16, dir / "model.gguf", SilentProgress());
}

float Half(const std::byte* at) {
  c10::Half half;
  std::memcpy(&half, at, sizeof(half));
  return half;
}

TEST(GgufEncode, StoresBlocksThatReadBackNear) {
  at::manual_seed(5);
  const at::Tensor values = at::randn({3, 64});
  const float* wanted = values.data_ptr<float>();
  const auto q8 = GgufEncode(values, GgufType::kQ8_0);
  ASSERT_EQ(q8.size(), 6u * 34);
  const auto q4 = GgufEncode(values, GgufType::kQ4_0);
  ASSERT_EQ(q4.size(), 6u * 18);
  for (int block = 0; block < 6; ++block) {
    const std::byte* of8 = q8.data() + block * 34;
    const std::byte* of4 = q4.data() + block * 18;
    for (int i = 0; i < 32; ++i) {
      const float value = wanted[block * 32 + i];
      const float got8 = Half(of8) * static_cast<float>(static_cast<int8_t>(of8[2 + i]));
      EXPECT_NEAR(got8, value, 0.51F * std::abs(Half(of8)) + 1e-3F);
      const auto pair = static_cast<unsigned>(of4[2 + i % 16]);
      const int level = static_cast<int>(i < 16 ? pair & 15U : pair >> 4U) - 8;
      EXPECT_NEAR(Half(of4) * static_cast<float>(level), value, 1.01F * std::abs(Half(of4)));
    }
  }
  EXPECT_EQ(GgufEncode(at::zeros({32}), GgufType::kQ8_0), std::vector<std::byte>(34));
}

void WriteTokenizer(const fs::path& directory, const std::string& type, const std::string& pre) {
  const std::string text =
      R"({"added_tokens": [{"id": 2, "content": "<s>", "special": true}], "pre_tokenizer": )" +
      pre + R"(, "model": {"type": ")" + type +
      R"(", "vocab": {"a": 0, "b": 1, "ab": 3}, "merges": [["a", "b"]]}})";
  WriteTextFile(directory / "tokenizer.json", text, IfExists::kRefuse);
}

TEST(GgufTokenizer, WritesByteLevelBpe) {
  const moefy::tests::TempDir dir;
  WriteTokenizer(dir.path(), "BPE",
                 R"({"type": "Sequence", "pretokenizers": [
                     {"type": "Digits", "individual_digits": true},
                     {"type": "ByteLevel", "add_prefix_space": false}]})");
  model::ModelConfig config;
  config.vocab_size = 6;
  config.eos_id = 2;
  std::map<std::string, GgufValue> found;
  for (const auto& [key, value] : GgufTokenizer(dir.path(), config)) found[key] = value;
  EXPECT_EQ(std::get<std::string>(found.at("tokenizer.ggml.pre")), "smollm");
  EXPECT_EQ(std::get<std::vector<std::string>>(found.at("tokenizer.ggml.tokens")),
            (std::vector<std::string>{"a", "b", "<s>", "ab", "[PAD4]", "[PAD5]"}));
  EXPECT_EQ(std::get<std::vector<int32_t>>(found.at("tokenizer.ggml.token_type")),
            (std::vector<int32_t>{1, 1, 3, 1, 5, 5}));
  EXPECT_EQ(std::get<std::vector<std::string>>(found.at("tokenizer.ggml.merges")),
            std::vector<std::string>{"a b"});
  EXPECT_EQ(std::get<uint32_t>(found.at("tokenizer.ggml.eos_token_id")), 2u);
}

TEST(GgufTokenizer, RefusesOtherKinds) {
  const char* kMetaspace = R"({"type": "Metaspace"})";
  const char* kByteLevel = R"({"type": "ByteLevel", "add_prefix_space": false})";
  for (const auto& [type, pre] : {std::pair{"BPE", kMetaspace}, std::pair{"Unigram", kByteLevel}}) {
    const moefy::tests::TempDir dir;
    WriteTokenizer(dir.path(), type, pre);
    model::ModelConfig config;
    config.vocab_size = 6;
    ExpectError(ErrorKind::kInput, {"tokenizer.json", type, "cannot be written to GGUF"},
                [&] { GgufTokenizer(dir.path(), config); });
  }
}

}  // namespace
}  // namespace moefy::exports
