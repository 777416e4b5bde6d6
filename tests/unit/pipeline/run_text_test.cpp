// Text in, answers out, on the embedded example and on pico models with vocabularies of our own.
#include <gtest/gtest.h>

#include "pipeline/run_text.h"
#include "support/expect_error.h"
#include "support/random_model.h"
#include "support/sentencepiece_bytes.h"
#include "support/split_fixtures.h"
#include "support/temp_dir.h"
#include "text/sentencepiece/sentencepiece_model.h"

namespace moefy::pipeline {
namespace {

// All answers in order, or the error.
std::vector<Json> Answers(const RunOptions& options, std::string* streamed = nullptr) {
  std::vector<Json> answers;
  const auto on_answer = [&](size_t input_idx, const Json& answer) {
    EXPECT_EQ(input_idx, answers.size());
    answers.push_back(answer);
  };
  const auto on_piece = [&](std::string_view piece) { *streamed += piece; };
  const RunTextResult result =
      RunText(options, on_answer, streamed ? PieceSink(on_piece) : nullptr, SilentProgress());
  EXPECT_EQ(result.num_answers, static_cast<int64_t>(answers.size()));
  return answers;
}

RunOptions Example() {
  RunOptions options;
  options.model = (tests::Quickstart() / "model").string();
  return options;
}

// A pico BERT with a vocabulary of single letters and digits, as many tokens as it has rows.
std::filesystem::path WithLetters(const tests::TempDir& dir, const std::string& pico,
                                  int64_t vocab_size) {
  const std::filesystem::path model = dir.Make(pico);
  tests::CopyModel(tests::Pico(pico), model);
  std::string vocabulary = "[PAD]\n[UNK]\n[CLS]\n[SEP]\n[MASK]\n";
  int64_t count = 5;
  for (char c = 'a'; c <= 'z'; ++c, ++count) vocabulary += std::string(1, c) + "\n";
  for (char c = 'a'; c <= 'z'; ++c, ++count) vocabulary += "##" + std::string(1, c) + "\n";
  for (; count < vocab_size; ++count) vocabulary += "[unused" + std::to_string(count) + "]\n";
  dir.Write(pico + "/vocab.txt", vocabulary);
  return model;
}

const char* kStory =
    "question: where is the ball ? story: tom hid the ball in the cellar . "
    "anna moved the ball to the garden . tom ran to the attic .";

TEST(RunText, GeneratesAndStreamsTheSameText) {
  RunOptions options = Example();
  options.texts = {kStory};
  options.max_new_tokens = 1;  // the example's model was taught one word
  std::string streamed;
  const std::vector<Json> answers = Answers(options, &streamed);
  ASSERT_EQ(answers.size(), 1u);
  EXPECT_EQ(answers[0]["text"], "garden");
  EXPECT_EQ(answers[0]["tokens"], 1);
  EXPECT_EQ(answers[0]["finished"], false);
  EXPECT_EQ(streamed, "garden");
}

TEST(RunText, AnswersATaskFromLinesOfJsonAndKeepsIds) {
  const tests::TempDir dir;
  dir.Write("in.jsonl",
            "{\"id\": \"a\", \"sentence\": \"nobody enjoyed the music .\"}\n\n"
            "{\"id\": 7, \"sentence\": \"nothing about the plot was dull .\"}\n");
  RunOptions options = Example();
  options.task = (tests::Quickstart() / "sentiment.json").string();
  options.input = (dir / "in.jsonl").string();
  const std::vector<Json> answers = Answers(options);
  ASSERT_EQ(answers.size(), 2u);
  EXPECT_EQ(answers[0]["id"], "a");
  EXPECT_EQ(answers[0]["label"], "negative");
  EXPECT_EQ(answers[1]["id"], 7);
  EXPECT_EQ(answers[1]["label"], "positive");
  EXPECT_NEAR(answers[1]["scores"]["positive"].get<double>() +
                  answers[1]["scores"]["negative"].get<double>(),
              1, 1e-9);
}

TEST(RunText, SparseModelsAnswerToo) {
  const tests::TempDir dir;
  tests::SplitInto(tests::Quickstart() / "model", dir / "moe", /*num_experts=*/32, "kmeans");
  std::filesystem::copy_file(tests::Quickstart() / "model/spiece.model", dir / "moe/spiece.model",
                             std::filesystem::copy_options::overwrite_existing);
  RunOptions options = Example();
  options.model = (dir / "moe").string();
  options.selection = "oracle";
  options.ffn_ratio = 0.5;
  options.texts = {kStory};
  options.max_new_tokens = 1;
  EXPECT_EQ(Answers(options)[0]["text"], "garden");
}

TEST(RunText, ClassifiesWithTheModelsOwnLabels) {
  const tests::TempDir dir;
  RunOptions options;
  options.model = WithLetters(dir, "bert-cls-gelu", 211).string();
  options.texts = {"ab cd", "e"};
  const std::vector<Json> answers = Answers(options);
  ASSERT_EQ(answers.size(), 2u);
  double total = 0;
  for (int i = 0; i < 5; ++i) {
    total += answers[0]["scores"].at("LABEL_" + std::to_string(i)).get<double>();
  }
  EXPECT_NEAR(total, 1, 1e-9);
  EXPECT_NE(answers[0], answers[1]);
  // Alone or in company: the same answer.
  options.texts = {"ab cd"};
  EXPECT_NEAR(Answers(options)[0]["scores"]["LABEL_0"].get<double>(),
              answers[0]["scores"]["LABEL_0"].get<double>(), 1e-6);
}

// The pico classifier's encoder under another head, of random weights where it has none.
std::filesystem::path WithHead(const tests::TempDir& dir, const Json& changes) {
  const std::filesystem::path model = WithLetters(dir, "bert-cls-gelu", 211);
  Json config = ReadJsonFile(model / "config.json");
  for (const auto& [key, value] : changes.items()) config[key] = value;
  std::filesystem::remove(model / "model.safetensors");
  tests::WriteRandomModel(config, model);
  return model;
}

TEST(RunText, SeveralLabelsAtOnceHaveASigmoidEach) {
  const tests::TempDir dir;
  RunOptions options;
  options.model = WithHead(dir, {{"problem_type", "multi_label_classification"}}).string();
  options.texts = {"ab cd"};
  const Json answer = Answers(options)[0];
  EXPECT_FALSE(answer.contains("label"));
  std::vector<std::string> held;
  for (const auto& [name, share] : answer.at("scores").items()) {
    EXPECT_GT(share.get<double>(), 0);
    EXPECT_LT(share.get<double>(), 1);
    if (share.get<double>() >= 0.5) held.push_back(name);
  }
  EXPECT_EQ(answer.at("scores").size(), 5u);
  EXPECT_EQ(answer.at("labels").get<std::vector<std::string>>(), held);
}

TEST(RunText, MasksAreFilled) {
  const tests::TempDir dir;
  RunOptions options;
  options.model = WithHead(dir, {{"architectures", {"BertForMaskedLM"}}}).string();
  options.texts = {"a [MASK] c [MASK]"};
  const Json answer = Answers(options)[0];
  ASSERT_EQ(answer.at("masks").size(), 2u);
  const Json& candidates = answer["masks"][1]["candidates"];
  ASSERT_EQ(candidates.size(), 5u);
  EXPECT_GE(candidates[0]["share"].get<double>(), candidates[1]["share"].get<double>());
  EXPECT_EQ(answer["text"].get<std::string>().find("[MASK]"), std::string::npos);
  options.top_k = 2;
  EXPECT_EQ(Answers(options)[0]["masks"][0]["candidates"].size(), 2u);
  options.texts = {"a b c"};
  tests::ExpectError(ErrorKind::kInput, {"no mask", "[MASK]"}, [&] { Answers(options); });
}

TEST(RunText, EveryTokenOfATextHasALabel) {
  const tests::TempDir dir;
  RunOptions options;
  options.model = WithHead(dir, {{"architectures", {"BertForTokenClassification"}},
                                 {"id2label", {{"0", "O"}, {"1", "B"}, {"2", "I"}}}})
                      .string();
  options.texts = {"ab c"};
  const Json answer = Answers(options)[0];
  ASSERT_EQ(answer.at("tokens").size(), 3u);  // a, ##b, c
  EXPECT_EQ(answer["tokens"][0]["token"], "a");
  EXPECT_EQ(answer["tokens"][2]["token"], "c");
}

TEST(RunText, EncodersWithoutAHeadGiveVectors) {
  const tests::TempDir dir;
  RunOptions options;
  const std::filesystem::path model = WithHead(dir, {{"architectures", {"BertModel"}}});
  options.model = model.string();
  options.texts = {"ab c", "d"};
  const std::vector<Json> mean = Answers(options);
  ASSERT_EQ(mean[0].at("embedding").size(), 48u);
  EXPECT_NE(mean[0], mean[1]);
  // Alone or in company: the same vector.
  options.texts = {"d"};
  const auto alone = Answers(options)[0]["embedding"].get<std::vector<float>>();
  const auto in_company = mean[1]["embedding"].get<std::vector<float>>();
  for (size_t i = 0; i < alone.size(); ++i) EXPECT_NEAR(alone[i], in_company[i], 1e-5);
  std::filesystem::create_directory(model / "1_Pooling");
  dir.Write("bert-cls-gelu/modules.json",
            R"([{"type": "a.Transformer", "path": ""}, {"type": "a.Pooling", "path": "1_Pooling"},)"
            R"({"type": "a.Normalize", "path": "2_Normalize"}])");
  dir.Write("bert-cls-gelu/1_Pooling/config.json", R"({"pooling_mode_cls_token": true})");
  double square = 0;
  for (const float x : Answers(options)[0]["embedding"].get<std::vector<float>>()) square += x * x;
  EXPECT_NEAR(square, 1, 1e-5);
}

TEST(RunText, AnswersAreCutOutOfTheContextAsWritten) {
  const tests::TempDir dir;
  RunOptions options;
  options.model = WithLetters(dir, "bert-qa-gelu", 191).string();
  options.question = "where";
  options.context = "It is  in ROME";  // another spelling than the vocabulary's
  const Json answer = Answers(options)[0];
  const auto begin = answer["begin"].get<size_t>(), end = answer["end"].get<size_t>();
  ASSERT_LT(begin, end);
  EXPECT_EQ(answer["answer"], options.context.substr(begin, end - begin));
  EXPECT_GT(answer["score"].get<double>(), 0);
}

TEST(RunText, AnswersAreSpansOfATasksContextToo) {
  const tests::TempDir dir;
  RunOptions options;
  options.model = WithLetters(dir, "bert-qa-gelu", 191).string();
  options.task = MOEFY_SOURCE_DIR "/tests/data/tasks/squad.json";
  options.question = "where";
  options.context = "It is  in ROME";
  const Json answer = Answers(options)[0];
  EXPECT_NE(options.context.find(answer["answer"].get<std::string>()), std::string::npos);
  EXPECT_GT(answer["score"].get<double>(), 0);
  EXPECT_LE(answer["score"].get<double>(), 1);
}

// So many words of one token each, more than the pico BERTs have positions.
std::string Words(int count) {
  std::string text;
  for (int i = 0; i < count; ++i) text += i == 0 ? "a" : " a";
  return text;
}

// The answers, failed ones among them, and what was said beside them.
std::pair<std::vector<Json>, RunTextResult> AnswersAndResult(const RunOptions& options) {
  std::vector<Json> answers;
  const RunTextResult result = RunText(
      options, [&](size_t, const Json& answer) { answers.push_back(answer); }, nullptr,
      SilentProgress());
  return {answers, result};
}

TEST(RunText, AQuestionThatIsTooLongCostsItselfAlone) {
  const tests::TempDir dir;
  RunOptions options;
  options.model = WithLetters(dir, "bert-qa-gelu", 191).string();
  const std::string good = R"({"question": "where", "context": "it is in rome"})";
  const std::string bad = R"({"question": ")" + Words(300) + R"(", "context": "it is in rome"})";
  options.input = dir.Write("in.jsonl", good + "\n" + bad + "\n" + good + "\n").string();
  const auto [answers, result] = AnswersAndResult(options);
  ASSERT_EQ(answers.size(), 3u);
  EXPECT_TRUE(answers[0].contains("answer"));
  EXPECT_TRUE(answers[1].contains("error"));
  EXPECT_EQ(answers[2], answers[0]);
  ASSERT_EQ(result.failures.size(), 1u);
  EXPECT_NE(result.failures[0].find("in.jsonl: line 2: the question and special tokens are 303"),
            std::string::npos)
      << result.failures[0];
}

TEST(RunText, InputsBeyondThePositionsAreCutWithAWarning) {
  const tests::TempDir dir;
  RunOptions options;
  options.model = WithLetters(dir, "bert-cls-gelu", 211).string();
  const int64_t positions = ReadJsonFile(std::filesystem::path(options.model) / "config.json")
                                .at("max_position_embeddings")
                                .get<int64_t>();
  const auto fits = static_cast<int>(positions) - 2;  // [CLS] and [SEP]
  options.texts = {Words(fits)};
  EXPECT_TRUE(AnswersAndResult(options).second.warnings.empty());
  options.texts = {"a", Words(fits + 1), "b", Words(300)};
  const auto [answers, result] = AnswersAndResult(options);
  EXPECT_EQ(answers.size(), 4u);
  EXPECT_EQ(result.num_answers, 4);
  ASSERT_EQ(result.warnings.size(), 1u);
  EXPECT_EQ(result.warnings[0],
            StrCat("text 2: has ", positions + 1, " tokens; the model reads the first ", positions,
                   " (2 inputs are cut)"));
}

TEST(RunText, AMaskBeyondThePositionsIsNotCalledMissing) {
  const tests::TempDir dir;
  RunOptions options;
  options.model = WithHead(dir, {{"architectures", {"BertForMaskedLM"}}}).string();
  options.texts = {Words(300) + " [MASK]"};
  tests::ExpectError(ErrorKind::kInput, {"the mask is token 302", "the model reads the first"},
                     [&] { Answers(options); });
  options.texts = {"[MASK] " + Words(300)};
  const auto [answers, result] = AnswersAndResult(options);
  EXPECT_EQ(answers.at(0).at("masks").size(), 1u);
  ASSERT_EQ(result.warnings.size(), 1u);
  EXPECT_NE(result.warnings[0].find("has 303 tokens"), std::string::npos);
}

TEST(RunText, ClassesOfOneNameAreToldApart) {
  const tests::TempDir dir;
  RunOptions options;
  options.model =
      WithHead(dir, {{"id2label", {{"0", "bad"}, {"1", "good"}, {"2", "bad"}}}}).string();
  options.texts = {"ab cd"};
  const Json scores = Answers(options)[0].at("scores");
  double total = 0;
  for (const char* name : {"bad (LABEL_0)", "good", "bad (LABEL_2)"}) {
    total += scores.at(name).get<double>();
  }
  EXPECT_EQ(scores.size(), 3u);
  EXPECT_NEAR(total, 1, 1e-9);
}

TEST(RunText, SaysWhatIsMissing) {
  const tests::TempDir dir;
  const auto refuse = [&](ErrorKind kind, std::initializer_list<std::string_view> fragments,
                          const RunOptions& options) {
    tests::ExpectError(kind, fragments, [&] { Answers(options); });
  };
  RunOptions options = Example();
  refuse(ErrorKind::kUsage, {"nothing to run", "--input"}, options);
  options.texts = {"x"};
  options.question = "y";
  refuse(ErrorKind::kUsage, {"several things to run"}, options);
  options.texts.clear();
  refuse(ErrorKind::kUsage, {"--context is missing"}, options);
  options.question.clear();
  options.input = dir.Write("in.jsonl", "{\"sentence\": \"fine\"}\n{\"sentence\": 3\n").string();
  refuse(ErrorKind::kInput, {"in.jsonl: line 2"}, options);
  options.input = dir.Write("in2.jsonl", "{\"sentence\": \"fine\"}\n").string();
  refuse(ErrorKind::kInput, {"in2.jsonl: line 1", "no field 'text'", "'sentence'"}, options);
  options.input = dir.Write("empty.txt", "\n \n").string();
  refuse(ErrorKind::kInput, {"empty.txt: no text in it"}, options);
  options.input.clear();
  options.texts = {"x"};
  options.batch_size = 0;
  refuse(ErrorKind::kUsage, {"--batch-size is 0"}, options);
}

// A pico M2M100 with a token a word, <s> 0, <pad> 1, </s> 2, <unk> 3, w4, ..., w110, and its 100
// languages.
std::filesystem::path WithLanguages(const tests::TempDir& dir) {
  const std::filesystem::path model = dir.Make("m2m");
  tests::CopyModel(tests::Pico("m2m_100-relu"), model);
  text::SentencePieceModel pieces;
  pieces.pieces = {{"<unk>", 0, text::PieceType::kUnknown}};
  Json vocabulary = {{"<s>", 0}, {"<pad>", 1}, {"</s>", 2}, {"<unk>", 3}};
  for (int64_t id = 4; id < 111; ++id) {
    const std::string word = StrCat("\xE2\x96\x81w", id);
    pieces.pieces.push_back({word, -1});
    vocabulary[word] = id;
  }
  dir.Write("m2m/sentencepiece.bpe.model", tests::FormatSentencePieceModel(pieces));
  dir.Write("m2m/vocab.json", FormatJson(vocabulary));
  return model;
}

TEST(RunText, TranslatesIntoTheLanguageThatIsAskedFor) {
  const tests::TempDir dir;
  RunOptions options;
  options.model = WithLanguages(dir).string();
  options.texts = {"w5 w6 w7"};
  options.max_new_tokens = 8;
  tests::ExpectError(ErrorKind::kUsage, {"100 languages", "target-language", " fr "},
                     [&] { Answers(options); });
  options.target_language = "fre";
  tests::ExpectError(ErrorKind::kUsage, {"target-language: 'fre'", "did you mean 'fr'?"},
                     [&] { Answers(options); });
  options.target_language = "fr";
  const std::vector<Json> french = Answers(options);
  options.source_language = "deu";
  tests::ExpectError(ErrorKind::kUsage, {"source-language: 'deu'", "did you mean 'de'?"},
                     [&] { Answers(options); });
  options.source_language.clear();
  options.target_language = "de";
  EXPECT_NE(Answers(options), french);

  // A task file may say it, too; the flag goes first.
  options.target_language.clear();
  options.task = dir.Write("translate.json", R"({"name": "t", "kind": "generation",
      "format": "jsonl", "metric": "exact_match", "prompt": "{text}", "max_new_tokens": 8,
      "splits": {"test": {"file": "x.jsonl", "columns": {"text": "a", "answer": "b"}}},
      "source_language": "en", "target_language": "fr"})")
                     .string();
  EXPECT_EQ(Answers(options)[0]["text"], french[0]["text"]);

  // And so may the model itself: "fr" is the 25th language.
  options.task.clear();
  dir.Write("m2m/generation_config.json", R"({"forced_bos_token_id": 135})");
  EXPECT_EQ(Answers(options), french);
}

}  // namespace
}  // namespace moefy::pipeline
