#include "text/tokenizer_kinds.h"

#include <gtest/gtest.h>

#include <map>

#include "support/expect_error.h"
#include "support/temp_dir.h"
#include "text/stream_decoder.h"
#include "tiny_models.h"

namespace moefy::text {
namespace {

using Ids = std::vector<int64_t>;
using Parts = std::map<std::string, std::string>;  // members of tokenizer.json, as JSON

std::string WordLevel(const std::vector<std::string>& words) {
  std::string vocab = R"("?": 0)";
  for (size_t i = 0; i < words.size(); ++i) vocab += StrCat(", \"", words[i], "\": ", i + 1);
  return R"({"type": "WordLevel", "unk_token": "?", "vocab": {)" + vocab + "}}";
}

std::string ByteLevelBpe() {
  return R"({"type": "BPE", "unk_token": "<unk>", "merges": ["a b", "Ġ ab", ["ab", "c"], "a a"],
             "vocab": )" +
         std::string(kTinyVocabJson) + "}";
}

std::unique_ptr<Tokenizer> LoadPipeline(const Parts& parts, std::string_view config = "{}") {
  const tests::TempDir dir;
  std::vector<std::string> members = {R"("version": "1.0", "truncation": null)"};
  for (const auto& [key, value] : parts) members.push_back("\"" + key + "\": " + value);
  dir.Write("tokenizer.json", "{" + Join(members) + "}");
  dir.Write("tokenizer_config.json", config);
  return LoadTokenizer(dir.path());
}

// The words that a pre-tokenizer makes of `text`; those it must know are its vocabulary.
std::vector<std::string> Words(const std::string& pre_tokenizer, const std::string& text,
                               const std::vector<std::string>& known) {
  const auto tokenizer =
      LoadPipeline({{"model", WordLevel(known)}, {"pre_tokenizer", pre_tokenizer}});
  std::vector<std::string> words;
  for (const int64_t id : tokenizer->Encode(text).ids) {
    words.push_back(id == 0 ? "?" : known[static_cast<size_t>(id) - 1]);
  }
  return words;
}

std::string Normalized(const std::string& normalizer, const std::string& text) {
  // One token a character, so that decoding gives the normalised text back.
  std::string vocab = R"("?": 0)";
  int id = 0;
  for (const char* c : {"a", "b", "é", "e", " ", "x", "_", "fi", "f", "i", "1", "日"}) {
    vocab += StrCat(", \"", c, "\": ", ++id);
  }
  return LoadPipeline({{"model", R"({"type": "BPE", "unk_token": "?", "merges": [], "vocab": {)" +
                                     vocab + "}}"},
                       {"normalizer", normalizer},
                       {"decoder", R"({"type": "Fuse"})"}})
      ->Decode(
          LoadPipeline({{"model", R"({"type": "BPE", "unk_token": "?", "merges": [], "vocab": {)" +
                                      vocab + "}}"},
                        {"normalizer", normalizer}})
              ->Encode(text)
              .ids,
          /*skip_special_tokens=*/false);
}

TEST(PipelineTokenizer, Llama3) {
  const auto tokenizer = LoadPipeline(
      {{"model", ByteLevelBpe()},
       {"pre_tokenizer",
        R"({"type": "Sequence", "pretokenizers": [
             {"type": "Split", "behavior": "Isolated", "invert": false, "pattern": {"Regex":
              "(?i:'s|'t)|[^\\r\\n\\p{L}\\p{N}]?\\p{L}+|\\p{N}{1,3}| ?[^\\s\\p{L}\\p{N}]+[\\r\\n]*|\\s+"}},
             {"type": "ByteLevel", "add_prefix_space": false, "use_regex": false}]})"},
       {"post_processor",
        R"({"type": "Sequence", "processors": [{"type": "ByteLevel"},
             {"type": "TemplateProcessing",
              "single": [{"SpecialToken": {"id": "<s>", "type_id": 0}},
                         {"Sequence": {"id": "A", "type_id": 0}}],
              "pair": [{"SpecialToken": {"id": "<s>", "type_id": 0}},
                       {"Sequence": {"id": "A", "type_id": 0}},
                       {"SpecialToken": {"id": "<s>", "type_id": 1}},
                       {"Sequence": {"id": "B", "type_id": 1}}],
              "special_tokens": {"<s>": {"id": "<s>", "ids": [0], "tokens": ["<s>"]}}}]})"},
       {"decoder", R"({"type": "ByteLevel"})"},
       {"added_tokens", R"([{"id": 0, "content": "<s>", "special": true, "normalized": false},
                            {"id": 30, "content": "<|eot|>", "special": true}])"}},
      R"({"tokenizer_class": "PreTrainedTokenizerFast", "eos_token": "<|eot|>"})");
  EXPECT_EQ(tokenizer->Encode("ab abc é").ids, (Ids{0, 9, 10, 8, 5, 12, 13}));
  EXPECT_EQ(tokenizer->Encode("a<|eot|>b").ids, (Ids{0, 6, 30, 7}));
  EXPECT_EQ(tokenizer->EncodePair("a", "b").ids, (Ids{0, 6, 0, 7}));
  EXPECT_EQ(tokenizer->EncodePair("a", "b").token_type_ids, (Ids{0, 0, 1, 1}));
  EXPECT_EQ(tokenizer->Decode({0, 9, 10, 8, 5, 12, 13, 30}), "ab abc é");
  EXPECT_EQ(tokenizer->Decode({0, 9, 30}, false), "<s>ab<|eot|>");
  EXPECT_EQ(tokenizer->eos_id(), 30);
  EXPECT_EQ(tokenizer->pad_id(), 30);
  EXPECT_EQ(tokenizer->vocab_size(), 31);
  tests::ExpectError(ErrorKind::kInput, {"token id 20 has no token"},
                     [&] { tokenizer->Decode({20}); });
}

TEST(PipelineTokenizer, Llama2) {
  const auto tokenizer = LoadPipeline(
      {{"model", R"({"type": "BPE", "byte_fallback": true, "fuse_unk": true, "unk_token": "<unk>",
                     "merges": ["a b", "▁ ab"],
                     "vocab": {"<unk>": 0, "<s>": 1, "<0xC3>": 2, "<0xA9>": 3, "▁": 4, "a": 5,
                               "b": 6, "ab": 7, "▁ab": 8}})"},
       {"normalizer", R"({"type": "Sequence", "normalizers": [
                          {"type": "Prepend", "prepend": "▁"},
                          {"type": "Replace", "pattern": {"String": " "}, "content": "▁"}]})"},
       {"decoder", R"({"type": "Sequence", "decoders": [
                       {"type": "Replace", "pattern": {"String": "▁"}, "content": " "},
                       {"type": "ByteFallback"}, {"type": "Fuse"},
                       {"type": "Strip", "content": " ", "start": 1, "stop": 0}]})"},
       {"added_tokens", R"([{"id": 1, "content": "<s>", "special": true},
                            {"id": 9, "content": "b b", "special": false, "normalized": true}])"}});
  EXPECT_EQ(tokenizer->Encode("ab é").ids, (Ids{8, 4, 2, 3}));
  EXPECT_EQ(tokenizer->Encode("üä").ids, (Ids{4, 0}));
  EXPECT_EQ(tokenizer->Encode("a<s>b").ids, (Ids{4, 5, 1, 4, 6}));
  EXPECT_EQ(tokenizer->Encode("b b").ids, Ids{9});  // looked for as "▁b▁b"
  EXPECT_EQ(tokenizer->Decode({8, 4, 2, 3}), "ab é");
  EXPECT_EQ(tokenizer->Decode({8, 2, 2}), "ab\uFFFD\uFFFD");
}

TEST(PipelineTokenizer, StreamsRunsOfBytes) {
  const auto tokenizer = LoadPipeline(
      {{"model", R"({"type": "WordLevel", "unk_token": "?", "vocab": {"?": 0, "a": 1, "<0xC3>": 2,
                     "<0xA9>": 3}})"},
       {"decoder", R"({"type": "ByteFallback"})"}});
  StreamDecoder decoder(*tokenizer);
  std::string text;
  for (const int64_t id : {1, 2, 3, 2, 3, 1}) text += decoder.Push(id);
  EXPECT_EQ(text + decoder.Finish(), "aééa");
  EXPECT_EQ(decoder.Push(2), "");
  EXPECT_EQ(decoder.Push(3), "é");
  EXPECT_EQ(decoder.Push(2), "");
  // Together the three bytes are no text, so that each of them is one U+FFFD.
  EXPECT_EQ(tokenizer->Decode({2, 3, 2}), "\uFFFD\uFFFD\uFFFD");
  EXPECT_EQ(decoder.Finish(), "\uFFFD\uFFFD\uFFFD");
}

TEST(PipelineTokenizer, LlamasConfigurationGoesFirst) {
  const Parts parts = {{"model", WordLevel({"<s>", "</s>", "a"})}};
  EXPECT_EQ(
      LoadPipeline(parts, R"({"tokenizer_class": "PreTrainedTokenizerFast"})")->Encode("a").ids,
      Ids{3});
  EXPECT_EQ(LoadPipeline(parts, R"({"tokenizer_class": "LlamaTokenizerFast", "bos_token": "<s>",
                            "eos_token": "</s>", "add_eos_token": true})")
                ->Encode("a")
                .ids,
            (Ids{1, 3, 2}));
  EXPECT_EQ(LoadPipeline(parts, R"({"tokenizer_class": "LlamaTokenizer", "add_bos_token": false})")
                ->Encode("a")
                .ids,
            Ids{3});
  tests::ExpectError(ErrorKind::kInput, {"add_bos_token is true, but there is no bos_token"},
                     [&] { LoadPipeline(parts, R"({"tokenizer_class": "LlamaTokenizer"})"); });
}

TEST(PipelineTokenizer, Bert) {
  const auto tokenizer = LoadPipeline(
      {{"model", R"({"type": "WordPiece", "unk_token": "[UNK]", "max_input_chars_per_word": 5,
                     "vocab": {"[UNK]": 0, "[CLS]": 1, "[SEP]": 2, "cat": 3, "##s": 4, "!": 5}})"},
       {"normalizer", R"({"type": "BertNormalizer", "strip_accents": null, "lowercase": true})"},
       {"pre_tokenizer", R"({"type": "BertPreTokenizer"})"},
       {"post_processor",
        R"({"type": "BertProcessing", "sep": ["[SEP]", 2], "cls": ["[CLS]", 1]})"},
       {"decoder", R"({"type": "WordPiece", "prefix": "##", "cleanup": true})"},
       {"added_tokens", R"([{"id": 1, "content": "[CLS]", "special": true},
                            {"id": 2, "content": "[SEP]", "special": true}])"}});
  EXPECT_EQ(tokenizer->Encode("Cäts!\tdog catsss").ids, (Ids{1, 3, 4, 5, 0, 0, 2}));
  EXPECT_EQ(tokenizer->EncodePair("cat", "cats").ids, (Ids{1, 3, 2, 3, 4, 2}));
  EXPECT_EQ(tokenizer->EncodePair("cat", "cats").token_type_ids, (Ids{0, 0, 0, 1, 1, 1}));
  EXPECT_EQ(tokenizer->Decode({1, 3, 4, 5, 3, 2}), "cats! cat");
  EXPECT_EQ(tokenizer->Encode("cats", {.max_tokens = 3}).ids, (Ids{1, 3, 2}));
}

TEST(PipelineTokenizer, RobertaProcessing) {
  const auto tokenizer = LoadPipeline(
      {{"model", ByteLevelBpe()},
       {"pre_tokenizer", R"({"type": "ByteLevel", "add_prefix_space": true})"},
       {"post_processor", R"({"type": "RobertaProcessing", "sep": ["</s>", 2], "cls": ["<s>", 0],
                              "trim_offsets": true, "add_prefix_space": true})"}});
  EXPECT_EQ(tokenizer->Encode("ab ab").ids, (Ids{0, 10, 10, 2}));
  EXPECT_EQ(tokenizer->EncodePair("ab", "ab").ids, (Ids{0, 10, 2, 2, 10, 2}));
}

TEST(PipelineTokenizer, Unigram) {
  const auto tokenizer = LoadPipeline(
      {{"model", R"({"type": "Unigram", "unk_id": 0, "vocab": [["<unk>", 0], ["▁", -3],
                     ["▁the", -1], ["a", -4], ["b", -4], ["ab", -5]]})"},
       {"pre_tokenizer", R"({"type": "Metaspace", "replacement": "▁", "add_prefix_space": true})"},
       {"decoder", R"({"type": "Metaspace", "replacement": "▁", "add_prefix_space": true})"}});
  EXPECT_EQ(tokenizer->Encode("the ab zé").ids, (Ids{2, 1, 5, 1, 0}));
  EXPECT_EQ(tokenizer->Decode({2, 1, 5}), "the ab");
}

TEST(PipelineTokenizer, Normalizers) {
  EXPECT_EQ(Normalized(R"({"type": "NFC"})", "e\u0301"), "é");
  EXPECT_EQ(Normalized(R"({"type": "NFD"})", "é"), "e?");
  EXPECT_EQ(Normalized(R"({"type": "NFKC"})", "ﬁ"), "fi");
  EXPECT_EQ(Normalized(R"({"type": "NFKD"})", "ﬁé"), "fie?");
  EXPECT_EQ(Normalized(R"({"type": "Lowercase"})", "AÉ"), "aé");
  EXPECT_EQ(Normalized(R"({"type": "StripAccents"})", "e\u0301é"), "eé");
  EXPECT_EQ(Normalized(R"({"type": "Strip", "strip_left": true, "strip_right": false})", "  a "),
            "a ");
  EXPECT_EQ(
      Normalized(R"({"type": "Replace", "pattern": {"Regex": " +"}, "content": "_"})", "a   b a"),
      "a_b_a");
  EXPECT_EQ(Normalized(R"({"type": "BertNormalizer", "lowercase": false, "strip_accents": true})",
                       "a\té日"),
            "a e 日 ");
  // The map of TinyCharsmap in base64 would be long; an empty one changes nothing.
  EXPECT_EQ(Normalized(R"({"type": "Precompiled", "precompiled_charsmap": ""})", "ab"), "ab");
}

TEST(PipelineTokenizer, PreTokenizers) {
  using Strings = std::vector<std::string>;
  EXPECT_EQ(Words(R"({"type": "Digits", "individual_digits": true})", "a12", {"a", "1", "2"}),
            (Strings{"a", "1", "2"}));
  EXPECT_EQ(Words(R"({"type": "Digits"})", "a12", {"a", "12"}), (Strings{"a", "12"}));
  EXPECT_EQ(Words(R"({"type": "Punctuation"})", "a!;", {"a", "!", ";"}), (Strings{"a", "!", ";"}));
  EXPECT_EQ(Words(R"({"type": "Punctuation", "behavior": "Contiguous"})", "a!,", {"a", "!,"}),
            (Strings{"a", "!,"}));
  EXPECT_EQ(Words(R"({"type": "Whitespace"})", "ab !b", {"ab", "!", "b"}),
            (Strings{"ab", "!", "b"}));
  EXPECT_EQ(Words(R"({"type": "WhitespaceSplit"})", " a\t!b ", {"a", "!b"}), (Strings{"a", "!b"}));
  EXPECT_EQ(Words(R"({"type": "Metaspace", "replacement": "_", "prepend_scheme": "first"})", "a b",
                  {"_a", "_b"}),
            (Strings{"_a", "_b"}));
  EXPECT_EQ(Words(R"({"type": "Metaspace", "replacement": "_", "prepend_scheme": "never",
                      "split": false})",
                  "a b", {"a_b"}),
            (Strings{"a_b"}));
  const std::vector<std::pair<std::string, Strings>> behaviors = {
      {"Removed", {"a", "b", "c"}},
      {"Isolated", {"a", "-", "b", "-", "-", "c"}},
      {"MergedWithPrevious", {"a-", "b-", "-", "c"}},
      {"MergedWithNext", {"a", "-b", "-", "-c"}},
      {"Contiguous", {"a", "-", "b", "--", "c"}}};
  for (const auto& [behavior, words] : behaviors) {
    const std::string split =
        R"({"type": "Split", "pattern": {"String": "-"}, "behavior": ")" + behavior + "\"}";
    EXPECT_EQ(Words(split, "a-b--c", {"a", "b", "c", "-", "a-", "b-", "-b", "-c", "--"}), words)
        << behavior;
  }
  EXPECT_EQ(Words(R"({"type": "Split", "pattern": {"String": "-"}, "behavior": "Removed",
                      "invert": true})",
                  "a-b", {"-"}),
            (Strings{"-"}));
}

TEST(PipelineTokenizer, BpeDecoder) {
  EXPECT_EQ(LoadPipeline({{"model", WordLevel({"ab</w>", "a"})},
                          {"decoder", R"({"type": "BPEDecoder", "suffix": "</w>"})"}})
                ->Decode({2, 1, 1}),
            "aab ab");
}

TEST(PipelineTokenizer, RefusesWhatItDoesNotHave) {
  struct Bad {
    const char* key;
    const char* value;
    const char* fragment;
  };
  const std::string model = WordLevel({"a"});
  EXPECT_EQ(LoadPipeline({{"model", model}})->Encode("a").ids, Ids{1});
  for (const Bad& bad :
       {Bad{"model", R"({"type": "CharLevel"})",
            "model 'CharLevel' is not supported; supported: BPE"},
        Bad{"model", R"({"type": "BPE", "dropout": 0.1, "vocab": {"a": 0}, "merges": []})",
            "dropout is not supported"},
        Bad{"model", R"({"type": "BPE", "vocab": {"a": 0}, "merges": ["a a"]})",
            "model: merges: merge 1, 'a' with 'a': 'aa' is not in the vocabulary"},
        Bad{"model", R"({"type": "BPE", "vocab": {"a": 0}, "merges": ["aa"]})",
            "merges[0] is \"aa\"; expected two tokens"},
        Bad{"model", R"({"type": "BPE", "vocab": {"a": 0, "b": 0}, "merges": []})",
            "tokens 'a' and 'b' have the same id, 0"},
        Bad{"model", R"({"type": "Unigram", "unk_id": 5, "vocab": [["a", 0]]})",
            "unk_id is 5; expected a whole number from 0 to 0"},
        Bad{"model", R"({"type": "WordPiece", "vocab": {"a": 0}})", "'[UNK]' is not in the voc"},
        Bad{"normalizer", R"({"type": "Nmt"})", "normalizer: type: normalizer 'Nmt' is not supp"},
        Bad{"normalizer", R"({"type": "Precompiled", "precompiled_charsmap": "*"})", "base64"},
        Bad{"pre_tokenizer",
            R"({"type": "Sequence", "pretokenizers": [{"type": "UnicodeScripts"}]})",
            "pretokenizers[0]: type: pre-tokenizer 'UnicodeScripts' is not supported"},
        Bad{"pre_tokenizer",
            R"({"type": "Split", "behavior": "Isolated", "pattern": {"Regex": "(a"}})", "'(a'"},
        Bad{"pre_tokenizer", R"({"type": "Split", "pattern": {"String": "a"}, "behavior": "Cut"})",
            "behavior is 'Cut'; expected one of: Removed"},
        Bad{"pre_tokenizer", R"({"type": "Metaspace", "replacement": ""})", "replacement is empty"},
        Bad{"decoder", R"({"type": "CTC"})", "decoder 'CTC' is not supported; supported: BPEDec"},
        Bad{"post_processor", R"({"type": "Other"})", "post-processor 'Other' is not supported"},
        Bad{"post_processor", R"({"type": "BertProcessing", "sep": ["x", 9], "cls": ["y", 0]})",
            "post_processor: token id 9 is not in 0..1"},
        Bad{"post_processor",
            R"({"type": "TemplateProcessing", "pair": [], "special_tokens": {},
                "single": [{"SpecialToken": {"id": "<s>", "type_id": 0}}]})",
            "special_tokens: <s> is missing"},
        Bad{"added_tokens", R"([{"id": 7, "content": "a"}])", "'a' has id 1 in the vocabulary"},
        Bad{"added_tokens", R"([{"id": 7, "content": "b", "single_word": true}])", "single_word"},
        Bad{"added_tokens", R"([{"id": -7, "content": "b"}])", "id is -7"}}) {
    Parts parts = {{"model", model}};
    parts[bad.key] = bad.value;
    tests::ExpectError(ErrorKind::kInput, {"tokenizer.json", bad.fragment},
                       [&] { LoadPipeline(parts); });
  }
  tests::ExpectError(ErrorKind::kInput, {"tokenizer.json: model is missing"},
                     [] { LoadPipeline({}); });
}

// A changed byte is an Error or another tokenizer; never a crash, in reading or in use.
TEST(PipelineTokenizer, SurvivesEveryChangedByte) {
  const std::string good =
      R"({"model":{"type":"BPE","byte_fallback":true,"unk_token":"?","merges":["a b","ab c"],)"
      R"("vocab":{"?":0,"a":1,"b":2,"ab":3,"c":4,"abc":5}},"normalizer":{"type":"Sequence",)"
      R"("normalizers":[{"type":"Prepend","prepend":"a"},{"type":"NFC"}]},"pre_tokenizer":)"
      R"({"type":"Split","behavior":"Isolated","pattern":{"Regex":"\\s+|[a-c]+"}},)"
      R"("post_processor":{"type":"RobertaProcessing","sep":["b",2],"cls":["a",1]},)"
      R"("decoder":{"type":"Strip","content":"a","start":1,"stop":0},)"
      R"("added_tokens":[{"id":7,"content":"<s>","special":true,"lstrip":true}]})";
  const tests::TempDir dir;
  int num_read = 0, num_refused = 0;
  for (size_t i = 0; i < good.size(); ++i) {
    for (const char byte : {'0', '"'}) {
      std::string bytes = good;
      bytes[i] = byte;
      dir.Write("tokenizer.json", bytes);
      try {
        const auto tokenizer = LoadTokenizer(dir.path());
        tokenizer->Decode(tokenizer->EncodePair("abc <s>é", "a\xff").ids);
        ++num_read;
      } catch (const Error& error) {
        EXPECT_EQ(error.kind(), ErrorKind::kInput) << error.what();
        ++num_refused;
      }
    }
  }
  EXPECT_GT(num_read, 0);
  EXPECT_GT(num_refused, 0);
}

TEST(PipelineTokenizer, AnyClassWillDoWithATokenizerJson) {
  const tests::TempDir dir;
  dir.Write("vocab.json", kTinyVocabJson);
  dir.Write("merges.txt", kTinyMerges);
  dir.Write("tokenizer_config.json", R"({"tokenizer_class": "SomeTokenizer"})");
  tests::ExpectError(ErrorKind::kInput, {"'SomeTokenizer' is not supported with vocab.json"},
                     [&] { LoadTokenizer(dir.path()); });
  dir.Write("tokenizer.json", R"({"model": )" + WordLevel({"ab"}) + "}");
  EXPECT_EQ(LoadTokenizer(dir.path())->Encode("ab").ids, Ids{1});
}

// What transformers 5 writes: the file tells all, unless an option is there.
TEST(PipelineTokenizer, Transformers5) {
  const Parts parts = {{"model", ByteLevelBpe()},
                       {"pre_tokenizer", R"({"type": "ByteLevel", "add_prefix_space": false})"},
                       {"added_tokens", R"([{"id": 20, "content": "<x>", "special": true}])"},
                       {"post_processor",
                        R"({"type": "TemplateProcessing",
           "single": [{"Sequence": {"id": "A", "type_id": 0}},
                      {"SpecialToken": {"id": "</s>", "type_id": 0}}],
           "pair": [{"Sequence": {"id": "A", "type_id": 0}}, {"Sequence": {"id": "B", "type_id": 0}}],
           "special_tokens": {"</s>": {"id": "</s>", "ids": [2], "tokens": ["</s>"]}}})"}};
  const auto ids = [&](const char* config) {
    return LoadPipeline(parts, config)->Encode("ab<x>").ids;
  };
  EXPECT_EQ(ids(R"({"tokenizer_class": "TokenizersBackend", "backend": "tokenizers",
                    "extra_special_tokens": ["<x>"], "is_local": true})"),
            (Ids{9, 20, 2}));
  EXPECT_EQ(ids(R"({"tokenizer_class": "LlamaTokenizer", "backend": "tokenizers",
                    "bos_token": "<s>", "extra_special_tokens": {"image_token": "<x>"}})"),
            (Ids{9, 20, 2}));
  EXPECT_EQ(ids(R"({"tokenizer_class": "LlamaTokenizer", "backend": "tokenizers",
                    "bos_token": "<s>", "add_bos_token": true})"),
            (Ids{0, 9, 20}));
  // As transformers 4 wrote it, the class decides.
  EXPECT_EQ(ids(R"({"tokenizer_class": "LlamaTokenizerFast", "bos_token": "<s>"})"),
            (Ids{0, 9, 20}));
}

TEST(PipelineTokenizer, OptionsOfTheClassGoBeforeTheFile) {
  const Parts bytes = {{"model", ByteLevelBpe()},
                       {"pre_tokenizer", R"({"type": "ByteLevel", "add_prefix_space": false})"}};
  EXPECT_EQ(LoadPipeline(bytes)->Encode("ab").ids, Ids{9});
  EXPECT_EQ(LoadPipeline(bytes, R"({"tokenizer_class": "GPT2Tokenizer", "add_prefix_space": true})")
                ->Encode("ab")
                .ids,
            Ids{10});
  const Parts bert = {{"model", WordLevel({"ab", "AB"})},
                      {"normalizer", R"({"type": "BertNormalizer", "lowercase": true})"}};
  EXPECT_EQ(LoadPipeline(bert)->Encode("AB").ids, Ids{1});
  EXPECT_EQ(
      LoadPipeline(bert, R"({"tokenizer_class": "BertTokenizerFast", "do_lower_case": false})")
          ->Encode("AB")
          .ids,
      Ids{2});
}

TEST(PipelineTokenizer, Languages) {
  const tests::TempDir dir;
  dir.Write("tokenizer.json",
            StrCat("{\"model\": ", ByteLevelBpe(),
                   R"(, "added_tokens": [{"id": 20, "content": "eng_Latn", "special": true},
                                         {"id": 21, "content": "fra_Latn", "special": true}]})"));
  dir.Write(
      "tokenizer_config.json",
      R"({"tokenizer_class": "NllbTokenizer", "backend": "tokenizers", "eos_token": "</s>"})");
  const auto tokenizer = LoadTokenizer(dir.path(), {}, {"", "fra_Latn"});
  EXPECT_EQ(tokenizer->Encode("ab").ids, (Ids{20, 9, 2}));
  EXPECT_EQ(tokenizer->EncodeTarget("ab").ids, (Ids{21, 9, 2}));
  EXPECT_EQ(tokenizer->LanguageCodes(), (std::vector<std::string>{"eng_Latn", "fra_Latn"}));
  tests::ExpectError(ErrorKind::kUsage, {"target-language", "eng_Latn fra_Latn"},
                     [&] { LoadTokenizer(dir.path())->EncodeTarget("ab"); });
}

}  // namespace
}  // namespace moefy::text
