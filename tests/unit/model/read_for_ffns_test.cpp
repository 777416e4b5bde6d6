// Encoders with a head that moefy cannot run: whoever looks at FFNs only may read them.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "model/expected_tensors.h"
#include "model/family.h"
#include "model/read_parameters.h"
#include "support/expect_error.h"
#include "support/random_model.h"
#include "support/temp_dir.h"

namespace moefy::model {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using tests::ExpectError;

TEST(ReadForFfns, AnEncoderWithAHeadThatMoefyLacks) {
  const std::pair<const char*, const char*> kClasses[] = {
      {"bert", "BertForPreTraining"},
      {"bert", "BertForMultipleChoice"},
      {"bert", "BertForNextSentencePrediction"},
      {"electra", "ElectraForPreTraining"},
      {"albert", "AlbertForPreTraining"},
      {"distilbert", "DistilBertForMultipleChoice"}};
  for (const auto& [model_type, class_name] : kClasses) {
    SCOPED_TRACE(class_name);
    const Json json = tests::SmallEncoder(model_type, class_name);
    ExpectError(ErrorKind::kInput, {class_name, "with one of these heads"},
                [&] { ParseModelConfig(json, "c"); });
    std::vector<std::string> warnings;
    const ModelConfig config = ParseModelConfig(json, "c", &warnings, ReadFor::kFfns);
    EXPECT_EQ(config.head, Head::kNone);
    EXPECT_FALSE(FfnSpecs(config).empty());
    EXPECT_THAT(warnings, testing::Contains(HasSubstr(class_name)));
  }
}

TEST(ReadForFfns, KnownHeadsAndDecodersAreReadAsEver) {
  std::vector<std::string> warnings;
  const Json known = tests::SmallEncoder("bert", "BertForMaskedLM");
  EXPECT_EQ(ParseModelConfig(known, "c", &warnings, ReadFor::kFfns).head,
            Head::kMaskedLanguageModel);
  EXPECT_THAT(warnings, testing::IsEmpty());
  ExpectError(ErrorKind::kInput, {"LlamaForQuestionAnswering"}, [] {
    ParseModelConfig(tests::SmallDecoder("llama", "LlamaForQuestionAnswering"), "c", nullptr,
                     ReadFor::kFfns);
  });
  ExpectError(ErrorKind::kInput, {"'BarkForPreTraining'", "a class of its own"}, [] {
    ParseModelConfig(tests::SmallEncoder("bert", "BarkForPreTraining"), "c", nullptr,
                     ReadFor::kFfns);
  });
}

TEST(ReadForFfns, TheHeadsTensorsAreNamedAsUnused) {
  const tests::TempDir dir;
  TensorMap tensors = tests::RandomParameters(tests::SmallEncoder("bert", "BertModel"));
  tensors["cls.predictions.bias"] = at::zeros({97});
  tensors["cls.seq_relationship.weight"] = at::zeros({2, 24});
  tests::WriteModel(tests::SmallEncoder("bert", "BertForPreTraining"), tensors, dir.path());
  const io::Checkpoint checkpoint = io::Checkpoint::Open(dir.path());
  std::vector<std::string> warnings;
  const ModelConfig config = ReadModelConfig(checkpoint, nullptr, ReadFor::kFfns);
  CheckParameters(checkpoint, config, &warnings);
  EXPECT_THAT(warnings, ElementsAre(HasSubstr("2 tensors are not used")));
  ExpectError(ErrorKind::kInput, {"BertForPreTraining"}, [&] { LoadTransformer(checkpoint); });
}

}  // namespace
}  // namespace moefy::model
