// Real trained models of the shared data: what they are published to reach, reached again. Skipped
// without the shared data.
#include <gtest/gtest.h>

#include <algorithm>
#include <map>

#include "golden.h"
#include "moefy/base/output.h"
#include "moefy/base/strings.h"
#include "moefy/model/generation.h"
#include "support/shared_data.h"

namespace moefy {
namespace {

namespace fs = std::filesystem;

std::vector<std::string> Lines(const fs::path& path) {
  std::vector<std::string> lines = Split(ReadTextFile(path), '\n');
  while (!lines.empty() && lines.back().empty()) lines.pop_back();
  return lines;
}

std::vector<std::string> Characters(const std::string& text) {
  std::vector<std::string> characters;
  for (const char c : text) {
    const bool continues = (static_cast<unsigned char>(c) & 0xC0) == 0x80;
    if (continues && !characters.empty()) {
      characters.back() += c;
    } else {
      characters.emplace_back(1, c);
    }
  }
  return characters;
}

// One token per character, its line number in a file.
class CharacterVocabulary {
 public:
  CharacterVocabulary(const fs::path& path, int64_t unknown) : unknown_(unknown) {
    for (const std::string& line : Lines(path)) {
      ids_.emplace(line, static_cast<int64_t>(characters_.size()));
      characters_.push_back(line);
    }
  }
  std::vector<int64_t> Encode(const std::string& text) const {
    std::vector<int64_t> ids;
    for (const std::string& character : Characters(text)) {
      const auto found = ids_.find(character);
      ids.push_back(found == ids_.end() ? unknown_ : found->second);
    }
    return ids;
  }

 private:
  int64_t unknown_;
  std::vector<std::string> characters_;
  std::map<std::string, int64_t> ids_;
};

size_t EditDistance(const std::vector<int64_t>& a, const std::vector<int64_t>& b) {
  std::vector<size_t> row(b.size() + 1);
  for (size_t j = 0; j <= b.size(); ++j) row[j] = j;
  for (size_t i = 0; i < a.size(); ++i) {
    size_t diagonal = row[0];
    row[0] = i + 1;
    for (size_t j = 0; j < b.size(); ++j) {
      const size_t replaced = diagonal + (a[i] != b[j]);
      diagonal = row[j + 1];
      row[j + 1] = std::min({replaced, row[j] + 1, row[j + 1] + 1});
    }
  }
  return row.back();
}

TEST(TrainedModels, TransliterationReachesItsPublishedAccuracy) {
  const fs::path directory = tests::SharedData() / "checkpoints" / "aren-transliteration";
  const fs::path data = tests::SharedData() / "data" / "ar2en" / "ar2en-test.txt";
  if (!fs::exists(directory) || !fs::exists(data)) GTEST_SKIP() << "no " << directory;
  const at::NoGradGuard no_grad;
  model::Transformer transformer = model::LoadTransformer(io::Checkpoint::Open(directory));
  const CharacterVocabulary source(directory / "source_vocab.txt", 50);
  const CharacterVocabulary target(directory / "target_vocab.txt", 42);
  const char* step_text = std::getenv("MOEFY_EVERY");
  const size_t step = step_text ? std::stoul(step_text) : 1;

  std::vector<std::vector<int64_t>> prompts, wanted;
  const std::vector<std::string> lines = Lines(data);
  for (size_t i = 0; i < lines.size(); i += step) {
    const std::vector<std::string> pair = Split(lines[i], '\t');
    prompts.push_back(source.Encode(pair.at(0)));
    wanted.push_back(target.Encode(pair.at(1)));
  }
  model::GenerationOptions options;
  options.max_new_tokens = 40;
  options.eos_ids = {2};
  size_t exact = 0, errors = 0, length = 0, right = 0, predicted = 0;
  constexpr size_t kBatch = 64;
  for (size_t begin = 0; begin < prompts.size(); begin += kBatch) {
    const auto first = static_cast<std::ptrdiff_t>(begin);
    const auto last = static_cast<std::ptrdiff_t>(std::min(prompts.size(), begin + kBatch));
    const std::vector<std::vector<int64_t>> batch(prompts.begin() + first, prompts.begin() + last);
    const auto texts = model::Generate(transformer, batch, options);
    for (size_t i = 0; i < texts.size(); ++i) {
      std::vector<int64_t> got = texts[i];
      if (!got.empty() && got.back() == 2) got.pop_back();
      const std::vector<int64_t>& want = wanted[begin + i];
      exact += got == want;
      errors += EditDistance(got, want);
      length += want.size();
      // The next character, given the right ones before it.
      std::vector<int64_t> decoder = {1}, labels = want;
      decoder.insert(decoder.end(), want.begin(), want.end());
      labels.push_back(2);
      model::ForwardInputs inputs;
      inputs.input_ids = at::tensor(batch[i], at::kLong).unsqueeze(0);
      inputs.decoder_input_ids = at::tensor(decoder, at::kLong).unsqueeze(0);
      const at::Tensor best = transformer.Forward(inputs).logits[0].argmax(1);
      right += static_cast<size_t>((best == at::tensor(labels, at::kLong)).sum().item<int64_t>());
      predicted += labels.size();
    }
  }
  const auto percent = [](size_t part, size_t whole) {
    return 100.0 * static_cast<double>(part) / static_cast<double>(whole);
  };
  std::printf("%zu words: exact %.2f %%, character error rate %.2f %%, next character %.2f %%\n",
              prompts.size(), percent(exact, prompts.size()), percent(errors, length),
              percent(right, predicted));
  const double tolerance = step == 1 ? 0.06 : 4;  // published with one decimal, for all words
  EXPECT_NEAR(percent(exact, prompts.size()), 22.1, tolerance);
  EXPECT_NEAR(percent(errors, length), 22.6, tolerance);
  EXPECT_NEAR(percent(right, predicted), 80.9, tolerance);
}

TEST(TrainedModels, StoriesContinueAsRecorded) {
  const fs::path directory = tests::SharedData() / "checkpoints" / "stories260k";
  if (!fs::exists(directory)) GTEST_SKIP() << "no " << directory;
  const io::Checkpoint checkpoint = io::Checkpoint::Open(directory);
  model::Transformer transformer = model::LoadTransformer(checkpoint);
  EXPECT_EQ(tests::CompareWithGolden(transformer, checkpoint, directory / "golden.safetensors"), 1);
  const at::Tensor recorded = tests::ReadGolden(directory / "golden.safetensors").at("greedy")[0];
  const std::vector<int64_t> text(recorded.data_ptr<int64_t>(),
                                  recorded.data_ptr<int64_t>() + recorded.numel());
  constexpr int64_t kNew = 60;
  const std::vector<int64_t> prompt(text.begin(), text.end() - kNew);
  const auto texts = model::Generate(transformer, {prompt}, {.max_new_tokens = kNew});
  EXPECT_EQ(texts[0], std::vector<int64_t>(text.end() - kNew, text.end()));
}

}  // namespace
}  // namespace moefy
