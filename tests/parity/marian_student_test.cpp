// Bergamot's students (Marian with SSRU), for which there is no reference class: a small model of
// random weights against Marian's graph computed in numpy (marian_student.py, which printed the
// numbers below), and the published students against what their float computation gives.
#include <gtest/gtest.h>

#include <algorithm>
#include <cstdio>

#include "base/json.h"
#include "base/output.h"
#include "golden.h"
#include "moefy/base/strings.h"
#include "moefy/model/generation.h"
#include "moefy/text/tokenizer.h"
#include "support/random_model.h"
#include "support/shared_data.h"
#include "support/temp_dir.h"
#include "support/tolerances.h"
#include "task/translation_scores.h"

namespace moefy {
namespace {

namespace fs = std::filesystem;

constexpr int64_t kVocab = 13;

Json StudentConfig() {
  return {{"model_type", "marian-ssru"},
          {"architectures", {"BergamotTiny11 (no transformers class)"}},
          {"vocab_size", kVocab},
          {"d_model", 8},
          {"encoder_layers", 2},
          {"decoder_layers", 2},
          {"encoder_attention_heads", 2},
          {"decoder_attention_heads", 2},
          {"encoder_ffn_dim", 12},
          {"decoder_ffn_dim", 10},
          {"activation_function", "relu"},
          {"decoder_autoreg", "ssru"},
          {"eos_token_id", 0}};
}

// The weights of marian_student.py, by its formula.
void WriteStudent(const fs::path& directory) {
  const Json config = StudentConfig();
  model::TensorMap tensors = tests::RandomParameters(config);  // sorted by name, for the shapes
  double place = 0;
  for (auto& [name, tensor] : tensors) {
    ++place;
    const at::Tensor count = at::arange(1, tensor.numel() + 1, at::kDouble);
    const at::Tensor noise = 43758.5453 * at::sin(12.9898 * count + 78.233 * place);
    const at::Tensor values = noise - at::floor(noise) - (name.ends_with("_scale") ? -0.5 : 0.5);
    tensor = values.to(at::kFloat).view(tensor.sizes());
  }
  tests::WriteModel(config, tensors, directory);
}

// The logits of marian_student.py for its two pairs of texts.
constexpr double kFirst[4][kVocab] = {
    {-2.00477, 0.35711, 0.98626, 1.96414, -0.33323, -1.51142, -1.43335, 0.37343, 0.44308, -0.99929,
     0.94706, 0.58308, -0.39557},
    {-1.98856, 0.00491, 1.56730, 2.18094, 0.54389, -1.03274, -0.92641, -0.42509, 0.09160, -1.66724,
     0.95656, 0.92764, -0.20499},
    {-2.02839, 0.11938, 1.48357, 2.31653, 0.49695, -0.90852, -1.00158, -0.35815, 0.13371, -1.65369,
     1.09881, 1.04860, -0.12709},
    {-2.04284, 0.43851, 1.06625, 2.39847, 0.08323, -0.86991, -0.93332, 0.06507, 0.43552, -1.72689,
     1.26536, 1.48753, 0.27827},
};
constexpr double kSecond[5][kVocab] = {
    {-0.71934, 0.15866, -0.49827, -0.12914, -1.15948, -1.32996, -0.95867, 0.66324, 0.66078, 0.23319,
     0.14191, -0.99175, -1.03025},
    {-0.10505, -0.68071, -0.09706, -0.94476, -0.51124, -1.07942, 0.40093, -0.02336, 0.31327,
     -0.01894, -0.45393, -1.23090, -1.01348},
    {-0.23969, -0.07803, -0.98915, -0.88766, -1.17891, -0.83132, 0.11312, 0.10235, 0.87547,
     -0.40929, -0.05605, -1.29159, -0.59979},
    {-1.99646, 0.05567, 1.75525, 2.47214, 0.49946, -0.85136, -0.97242, -0.01200, 0.05306, -1.00860,
     1.31061, 1.20850, -0.31646},
    {-0.72447, 0.10196, -0.30045, -0.17560, -0.88359, -1.02600, -0.92804, 0.17478, 0.70205, 0.11503,
     0.41863, -1.21927, -1.22546},
};

void ExpectLogits(const at::Tensor& found, const double* wanted) {
  const at::Tensor want = at::from_blob(const_cast<double*>(wanted), found.sizes(), at::kDouble);
  EXPECT_LT((found - want).abs().max().item<double>(), tests::kReferenceAbsolute);
}

TEST(MarianStudent, GivesTheLogitsOfItsGraph) {
  const at::NoGradGuard no_grad;
  const tests::TempDir dir;
  WriteStudent(dir.path());
  std::vector<std::string> warnings;
  model::Transformer student = model::LoadTransformer(io::Checkpoint::Open(dir.path()), &warnings);
  EXPECT_TRUE(warnings.empty()) << Join(warnings, "; ");
  // Padding of either side, in source and target; the first token of a target counts as zeros.
  model::ForwardInputs inputs;
  inputs.input_ids = at::tensor({3, 7, 2, 9, 0, 8, 8, 5, 1, 0}, at::kLong).view({2, 5});
  inputs.attention_mask = at::tensor({1, 1, 1, 1, 1, 0, 0, 1, 1, 1}, at::kLong).view({2, 5});
  inputs.decoder_input_ids = at::tensor({9, 5, 4, 4, 11, 5, 6, 12, 3, 8}, at::kLong).view({2, 5});
  inputs.decoder_attention_mask =
      at::tensor({0, 1, 1, 1, 1, 1, 1, 1, 1, 1}, at::kLong).view({2, 5});
  const at::Tensor logits = student.Forward(inputs).logits;
  ExpectLogits(logits[0].narrow(0, 1, 4), kFirst[0]);
  ExpectLogits(logits[1], kSecond[0]);
}

TEST(MarianStudent, GeneratesWhatItsGraphWould) {
  const at::NoGradGuard no_grad;
  const tests::TempDir dir;
  WriteStudent(dir.path());
  model::Transformer student = model::LoadTransformer(io::Checkpoint::Open(dir.path()));
  const model::GenerationOptions options{.max_new_tokens = 8, .eos_ids = {0}};
  const auto texts = model::Generate(student, {{3, 7, 2, 9, 0}, {5, 1, 0}}, options);
  EXPECT_EQ(texts[0], std::vector<int64_t>({3, 3, 3, 3, 3, 3, 3, 3}));
  EXPECT_EQ(texts[1], std::vector<int64_t>({7, 7, 7, 7, 3, 3, 3, 3}));
}

struct Keys {
  const char* key;
  Json value;
  const char* said;
};

TEST(MarianStudent, RefusesWhatIsComputedOtherwise) {
  const Keys kKeys[] = {{"decoder_autoreg", "self-attention", "the decoder would attend to itself"},
                        {"post_norm", false, "norms would be elsewhere"},
                        {"tie_word_embeddings", false, "is not supported"},
                        {"architectures", Json::array({"MarianMTModel"}), "a class of its own"}};
  EXPECT_NO_THROW(model::ParseModelConfig(StudentConfig(), "config.json"));
  for (const auto& [key, value, said] : kKeys) {
    Json config = StudentConfig();
    config[key] = value;
    try {
      model::ParseModelConfig(config, "config.json");
      ADD_FAILURE() << key << " was taken";
    } catch (const Error& error) {
      EXPECT_NE(std::string(error.what()).find(said), std::string::npos) << error.what();
    }
  }
}

}  // namespace
}  // namespace moefy
