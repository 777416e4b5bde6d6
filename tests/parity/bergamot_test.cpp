// The published students of Bergamot: what their float computation in numpy gives on the first 50
// FLORES pairs, again. Skipped without the models and the data.
#include <gtest/gtest.h>

#include <cstdio>

#include "base/output.h"
#include "moefy/base/strings.h"
#include "moefy/model/generation.h"
#include "moefy/text/tokenizer.h"
#include "support/shared_data.h"
#include "task/translation_scores.h"

namespace moefy {
namespace {

namespace fs = std::filesystem;

constexpr size_t kPairs = 50;

fs::path Flores() { return tests::SharedData() / "data" / "flores-en-pt"; }

std::vector<std::string> FirstLines(const fs::path& path) {
  std::vector<std::string> lines = Split(ReadTextFile(path), '\n');
  lines.resize(kPairs);
  return lines;
}

// Keeps the `count` neurons of each token whose outputs are longest.
class BestNeurons final : public model::FeedForward {
 public:
  BestNeurons(model::FfnWeights weights, int64_t count)
      : weights_(std::move(weights)), count_(count) {}
  at::Tensor Forward(const at::Tensor& x) override {
    const at::Tensor act = model::NeuronActivations(weights_, x);
    const at::Tensor lengths = act * weights_.w_out.norm(2, 1);
    const at::Tensor least = std::get<0>(lengths.topk(count_, 1)).select(1, count_ - 1);
    return at::matmul(act * (lengths >= least.unsqueeze(1)), weights_.w_out) + weights_.b_out;
  }

 private:
  model::FfnWeights weights_;
  int64_t count_;
};

struct Student {
  const char* directory;
  const char *source, *target;
  double nats[3];  // per token, with 1,536, 384 and 192 neurons
};

double NatsPerToken(model::Transformer& student, const text::Tokenizer& tokenizer,
                    const std::vector<std::string>& sources,
                    const std::vector<std::string>& targets) {
  double nats = 0;
  int64_t tokens = 0;
  for (size_t i = 0; i < sources.size(); ++i) {
    const std::vector<int64_t> labels = tokenizer.EncodeTarget(targets[i]).ids;
    std::vector<int64_t> decoder = {student.config().decoder_start_id};
    decoder.insert(decoder.end(), labels.begin(), labels.end() - 1);
    model::ForwardInputs inputs;
    inputs.input_ids = at::tensor(tokenizer.Encode(sources[i]).ids, at::kLong).unsqueeze(0);
    inputs.decoder_input_ids = at::tensor(decoder, at::kLong).unsqueeze(0);
    const at::Tensor shares = at::log_softmax(student.Forward(inputs).logits[0], 1);
    nats -= shares.gather(1, at::tensor(labels, at::kLong).unsqueeze(1)).sum().item<double>();
    tokens += static_cast<int64_t>(labels.size());
  }
  return nats / static_cast<double>(tokens);
}

TEST(BergamotStudents, CostWhatTheirFloatComputationCosts) {
  const Student kStudents[] = {{"bergamot-tiny-en-pt", "en", "pt", {1.7448, 1.7660, 2.8608}},
                               {"bergamot-tiny-pt-en", "pt", "en", {2.0304, 2.0685, 2.7663}}};
  const fs::path data = Flores();
  MOEFY_SKIP_WITHOUT(data);
  for (const Student& c : kStudents) MOEFY_SKIP_WITHOUT(tests::PretrainedModels() / c.directory);
  const at::NoGradGuard no_grad;
  for (const Student& c : kStudents) {
    SCOPED_TRACE(c.directory);
    const fs::path directory = tests::PretrainedModels() / c.directory;
    const io::Checkpoint checkpoint = io::Checkpoint::Open(directory);
    std::vector<std::string> warnings;
    model::Transformer student = model::LoadTransformer(checkpoint, &warnings);
    EXPECT_TRUE(warnings.empty()) << Join(warnings, "; ");
    const auto tokenizer = text::LoadTokenizer(directory);
    const auto sources = FirstLines(data / StrCat("flores-test.", c.source));
    const auto targets = FirstLines(data / StrCat("flores-test.", c.target));
    constexpr int64_t kNeurons[] = {1536, 384, 192};
    for (size_t k = 0; k < 3; ++k) {
      for (size_t i = 0; k > 0 && i < student.num_ffns(); ++i) {
        student.ExchangeFeedForward(
            i, std::make_unique<BestNeurons>(model::ReadFfnWeights(checkpoint, student.ffn_spec(i)),
                                             kNeurons[k]));
      }
      const double nats = NatsPerToken(student, *tokenizer, sources, targets);
      std::printf("%s, best %d neurons: %.4f nats per token\n", c.directory,
                  static_cast<int>(kNeurons[k]), nats);
      // Which neuron is the last of the best may hang on a rounding: 192 differ by 2.0e-4.
      EXPECT_NEAR(nats, c.nats[k], k == 2 ? 5e-4 : 2e-4);
    }
  }
}

TEST(BergamotStudents, TranslateAsWellAsTheirFloatComputation) {
  const fs::path directory = tests::PretrainedModels() / "bergamot-tiny-en-pt";
  const fs::path data = Flores();
  MOEFY_SKIP_WITHOUT(data);
  MOEFY_SKIP_WITHOUT(directory);
  const at::NoGradGuard no_grad;
  model::Transformer student = model::LoadTransformer(io::Checkpoint::Open(directory));
  const auto tokenizer = text::LoadTokenizer(directory);
  const auto targets = FirstLines(data / "flores-test.pt");
  std::vector<std::vector<int64_t>> prompts;
  for (const std::string& source : FirstLines(data / "flores-test.en")) {
    prompts.push_back(tokenizer->Encode(source).ids);
  }
  const model::GenerationOptions options{.max_new_tokens = 200, .eos_ids = {0}};
  const auto texts = model::Generate(student, prompts, options);
  std::vector<task::Translation> translations;
  for (size_t i = 0; i < texts.size(); ++i) {
    translations.push_back({tokenizer->Decode(texts[i]), {targets[i]}});
  }
  const double bleu = task::Bleu(translations).value;
  std::printf("BLEU %.2f, chrF %.2f\n", bleu, task::ChrF(translations).value);
  EXPECT_NEAR(bleu, 46.9, 0.06);  // known with one decimal
}

}  // namespace
}  // namespace moefy
