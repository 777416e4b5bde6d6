#include "model/changed_activation.h"

#include <gtest/gtest.h>

#include "model/activation.h"
#include "model/family.h"
#include "moefy/base/strings.h"
#include "support/expect_error.h"
#include "support/shared_data.h"
#include "unit/model/config_fields.h"

namespace moefy::model {
namespace {

std::string Text(const ModelConfig& config, bool with_activation) {
  std::string text;
  for (const auto& [name, value] : tests::FieldsOf(config)) {
    // Heads of encoders apply the FFNs' activation too, and config.json has one key for both.
    const bool is_activation = name.find("activation.") != std::string::npos;
    if (with_activation || !is_activation) text += StrCat(name, "=", value, "\n");
  }
  return text;
}

TEST(WithActivation, ChangesNothingElseInAnyFamily) {
  for (const auto& pico : std::filesystem::directory_iterator(tests::TestData() / "pico")) {
    SCOPED_TRACE(pico.path().filename().string());
    const Json config = ReadJsonFile(pico.path() / "config.json");
    const ModelConfig before = ParseModelConfig(config, "before");
    for (const Activation::Kind kind : {Activation::kRelu, Activation::kRelu2, Activation::kSilu}) {
      const ModelConfig after = ParseModelConfig(WithActivation(config, kind), "after");
      EXPECT_EQ(after.activation, Activation(kind));
      EXPECT_EQ(Text(after, false), Text(before, false));
    }
    EXPECT_EQ(WithActivation(config, before.activation), config);
  }
}

TEST(WithActivation, IsNamedAsTheFamilyDoes) {
  const auto changed = [](const std::string& pico, const Activation& activation) {
    return WithActivation(ReadJsonFile(tests::TestData() / "pico" / pico / "config.json"),
                          activation);
  };
  const Json t5 = changed("t5-v1_1-gated-gelu-untied", Activation::kRelu);
  EXPECT_EQ(t5.at("feed_forward_proj"), "gated-relu");
  EXPECT_EQ(t5.at("dense_act_fn"), "relu") << "transformers lets this key overrule the other";
  EXPECT_EQ(changed("bart-gelu", Activation::kRelu).at("activation_function"), "relu");
  Activation fat = Activation::kFatRelu;
  fat.threshold = 0.25;
  const Json mistral = changed("mistral-gqa", fat);
  EXPECT_EQ(mistral.at("hidden_act"), "fatrelu");
  EXPECT_EQ(mistral.at("hidden_act_param"), 0.25);
  Activation both = Activation::kRelu;
  both.on_both = true;
  EXPECT_EQ(changed("mistral-gqa", both).at("architectures").at(0),
            "TurboSparseMistralForCausalLM");
  const Json back = WithActivation(changed("mistral-gqa", both), Activation(Activation::kSilu));
  EXPECT_EQ(back.at("architectures").at(0), "MistralForCausalLM") << "the class is undone too";
  tests::ExpectError(ErrorKind::kUsage, {"bert", "'relu_both'", "it is 'gelu'"},
                     [&] { changed("bert-cls-gelu", both); });
}

}  // namespace
}  // namespace moefy::model
