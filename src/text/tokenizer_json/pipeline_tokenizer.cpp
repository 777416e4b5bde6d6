#include "text/tokenizer_kinds.h"

#include <algorithm>
#include <string>
#include <utility>
#include <vector>

#include "moefy/base/error.h"
#include "text/segment_tokenizer.h"
#include "text/tokenizer_json/pipeline_steps.h"
#include "text/tokenizer_json/token_model.h"

namespace moefy::text {
namespace {

constexpr uint64_t kMaxFileBytes = uint64_t{256} << 20;

// An option of tokenizer_config.json that the class writes into a step of the file. Source: the
// constructors of the fast tokenizers in transformers 4.44.
struct Override {
  std::vector<std::string> classes;
  const char* step;    // its type
  const char* option;  // of the configuration
  const char* field;   // of the step

  void Apply(const TokenizerConfig& config, Json& json) const {
    if (!json.is_object() || !json.contains("type") || json["type"] != step) return;
    const std::string name = config.ClassName();
    if (std::find(classes.begin(), classes.end(), name) == classes.end()) return;
    if (config.object().Has(option)) json[field] = config.object().GetBool(option);
  }
};

const std::vector<Override>& Overrides() {
  static const std::vector<std::string> kBert = {"BertTokenizer", "DistilBertTokenizer",
                                                 "ElectraTokenizer"};
  static const std::vector<std::string> kGpt2 = {"GPT2Tokenizer",    "CodeGenTokenizer",
                                                 "RobertaTokenizer", "BartTokenizer",
                                                 "LEDTokenizer",     "LongformerTokenizer"};
  static const std::vector<Override> kOverrides = {
      {kBert, "BertNormalizer", "do_lower_case", "lowercase"},
      {kBert, "BertNormalizer", "strip_accents", "strip_accents"},
      {kBert, "BertNormalizer", "tokenize_chinese_chars", "handle_chinese_chars"},
      {kGpt2, "ByteLevel", "add_prefix_space", "add_prefix_space"},
  };
  return kOverrides;
}

class PipelineTokenizer final : public SegmentTokenizer {
 public:
  PipelineTokenizer(const Json& json, const std::string& file, const TokenizerConfig& config)
      : SegmentTokenizer(config) {
    const JsonObject object(json, file);
    // GetRaw of an absent key throws, so that "model" is required and the others are not.
    model_ = ParseTokenModel(object.GetRaw("model"), object.PathOf("model"));
    if (object.Has("normalizer")) {
      Json normalizer = object.GetRaw("normalizer");
      for (const Override& option : Overrides()) option.Apply(config, normalizer);
      normalize_ = ParseNormalizer(normalizer, object.PathOf("normalizer"));
    }
    if (object.Has("pre_tokenizer")) {
      Json pre_tokenizer = object.GetRaw("pre_tokenizer");
      for (const Override& option : Overrides()) option.Apply(config, pre_tokenizer);
      pre_tokenize_ = ParsePreTokenizer(pre_tokenizer, object.PathOf("pre_tokenizer"));
    }
    if (object.Has("decoder")) {
      decode_ = ParseDecoder(object.GetRaw("decoder"), object.PathOf("decoder"));
    }
    if (object.Has("post_processor")) {
      template_ =
          ParsePostProcessor(object.GetRaw("post_processor"), object.PathOf("post_processor"));
    }
    base_vocab_size_ = vocab_size_ = model_.vocabulary->size();
    added_join_ = AddedTokenJoin::kTogether;
    clean_up_spaces_ = config.object().GetBool("clean_up_tokenization_spaces", true);
    if (object.Has("added_tokens")) AddTokens(object);
    eos_id_ = FindNamed(config, "eos_token");
    if (!eos_id_) eos_id_ = FindNamed(config, "sep_token");
    mask_id_ = FindNamed(config, "mask_token");
    FollowConfig(config);
    CheckTemplate(object.PathOf("post_processor"));
    pad_id_ = FindNamed(config, "pad_token").value_or(eos_id_.value_or(0));
    for (const TemplateItem& item : template_.pair) {
      if (item.kind == TemplateItem::Kind::kSecond) second_type_ = item.type;
    }
  }

 protected:
  Ids Segment(std::string_view text) const override {
    Ids ids;
    bool first = true;
    for (const AddedTokens::Part& part : raw_added_.Split(text)) {
      if (part.token) {
        ids.push_back(part.token->id);
      } else {
        SegmentPart(part.text, first, ids);
      }
      first = false;
    }
    return ids;
  }

  std::string IdToToken(int64_t id) const override { return model_.vocabulary->Get(id); }

  std::string JoinTokens(const std::vector<std::string>& tokens) const override {
    return decode_ ? Join(decode_(tokens), "") : Join(tokens, " ");
  }

 private:
  void SegmentPart(const std::string& text, bool first, Ids& ids) const {
    for (const AddedTokens::Part& part :
         normalized_added_.Split(normalize_ ? normalize_(text) : text)) {
      if (part.token) {
        ids.push_back(part.token->id);
      } else {
        std::vector<Word> words = {{part.text, first}};
        if (pre_tokenize_) words = pre_tokenize_(std::move(words));
        for (const Word& word : words) model_.append_ids(word.text, ids);
      }
      first = false;
    }
  }

  void AddTokens(const JsonObject& object) {
    for (const JsonObject& entry : object.GetObjects("added_tokens")) {
      if (entry.GetBool("single_word", false)) {
        throw InputError(entry.PathOf("single_word"), " is not supported");
      }
      AddedToken token = {.content = entry.GetString("content"),
                          .id = entry.GetInt("id", 0, kMaxTokenId),
                          .strip_left = entry.GetBool("lstrip", false),
                          .strip_right = entry.GetBool("rstrip", false),
                          .special = entry.GetBool("special", false)};
      const std::optional<int64_t> known = model_.vocabulary->Find(token.content);
      if (known && *known != token.id) {
        throw InputError(entry.PathOf("id"), " is ", token.id, ", but ", Quoted(token.content),
                         " has id ", *known, " in the vocabulary");
      }
      // Added tokens that are marked "normalized" are looked for in the normalised text, as they
      // would look there.
      if (entry.GetBool("normalized", !token.special) && normalize_) {
        AddedToken normalized = token;
        normalized.content = normalize_(token.content);
        normalized_added_.Add(std::move(normalized));
      } else {
        raw_added_.Add(token);
      }
      AddToken(std::move(token));
    }
  }

  // Before transformers 5, LlamaTokenizerFast and GemmaTokenizerFast put their own tokens around a
  // text, whatever the file says; since then any class does so, but only where an option says so.
  void FollowConfig(const TokenizerConfig& config) {
    SetLanguages(config, [&](const std::string& token) -> std::optional<int64_t> {
      const AddedToken* added = added_.FindContent(token);
      return added ? std::optional(added->id) : model_.vocabulary->Find(token);
    });
    const JsonObject options = config.object();
    const std::string name = config.ClassName();
    const bool newer = options.GetString("backend", "") == "tokenizers";
    const bool told = options.Has("add_bos_token") || options.Has("add_eos_token");
    if (newer ? !told : name != "LlamaTokenizer" && name != "GemmaTokenizer") return;
    Ids before, after;
    const auto add = [&](const char* option, bool if_absent, const char* token, Ids& ids) {
      if (!options.GetBool(option, if_absent)) return;
      const std::optional<int64_t> id = FindNamed(config, token);
      if (!id) throw InputError(options.PathOf(option), " is true, but there is no ", token);
      ids.push_back(*id);
    };
    add("add_bos_token", !newer, "bos_token", before);
    add("add_eos_token", false, "eos_token", after);
    template_ = AroundEach(before, after);
  }

  void CheckTemplate(const std::string& where) const {
    for (const auto* items : {&template_.single, &template_.pair}) {
      for (const TemplateItem& item : *items) {
        if (item.kind == TemplateItem::Kind::kToken && item.id >= vocab_size_) {
          throw InputError(where, ": token id ", item.id, " is not in 0..", vocab_size_ - 1);
        }
      }
    }
  }

  std::optional<int64_t> FindNamed(const TokenizerConfig& config, const std::string& key) const {
    const std::string content = config.GetToken(key, "");
    if (content.empty()) return std::nullopt;
    if (const AddedToken* added = added_.FindContent(content)) return added->id;
    return model_.vocabulary->Find(content);
  }

  TokenModel model_;
  Normalizer normalize_;  // an empty step does nothing
  PreTokenizer pre_tokenize_;
  Decoder decode_;
  AddedTokens raw_added_, normalized_added_;  // where each of added_ is looked for
};

}  // namespace

std::unique_ptr<Tokenizer> LoadPipelineTokenizer(const std::filesystem::path& tokenizer_json,
                                                 const TokenizerConfig& config) {
  const Json json = ReadJsonFile(tokenizer_json, kMaxFileBytes);
  return std::make_unique<PipelineTokenizer>(json, tokenizer_json.string(), config);
}

}  // namespace moefy::text
