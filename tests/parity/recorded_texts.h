// Generated texts that the reference implementation has recorded, generate.json and
// generate_forced.json.
#pragma once

#include <gtest/gtest.h>

#include <filesystem>
#include <vector>

#include "base/json.h"
#include "moefy/model/generation.h"

namespace moefy::tests {

inline std::vector<int64_t> Ids(const Json& row) { return row.get<std::vector<int64_t>>(); }

inline int64_t IdOr(const Json& entry, const char* key, int64_t if_absent) {
  const auto found = entry.find(key);
  return found == entry.end() || found->is_null() ? if_absent : found->get<int64_t>();
}

inline model::GenerationOptions RecordedOptions(const Json& entry) {
  model::GenerationOptions options;
  options.max_new_tokens = entry.at("max_new_tokens").get<int64_t>();
  if (const int64_t eos = IdOr(entry, "eos_token_id", -1); eos >= 0) options.eos_ids = {eos};
  options.forced_bos_id = IdOr(entry, "forced_bos_token_id", -1);
  options.forced_eos_id = IdOr(entry, "forced_eos_token_id", -1);
  if (entry.contains("bad_words_ids") && !entry.at("bad_words_ids").is_null()) {
    for (const Json& word : entry.at("bad_words_ids"))
      options.banned_ids.push_back(Ids(word).at(0));
  }
  return options;
}

// Generates every text of a file again; how many those were.
inline int CompareWithRecordedTexts(model::Transformer& transformer,
                                    const std::filesystem::path& file) {
  const bool two_stacks = transformer.config().architecture == model::Architecture::kEncoderDecoder;
  int num_compared = 0;
  for (const Json& entry : ReadJsonFile(file)) {
    std::vector<std::vector<int64_t>> prompts;
    for (size_t row = 0; row < entry.at("input_ids").size(); ++row) {
      const std::vector<int64_t> ids = Ids(entry.at("input_ids")[row]);
      const std::vector<int64_t> mask = Ids(entry.at("attention_mask")[row]);
      std::vector<int64_t>& prompt = prompts.emplace_back();
      for (size_t i = 0; i < ids.size(); ++i) {
        if (mask[i] != 0) prompt.push_back(ids[i]);
      }
    }
    const model::GenerationOptions options = RecordedOptions(entry);
    std::vector<std::vector<int64_t>> heard(prompts.size());
    const auto texts =
        model::Generate(transformer, prompts, options, [&](size_t prompt_idx, int64_t token) {
          heard[prompt_idx].push_back(token);
          return true;
        });
    EXPECT_EQ(heard, texts);
    const size_t before = two_stacks ? 1 : entry.at("input_ids")[0].size();
    const int64_t pad = entry.at("pad_token_id").get<int64_t>();
    for (size_t row = 0; row < texts.size(); ++row) {
      std::vector<int64_t> want = Ids(entry.at("sequences")[row]);
      want.erase(want.begin(), want.begin() + static_cast<std::ptrdiff_t>(before));
      std::vector<int64_t> got = texts[row];
      EXPECT_LE(got.size(), want.size());
      got.resize(want.size(), pad);  // finished rows are padded in the record
      EXPECT_EQ(got, want) << file << " row " << row << " of " << entry.at("kind");
      ++num_compared;
    }
  }
  return num_compared;
}

}  // namespace moefy::tests
