// How Transformers calls the class of a model, and by which Auto class people load it.
#include "export/transformers_class.h"

#include <gtest/gtest.h>

#include "model/family.h"
#include "support/expect_error.h"

namespace moefy::exports {
namespace {

using moefy::tests::ExpectError;

TransformersClass Found(const Json& config) {
  return FindTransformersClass(config, model::ModelConfig(), "config.json");
}

TEST(TransformersClass, FollowsFromTheNameOfTheClass) {
  const std::vector<std::array<const char*, 3>> cases = {
      {"BertForSequenceClassification", "BertModel", "AutoModelForSequenceClassification"},
      {"BertForQuestionAnswering", "BertModel", "AutoModelForQuestionAnswering"},
      {"BertModel", "", "AutoModel"},
      {"GPT2LMHeadModel", "GPT2Model", "AutoModelForCausalLM"},
      {"FlaubertWithLMHeadModel", "FlaubertModel", "AutoModelForMaskedLM"},
      {"LlamaForCausalLM", "LlamaModel", "AutoModelForCausalLM"},
      {"MarianMTModel", "MarianModel", "AutoModelForSeq2SeqLM"},
      {"T5EncoderModel", "", "AutoModel"},
      {"T5ForConditionalGeneration", "T5Model", "AutoModelForSeq2SeqLM"},
      {"ViTForImageClassification", "ViTModel", "AutoModelForImageClassification"},
  };
  for (const auto& [name, base, auto_name] : cases) {
    const TransformersClass found = Found({{"architectures", {name}}});
    EXPECT_EQ(found.name, name);
    EXPECT_EQ(found.base_name, base) << name;
    EXPECT_EQ(found.auto_name, auto_name) << name;
  }
}

TEST(TransformersClass, FollowsFromTheFamilyWhereNoClassIsNamed) {
  const std::vector<std::pair<Json, const char*>> cases = {
      {{{"model_type", "t5"}}, "T5ForConditionalGeneration"},
      {{{"model_type", "xlm-roberta"}}, "XLMRobertaModel"},
  };
  for (const auto& [config, name] : cases) {
    const model::ModelConfig model = model::ParseModelConfig(config, "config.json");
    EXPECT_EQ(FindTransformersClass(config, model, "config.json").name, name);
  }
}

TEST(TransformersClass, RefusesWhatNobodyKnows) {
  ExpectError(ErrorKind::kInput, {"names no class", "\"architectures\": [\"...\"]"}, [] {
    Found({{"model_type", "x"}});
  });
  ExpectError(ErrorKind::kInput, {"'BertForPreTraining'", "...ForCausalLM"}, [] {
    Found({{"architectures", {"BertForPreTraining"}}});
  });
  ExpectError(ErrorKind::kInput, {"auto_map", "'modeling_x.XForCausalLM'", "code of its own"}, [] {
    Found({{"architectures", {"XForCausalLM"}},
           {"auto_map", {{"AutoModelForCausalLM", "modeling_x.XForCausalLM"}}}});
  });
  // A configuration or a tokenizer of its own is no model.
  EXPECT_EQ(Found({{"architectures", {"BertModel"}},
                   {"auto_map", {{"AutoConfig", "configuration_x.XConfig"}}}})
                .name,
            "BertModel");
}

}  // namespace
}  // namespace moefy::exports
