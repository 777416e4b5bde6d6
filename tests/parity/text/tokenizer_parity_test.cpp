// Tokenizers against outputs recorded from the reference implementation, line by line.
// The recordings lie outside the project (their vocabularies are third-party data).
#include <gtest/gtest.h>

#include <filesystem>
#include <functional>

#include "base/json.h"
#include "base/output.h"
#include "moefy/base/error.h"
#include "moefy/text/tokenizer.h"
#include "support/shared_data.h"
#include "support/temp_dir.h"
#include "text/stream_decoder.h"

namespace moefy::text {
namespace {

namespace fs = std::filesystem;
using Ids = std::vector<int64_t>;

class RecordedTokenizer : public testing::TestWithParam<const char*> {
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

TEST_P(RecordedTokenizer, Encode) {
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

// Streaming gives the same text, in pieces that hold no half character.
TEST_P(RecordedTokenizer, Stream) {
  ForEachRow("encode.jsonl", [&](const Json& row) {
    StreamDecoder decoder(*tokenizer_);
    std::string text;
    for (const int64_t id : row.at("ids").get<Ids>()) {
      const std::string piece = decoder.Push(id);
      EXPECT_TRUE(IsValidUtf8(piece));
      text += piece;
    }
    text += decoder.Finish();
    EXPECT_EQ(text, row.at("decoded").get<std::string>());
  });
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

TEST_P(RecordedTokenizer, Pairs) {
  if (!has_pairs()) return;  // recorded for the default options only
  EXPECT_EQ(ForEachRow("pairs.jsonl", [&](const Json& row) { CheckRow(*tokenizer_, row); }),
            meta_.at("pairs").get<int64_t>());
}

TEST_P(RecordedTokenizer, Truncate) {
  if (!fs::exists(directory_ / "truncate.jsonl")) return;  // recorded for some
  EXPECT_GT(ForEachRow("truncate.jsonl", [&](const Json& row) { CheckRow(*tokenizer_, row); }), 1);
}

INSTANTIATE_TEST_SUITE_P(TokenizerParity, RecordedTokenizer,
                         testing::Values("t5", "t5-legacy-false", "bert-base-uncased",
                                         "bert-options-lower-keepaccents",
                                         "bert-options-nolower-nochinese", "gpt2",
                                         "gpt2-add_prefix_space-bos", "roberta-synthetic-vocab",
                                         "qwen2-regex-on-gpt2-data", "llama-sp-mistral-v3",
                                         "llama-sp-legacy-false-eos"),
                         [](const auto& test) { return ReplaceAll(test.param, "-", "_"); });

// The same vocabularies through a tokenizer.json, which is another way into the same models. The
// recordings are of the slow tokenizers, which agree with the fast ones on ids where no special
// token stands in the text.
struct Converted {
  const char* directory;
  std::function<Json(const fs::path& data, const Json& vocabulary)> make;  // the tokenizer.json
};

Json ReadVocabulary(const fs::path& data) {
  if (fs::exists(data / "vocab.json")) return ReadJsonFile(data / "vocab.json");
  Json vocabulary = Json::object();
  std::string text = ReadTextFile(data / "vocab.txt");
  text.pop_back();
  int64_t id = 0;
  auto& members = vocabulary.get_ref<Json::object_t&>();
  for (const std::string& token : Split(text, '\n')) members.Container::emplace_back(token, id++);
  return vocabulary;
}

Json ByteLevelJson(const fs::path& data, const Json& vocabulary, const Json& pre_tokenizer) {
  Json merges = Json::array();
  for (const std::string& line : Split(ReadTextFile(data / "merges.txt"), '\n')) {
    if (!line.empty() && !line.starts_with("#version")) merges.push_back(line);
  }
  return {{"model", {{"type", "BPE"}, {"vocab", vocabulary}, {"merges", merges}}},
          {"pre_tokenizer", pre_tokenizer},
          {"decoder", {{"type", "ByteLevel"}}}};
}

const Converted kConverted[] = {
    {"gpt2",
     [](const fs::path& data, const Json& vocabulary) {
       return ByteLevelJson(data, vocabulary, {{"type", "ByteLevel"}, {"add_prefix_space", false}});
     }},
    {"qwen2-regex-on-gpt2-data",
     [](const fs::path& data, const Json& vocabulary) {
       const Json split = {{"type", "Split"},
                           {"behavior", "Isolated"},
                           {"pattern",
                            {{"Regex",
                              "(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\\r\\n\\p{L}\\p{N}]?\\p{L}+|\\p{N}| ?"
                              "[^\\s\\p{L}\\p{N}]+[\\r\\n]*|\\s*[\\r\\n]+|\\s+(?!\\S)|\\s+"}}}};
       const Json bytes = {
           {"type", "ByteLevel"}, {"add_prefix_space", false}, {"use_regex", false}};
       Json json =
           ByteLevelJson(data, vocabulary,
                         {{"type", "Sequence"}, {"pretokenizers", Json::array({split, bytes})}});
       json["normalizer"] = {{"type", "NFC"}};
       return json;
     }},
    {"bert-base-uncased",
     [](const fs::path&, const Json& vocabulary) {
       return Json{{"model", {{"type", "WordPiece"}, {"vocab", vocabulary}}},
                   {"normalizer", {{"type", "BertNormalizer"}}},
                   {"pre_tokenizer", {{"type", "BertPreTokenizer"}}},
                   {"decoder", {{"type", "WordPiece"}}},
                   {"post_processor",
                    {{"type", "BertProcessing"},
                     {"cls", Json::array({"[CLS]", 101})},
                     {"sep", Json::array({"[SEP]", 102})}}}};
     }},
};

TEST(TokenizerParity, TokenizerJson) {
  for (const Converted& converted : kConverted) {
    SCOPED_TRACE(converted.directory);
    const fs::path directory = tests::SharedData() / "goldens" / "tokenizers" / converted.directory;
    MOEFY_SKIP_WITHOUT(directory);
    fs::path data = directory;
    if (!fs::exists(data / "vocab.json") && !fs::exists(data / "vocab.txt"))
      data = data / "../gpt2";
    const tests::TempDir temp;
    temp.Write("tokenizer.json", FormatJson(converted.make(data, ReadVocabulary(data))));
    const auto tokenizer = LoadTokenizer(temp.path());
    int64_t num_rows = 0;
    std::string rows = ReadTextFile(directory / "encode.jsonl");
    rows.pop_back();
    for (const std::string& line : Split(rows, '\n')) {
      const Json row = ParseJson(line);
      const auto text = row.at("text").get<std::string>();
      bool has_special = false;
      for (const char* special : {"<|endoftext|>", "<s>", "</s>", "<unk>", "<pad>", "<mask>",
                                  "[CLS]", "[SEP]", "[PAD]", "[UNK]", "[MASK]"}) {
        has_special = has_special || text.find(special) != std::string::npos;
      }
      if (has_special) continue;
      ++num_rows;
      EXPECT_EQ(tokenizer->Encode(text).ids, row.at("ids").get<Ids>()) << Quoted(text);
    }
    EXPECT_GT(num_rows, 150);
  }
}

// The figure in its README: five stories, at most 512 tokens of each, without the BOS in front.
TEST(TokenizerParity, Stories260k) {
  const fs::path directory = tests::SharedData() / "checkpoints" / "stories260k";
  const fs::path stories = tests::SharedData() / "data" / "tinystories" / "tinystories_sample.txt";
  MOEFY_SKIP_WITHOUT(directory);
  MOEFY_SKIP_WITHOUT(stories);
  const auto tokenizer = LoadTokenizer(directory);
  EXPECT_EQ(tokenizer->vocab_size(), 512);
  size_t num_tokens = 0, num_stories = 0;
  std::string rest = ReplaceAll(ReadTextFile(stories), "<|endoftext|>", std::string(1, '\0'));
  for (const std::string& part : Split(rest, '\0')) {
    const std::string story = Trim(part);
    if (story.empty()) continue;
    ++num_stories;
    const Ids ids = tokenizer->Encode(story, {.max_tokens = 512}).ids;
    EXPECT_EQ(ids[0], 1);
    num_tokens += ids.size() - 1;  // those that are predicted
    const Ids all = tokenizer->Encode(story).ids;
    EXPECT_EQ(tokenizer->Decode(all), story);
  }
  EXPECT_EQ(num_stories, 5u);
  EXPECT_EQ(num_tokens, 1804u);
}

TEST(TokenizerParity, Transliteration) {
  const fs::path directory = tests::SharedData() / "checkpoints" / "aren-transliteration";
  MOEFY_SKIP_WITHOUT(directory);
  const Json config = ReadJsonFile(directory / "config.json");
  const auto tokenizer = LoadTokenizer(directory);
  EXPECT_EQ(tokenizer->vocab_size(), config.at("source_vocab_size").get<int64_t>());
  EXPECT_EQ(tokenizer->Encode("\u064A\u0627!").ids,
            (Ids{3, 4, config.at("source_unk_token_id").get<int64_t>()}));
  const Ids target = tokenizer->EncodeTarget("atzmon!").ids;
  EXPECT_EQ(target[6], config.at("target_unk_token_id").get<int64_t>());
  EXPECT_EQ(target.back(), config.at("eos_token_id").get<int64_t>());
  EXPECT_EQ(tokenizer->Decode(target), "atzmon");
}

}  // namespace
}  // namespace moefy::text
