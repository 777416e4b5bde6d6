// Tokenizers against outputs recorded from the reference implementation, line by line.
// The recordings lie outside the project (their vocabularies are third-party data).
#include <gtest/gtest.h>

#include <filesystem>
#include <functional>

#include "moefy/base/error.h"
#include "moefy/base/json.h"
#include "moefy/base/output.h"
#include "moefy/text/tokenizer.h"
#include "support/shared_data.h"

namespace moefy::text {
namespace {

namespace fs = std::filesystem;
using Ids = std::vector<int64_t>;

class TokenizerParity : public testing::TestWithParam<const char*> {
 protected:
  void SetUp() override {
    directory_ = tests::SharedData() / "goldens" / "tokenizers" / GetParam();
    MOEFY_SKIP_WITHOUT(directory_);
    meta_ = ReadJsonFile(directory_ / "meta.json");
    const std::string data_dir = JsonObject(meta_, "meta.json").GetString("data_dir");
    // Either "this directory ..." or a path relative to the golden.
    const fs::path data = data_dir.starts_with("..") ? directory_ / data_dir : directory_;
    tokenizer_ = LoadTokenizer(directory_, data);
    EXPECT_EQ(tokenizer_->vocab_size(), meta_.at("vocab_len").get<int64_t>());
  }

  // Calls `check(row)` for every line of `name`, stops at the first difference; returns the number
  // of rows.
  int64_t ForEachRow(const std::string& name, const std::function<void(const Json&)>& check) {
    int64_t line = 0;
    std::string text = ReadTextFile(directory_ / name);
    EXPECT_TRUE(text.ends_with('\n'));
    text.pop_back();
    for (const std::string& row_text : Split(text, '\n')) {
      ++line;
      const Json row = ParseJson(row_text);
      check(row);
      if (HasFailure()) {
        ADD_FAILURE() << (directory_ / name).string() << ": line " << line
                      << ": first difference, text " << Quoted(row.at("text").get<std::string>());
        break;
      }
    }
    return line;
  }

  bool has_pairs() const { return meta_.at("pairs").get<int64_t>() > 0; }

  Json meta_;
  fs::path directory_;
  std::unique_ptr<Tokenizer> tokenizer_;
};

TEST_P(TokenizerParity, Encode) {
  const int64_t num_rows = ForEachRow("encode.jsonl", [&](const Json& row) {
    const auto text = row.at("text").get<std::string>();
    const Ids ids = tokenizer_->Encode(text).ids;
    EXPECT_EQ(ids, row.at("ids").get<Ids>());
    if (row.contains("ids_nospecial")) {
      EXPECT_EQ(tokenizer_->Encode(text, {.add_special_tokens = false}).ids,
                row.at("ids_nospecial").get<Ids>());
    }
    const Ids wanted = row.at("ids").get<Ids>();
    EXPECT_EQ(tokenizer_->Decode(wanted, true), row.at("decoded").get<std::string>());
    EXPECT_EQ(tokenizer_->Decode(wanted, false), row.at("decoded_raw").get<std::string>());
  });
  EXPECT_EQ(num_rows, meta_.at("rows").get<int64_t>());
}

// One row of pairs.jsonl or truncate.jsonl; truncated rows are recorded padded to max_length.
void CheckRow(const Tokenizer& tokenizer, const Json& row) {
  EncodeOptions options;
  if (row.contains("max_length")) {
    options.max_tokens = row.at("max_length").get<int64_t>();
    const auto truncation = row.at("truncation").get<std::string>();
    ASSERT_TRUE(truncation == "longest_first" || truncation == "only_second") << truncation;
    if (truncation == "only_second") options.truncation = Truncation::kOnlySecond;
    ASSERT_EQ(row.at("padding").get<std::string>(), "max_length");
  }
  const auto text = row.at("text").get<std::string>();
  Encoding encoding =
      row.contains("text_pair")
          ? tokenizer.EncodePair(text, row.at("text_pair").get<std::string>(), options)
          : tokenizer.Encode(text, options);
  ASSERT_EQ(encoding.token_type_ids.size(), encoding.ids.size());
  Ids mask(encoding.ids.size(), 1);
  if (options.max_tokens > 0) {
    ASSERT_LE(encoding.ids.size(), static_cast<size_t>(options.max_tokens));
    encoding.ids.resize(static_cast<size_t>(options.max_tokens), tokenizer.pad_id());
    encoding.token_type_ids.resize(encoding.ids.size(), 0);
    mask.resize(encoding.ids.size(), 0);
  }
  EXPECT_EQ(encoding.ids, row.at("ids").get<Ids>());
  if (row.contains("attention_mask")) {
    EXPECT_EQ(mask, row.at("attention_mask").get<Ids>());
  }
  if (row.contains("token_type_ids")) {
    EXPECT_EQ(encoding.token_type_ids, row.at("token_type_ids").get<Ids>());
  }
}

TEST_P(TokenizerParity, Pairs) {
  if (!has_pairs()) return;  // recorded for the default options only
  EXPECT_EQ(ForEachRow("pairs.jsonl", [&](const Json& row) { CheckRow(*tokenizer_, row); }),
            meta_.at("pairs").get<int64_t>());
}

TEST_P(TokenizerParity, Truncate) {
  if (!has_pairs()) return;
  EXPECT_GT(ForEachRow("truncate.jsonl", [&](const Json& row) { CheckRow(*tokenizer_, row); }), 1);
}

INSTANTIATE_TEST_SUITE_P(Recorded, TokenizerParity,
                         testing::Values("t5", "t5-legacy-false", "bert-base-uncased",
                                         "bert-options-lower-keepaccents",
                                         "bert-options-nolower-nochinese"),
                         [](const auto& test) { return ReplaceAll(test.param, "-", "_"); });

}  // namespace
}  // namespace moefy::text
