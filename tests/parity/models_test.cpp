// Pico models of every family against outputs recorded from the reference implementation
// (transformers 4.44). A row per case; adding a family is adding rows.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "golden.h"
#include "recorded_texts.h"
#include "support/shared_data.h"

namespace moefy {
namespace {

struct Case {
  const char* directory;  // under tests/data/pico
  const char* file;
  int num_compared;  // tensors or texts that must have been compared, so that none is lost silently
};

std::ostream& operator<<(std::ostream& out, const Case& c) {
  return out << c.directory << "/" << c.file;
}

class ModelParity : public testing::TestWithParam<Case> {};

TEST_P(ModelParity, EqualsTheReference) {
  const auto directory = tests::TestData() / "pico" / GetParam().directory;
  const std::string file = GetParam().file;
  const io::Checkpoint checkpoint = io::Checkpoint::Open(directory);
  std::vector<std::string> warnings;
  model::Transformer transformer = model::LoadTransformer(checkpoint, &warnings);
  EXPECT_THAT(warnings, testing::IsEmpty());
  const int num_compared =
      file.ends_with(".json") ? tests::CompareWithRecordedTexts(transformer, directory / file)
                              : tests::CompareWithGolden(transformer, checkpoint, directory / file);
  EXPECT_EQ(num_compared, GetParam().num_compared);
}

INSTANTIATE_TEST_SUITE_P(
    Pico, ModelParity,
    testing::Values(
        Case{"t5-relu-tied", "golden.safetensors", 24},
        Case{"t5-relu-tied", "golden_nomask_labels.safetensors", 5},
        Case{"t5-relu-untied-longbucket", "golden.safetensors", 4},
        Case{"t5-relu-untied-longbucket", "golden_nomask_labels.safetensors", 5},
        Case{"t5-v1_1-gated-gelu-untied", "golden.safetensors", 34},
        Case{"t5-v1_1-gated-gelu-untied", "golden_nomask_labels.safetensors", 5},
        Case{"bert-cls-gelu", "golden.safetensors", 14},
        Case{"bert-cls-gelu", "golden_nomask.safetensors", 2},
        Case{"bert-cls-relu", "golden.safetensors", 10},
        Case{"bert-cls-relu", "golden_nomask.safetensors", 2},
        Case{"bert-qa-gelu", "golden.safetensors", 11},
        Case{"bert-qa-gelu", "golden_nomask.safetensors", 3},
        Case{"t5-relu-tied", "generate.json", 8}, Case{"roberta-cls-gelu", "golden.safetensors", 6},
        Case{"roberta-cls-gelu", "golden_nomask.safetensors", 2},
        Case{"distilbert-cls-gelu", "golden.safetensors", 6},
        Case{"gpt2-relu-ninner", "golden.safetensors", 6},
        Case{"gpt2-relu-ninner", "golden_leftpad.safetensors", 2},
        Case{"gpt2-relu-ninner", "golden_nomask_labels.safetensors", 3},
        Case{"gpt2-relu-ninner", "generate.json", 8},
        Case{"opt-350m-like-postln-proj", "golden.safetensors", 6},
        Case{"opt-350m-like-postln-proj", "golden_leftpad.safetensors", 2},
        Case{"opt-350m-like-postln-proj", "generate.json", 8},
        Case{"gpt_neox-parallel", "golden.safetensors", 6},
        Case{"gpt_neox-parallel", "generate.json", 8},
        Case{"llama-llama3-rope-scaling", "golden.safetensors", 8},
        Case{"llama-llama3-rope-scaling", "generate.json", 8},
        Case{"mistral-gqa", "golden_leftpad.safetensors", 2},
        Case{"mistral-gqa", "generate.json", 8}, Case{"qwen2-tied", "golden.safetensors", 8},
        Case{"qwen2-tied", "generate.json", 8}, Case{"gemma-mqa", "golden.safetensors", 8},
        Case{"gemma-mqa", "generate.json", 8}, Case{"phi-gelu_new", "golden.safetensors", 6},
        Case{"phi-gelu_new", "generate.json", 8},
        Case{"falcon-40b-like-grouped", "golden.safetensors", 6},
        Case{"falcon-40b-like-grouped", "generate.json", 8},
        Case{"falcon-7b-like-mqa", "golden.safetensors", 6},
        Case{"falcon-7b-like-mqa", "generate.json", 8}, Case{"bart-gelu", "golden.safetensors", 12},
        Case{"bart-gelu", "generate.json", 8}, Case{"bart-gelu", "generate_forced.json", 8},
        Case{"m2m_100-relu", "golden.safetensors", 12},
        Case{"m2m_100-relu", "golden_nomask_labels.safetensors", 5},
        Case{"m2m_100-relu", "generate.json", 8}, Case{"m2m_100-relu", "generate_forced.json", 8},
        Case{"marian-swish", "golden.safetensors", 12}, Case{"marian-swish", "generate.json", 8},
        Case{"marian-swish", "generate_forced.json", 8},
        Case{"pegasus-relu", "golden.safetensors", 12}, Case{"pegasus-relu", "generate.json", 8},
        Case{"pegasus-relu", "generate_forced.json", 4}));

}  // namespace
}  // namespace moefy
