// One model, spelled in several ways: config.json and tensor names as different releases of the
// reference, older code and training wrappers write them. All must give the recorded outputs.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "golden.h"
#include "support/expect_error.h"
#include "support/random_model.h"
#include "support/split_fixtures.h"

namespace moefy {
namespace {

namespace fs = std::filesystem;
using model::TensorMap;

// The largest difference between the logits and those recorded for `pico`.
double DifferenceFrom(const std::string& pico, const fs::path& directory,
                      std::vector<std::string>* warnings = nullptr) {
  const at::NoGradGuard no_grad;
  model::Transformer transformer =
      model::LoadTransformer(io::Checkpoint::Open(directory), warnings);
  const auto golden = tests::ReadGolden(tests::Pico(pico) / "golden.safetensors");
  const auto take = [&](const char* name) {
    const auto found = golden.find(name);
    return found == golden.end() ? at::Tensor() : found->second;
  };
  const model::ForwardInputs inputs{take("input_ids"), take("attention_mask"),
                                    take("token_type_ids"), take("decoder_input_ids"),
                                    take("decoder_attention_mask")};
  at::Tensor mask =
      inputs.decoder_input_ids.defined() ? inputs.decoder_attention_mask : inputs.attention_mask;
  const at::Tensor logits = transformer.Forward(inputs).logits;
  return ((logits - golden.at("logits")).abs() * mask.unsqueeze(2)).max().item<double>();
}

using EditConfig = std::function<void(Json& config)>;
using EditTensors = std::function<void(TensorMap& tensors)>;

void ExpectTheRecorded(const std::string& pico, const EditConfig& edit_config,
                       const EditTensors& edit_tensors = {}, const std::string& warning = "") {
  const tests::TempDir dir;
  tests::WriteEdited(tests::Pico(pico), dir.path(), edit_config, edit_tensors);
  std::vector<std::string> warnings;
  EXPECT_LT(DifferenceFrom(pico, dir.path(), &warnings), tests::kReferenceAbsolute);
  if (warning.empty()) {
    EXPECT_THAT(warnings, testing::IsEmpty());
  } else {
    EXPECT_THAT(warnings, testing::ElementsAre(testing::HasSubstr(warning)));
  }
}

void Rename(TensorMap& tensors, const std::string& from, const std::string& to) {
  tensors[to] = tensors.at(from);
  tensors.erase(from);
}

// Old keys of the top level -> "rope_parameters".
void MoveRope(Json& config, const std::map<std::string, std::string>& moved) {
  Json rope = config.contains("rope_scaling") && config["rope_scaling"].is_object()
                  ? config["rope_scaling"]
                  : Json{{"rope_type", "default"}};
  for (const auto& [from, to] : moved) {
    rope[to] = config.at(from);
    config.erase(from);
  }
  config.erase("rope_scaling");
  config["rope_parameters"] = rope;
  config["dtype"] = config["torch_dtype"];
  config.erase("torch_dtype");
}

TEST(Spellings, RotaryPositionsOfTransformers5) {
  ExpectTheRecorded("llama-llama3-rope-scaling", [](Json& c) {
    MoveRope(c, {{"rope_theta", "rope_theta"}});
  });
  ExpectTheRecorded("llama-llama3-rope-scaling", [](Json& c) {  // by kind of layer, of which is one
    MoveRope(c, {{"rope_theta", "rope_theta"}});
    c["rope_parameters"] = {{"full_attention", Json(c["rope_parameters"])}};
  });
  ExpectTheRecorded("llama-llama3-rope-scaling", [](Json& c) {  // the one inside counts
    MoveRope(c, {{"rope_theta", "rope_theta"}});
    c["rope_theta"] = 7.0;
  });
  ExpectTheRecorded("gpt_neox-parallel", [](Json& c) {
    MoveRope(c, {{"rotary_emb_base", "rope_theta"}, {"rotary_pct", "partial_rotary_factor"}});
    c["rope_theta"] = 7.0;  // ignored there
  });
  ExpectTheRecorded("phi-gelu_new", [](Json& c) {
    MoveRope(c, {{"rope_theta", "rope_theta"}, {"partial_rotary_factor", "partial_rotary_factor"}});
  });
}

TEST(Spellings, T5sOwnOutputProjection) {
  ExpectTheRecorded("t5-v1_1-gated-gelu-untied", [](Json& c) {
    c["tie_word_embeddings"] = true;
    c["scale_decoder_outputs"] = false;
  });
  ExpectTheRecorded(
      "t5-relu-tied", [](Json& c) { c["scale_decoder_outputs"] = true; },
      [](TensorMap& t) { t["lm_head.weight"] = t.at("shared.weight").clone(); });
}

TEST(Spellings, TheEmbeddingUnderEachOfItsNames) {
  for (const char* name : {"decoder.embed_tokens.weight", "encoder.embed_tokens.weight"}) {
    ExpectTheRecorded("t5-v1_1-gated-gelu-untied", {},
                      [&](TensorMap& t) { Rename(t, "shared.weight", name); });
  }
  ExpectTheRecorded("t5-relu-tied", {},
                    [](TensorMap& t) { Rename(t, "shared.weight", "lm_head.weight"); });
  ExpectTheRecorded("bart-gelu", {}, [](TensorMap& t) {
    Rename(t, "model.shared.weight", "model.decoder.embed_tokens.weight");
  });
  ExpectTheRecorded("qwen2-tied", {},
                    [](TensorMap& t) { Rename(t, "model.embed_tokens.weight", "lm_head.weight"); });
  ExpectTheRecorded("qwen2-tied", {}, [](TensorMap& t) {  // an equal copy
    t["lm_head.weight"] = t.at("model.embed_tokens.weight").clone();
  });
}

TEST(Spellings, WrappersAroundTheModel) {
  for (const std::string prefix : {"module.", "_orig_mod.", "module._orig_mod."}) {
    ExpectTheRecorded(
        "qwen2-tied", {},
        [&](TensorMap& tensors) {
          TensorMap wrapped;
          for (const auto& [name, tensor] : tensors) wrapped[prefix + name] = tensor;
          tensors = wrapped;
        },
        "begins with '" + prefix + "'");
  }
}

TEST(Spellings, FalconBeforeItWasCalledSo) {
  const auto old_sizes = [](Json& c) {
    c["n_layer"] = c["num_hidden_layers"];
    c["n_head"] = c["num_attention_heads"];
    c.erase("num_hidden_layers");
    c.erase("num_attention_heads");
  };
  ExpectTheRecorded("falcon-7b-like-mqa", old_sizes);
  ExpectTheRecorded("falcon-7b-like-mqa", [&](Json& c) {
    old_sizes(c);
    c["model_type"] = "RefinedWebModel";
    c["architectures"] = {"RWForCausalLM"};
    c["auto_map"] = {{"AutoModelForCausalLM", "modelling_RW.RWForCausalLM"}};
  });
  ExpectTheRecorded("falcon-40b-like-grouped", [&](Json& c) {
    old_sizes(c);
    c["model_type"] = "RefinedWeb";
    c["architectures"] = {"RWForCausalLM"};
    c["n_head_kv"] = c["num_kv_heads"];
    c.erase("num_kv_heads");
    c.erase("new_decoder_architecture");
  });
}

TEST(Spellings, AnAliasThatIsNotedInTheFile) {
  // As safetensors' save_model writes it: one of two tensors that share their memory.
  const tests::TempDir dir;
  Json config = ReadJsonFile(tests::Pico("qwen2-tied") / "config.json");
  config["tie_word_embeddings"] = false;  // nothing but the note says so
  tests::WriteConfig(config, dir.path());
  const io::Checkpoint from = io::Checkpoint::Open(tests::Pico("qwen2-tied"));
  std::vector<io::TensorInfo> infos;
  for (const std::string& name : from.TensorNames()) {
    infos.push_back(from.Get(name));
    if (name == "model.embed_tokens.weight") infos.back().name = "lm_head.weight";
  }
  io::SafetensorsWriter writer(dir / "model.safetensors", infos,
                               {{"format", "pt"}, {"model.embed_tokens.weight", "lm_head.weight"}});
  for (const std::string& name : from.TensorNames()) {
    writer.Write(name == "model.embed_tokens.weight" ? "lm_head.weight" : name, from.Bytes(name));
  }
  writer.Finish();
  std::vector<std::string> warnings;
  EXPECT_LT(DifferenceFrom("qwen2-tied", dir.path(), &warnings), tests::kReferenceAbsolute);
  EXPECT_THAT(warnings, testing::IsEmpty());
}

TEST(Spellings, AnOwnOutputProjectionBesideTiedEmbeddingsIsUsed) {
  const tests::TempDir tied, untied;
  const auto add_head = [](TensorMap& t) {
    t["lm_head.weight"] = t.at("model.embed_tokens.weight").flip(0).contiguous();
  };
  tests::WriteEdited(tests::Pico("qwen2-tied"), tied.path(), {}, add_head);
  tests::WriteEdited(
      tests::Pico("qwen2-tied"), untied.path(), [](Json& c) { c["tie_word_embeddings"] = false; },
      add_head);
  const double difference = DifferenceFrom("qwen2-tied", tied.path());
  EXPECT_GT(difference, 0.1);
  EXPECT_EQ(difference, DifferenceFrom("qwen2-tied", untied.path()));
}

TEST(Spellings, TensorsOfTheModelThatWouldNotBeUsedAreErrors) {
  const auto expect_refused = [](const std::string& pico, const std::string& name,
                                 at::IntArrayRef shape) {
    const tests::TempDir dir;
    tests::WriteEdited(tests::Pico(pico), dir.path(), {},
                       [&](TensorMap& t) { t[name] = at::ones(shape); });
    tests::ExpectError(ErrorKind::kInput, {name, "no use for"},
                       [&] { model::LoadTransformer(io::Checkpoint::Open(dir.path())); });
  };
  expect_refused("llama-llama3-rope-scaling", "model.layers.0.self_attn.q_proj.bias", {48});
  expect_refused("llama-llama3-rope-scaling", "model.layers.2.mlp.up_proj.weight", {120, 48});
  expect_refused("llama-llama3-rope-scaling", "model.norm.bias", {48});
  expect_refused("llama-llama3-rope-scaling", "lm_head.bias", {201});
  expect_refused("t5-relu-tied", "decoder.embed_tokens.weight", {203, 48});
  // Not the model's own, or nothing but buffers.
  ExpectTheRecorded(
      "llama-llama3-rope-scaling", {},
      [](TensorMap& t) {
        t["value_head.weight"] = at::ones({1, 48});
      },
      "'value_head.weight'");
  ExpectTheRecorded("llama-llama3-rope-scaling", {}, [](TensorMap& t) {
    t["model.layers.0.self_attn.rotary_emb.inv_freq"] = at::ones({6});
  });
}

}  // namespace
}  // namespace moefy
