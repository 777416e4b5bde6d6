#include "model/new_head.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "model/family.h"
#include "moefy/base/strings.h"
#include "support/shared_data.h"

namespace moefy::model {
namespace {

using testing::ElementsAre;

std::filesystem::path Pico(const std::string& name) { return tests::TestData() / "pico" / name; }

TEST(NewHead, OfEncodersAlone) {
  for (const auto& pico : std::filesystem::directory_iterator(tests::TestData() / "pico")) {
    SCOPED_TRACE(pico.path().filename().string());
    const Json config = ReadJsonFile(pico.path() / "config.json");
    EXPECT_EQ(CanHaveNewHead(config),
              ParseModelConfig(config, "c").architecture == Architecture::kEncoder);
  }
  EXPECT_FALSE(CanHaveNewHead(Json::array()));
  EXPECT_FALSE(CanHaveNewHead({{"model_type", 5}}));
}

TEST(NewHead, IsNamedAsTheReferenceDoes) {
  struct Row {
    const char* model_type;
    const char* classifier;
  };
  for (const Row& row : {Row{"bert", "BertForSequenceClassification"},
                         Row{"roberta", "RobertaForSequenceClassification"},
                         Row{"xlm-roberta", "XLMRobertaForSequenceClassification"},
                         Row{"distilbert", "DistilBertForSequenceClassification"}}) {
    const Json config =
        WithHead({{"model_type", row.model_type}}, Head::kSequenceClassification, {"no", "yes"});
    EXPECT_EQ(config.dump(),
              StrCat(R"({"model_type":")", row.model_type, R"(","architectures":[")",
                     row.classifier, R"("],"num_labels":2,)", R"("id2label":{"0":"no","1":"yes"},)",
                     R"("label2id":{"no":0,"yes":1}})"));
  }
}

TEST(NewHead, ReplacesTheOldOneInTheConfig) {
  Json config = ReadJsonFile(Pico("bert-cls-gelu") / "config.json");
  config["problem_type"] = "regression";
  const ModelConfig other = ParseModelConfig(
      WithHead(config, Head::kSequenceClassification, {"a", "b", "c"}), "config.json");
  EXPECT_THAT(other.label_names, ElementsAre("a", "b", "c"));
  const Json spans = WithHead(config, Head::kQuestionAnswering, {});
  EXPECT_EQ(ParseModelConfig(spans, "config.json").head, Head::kQuestionAnswering);
  for (const char* key : {"num_labels", "id2label", "label2id", "problem_type"}) {
    EXPECT_FALSE(spans.contains(key)) << key;
  }
}

TEST(NewHead, IsTheLastLayerAndWhatIsMissingBeforeIt) {
  const io::Checkpoint roberta = io::Checkpoint::Open(Pico("roberta-cls-gelu"));
  const Json config = ReadJsonFile(Pico("roberta-cls-gelu") / "config.json");
  EXPECT_TRUE(HasHead(roberta, config, Head::kSequenceClassification));
  EXPECT_THAT(NewHeadTensors(roberta, ReadModelConfig(roberta)),
              ElementsAre("classifier.out_proj.bias", "classifier.out_proj.weight"));
  EXPECT_FALSE(HasHead(roberta, config, Head::kQuestionAnswering));
  // A config that promises what is not there.
  const io::Checkpoint spans = io::Checkpoint::Open(Pico("bert-qa-gelu"));
  const Json promise = WithHead(ReadJsonFile(Pico("bert-qa-gelu") / "config.json"),
                                Head::kSequenceClassification, {"a", "b"});
  EXPECT_FALSE(HasHead(spans, promise, Head::kSequenceClassification));
  EXPECT_THAT(NewHeadTensors(spans, ReadModelConfig(spans, promise)),
              ElementsAre("bert.pooler.dense.bias", "bert.pooler.dense.weight", "classifier.bias",
                          "classifier.weight"));
}

}  // namespace
}  // namespace moefy::model
