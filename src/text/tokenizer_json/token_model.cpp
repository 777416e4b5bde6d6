#include "text/tokenizer_json/token_model.h"

#include <limits>
#include <optional>
#include <utility>

#include "text/bert/wordpiece.h"
#include "text/byte_level/bpe.h"
#include "text/sentencepiece/sentencepiece.h"
#include "text/tokenizer_json/component.h"
#include "text/unicode.h"

namespace moefy::text {
namespace {

using Ids = std::vector<int64_t>;

std::shared_ptr<const Vocabulary> GetVocabulary(const JsonObject& object) {
  return std::make_shared<const Vocabulary>(
      ParseVocabularyJson(object.GetRaw("vocab"), object.PathOf("vocab")));
}

// Reads a merge: "a b", or ["a", "b"] in newer files.
Bpe::Merges GetMerges(const JsonObject& object) {
  const std::string path = object.PathOf("merges");
  const Json& list = object.GetRaw("merges");
  if (!list.is_array()) throw InputError(path, ": expected an array");
  Bpe::Merges merges;
  merges.reserve(list.size());
  for (const Json& entry : list) {
    if (entry.is_array() && entry.size() == 2 && entry[0].is_string() && entry[1].is_string()) {
      merges.emplace_back(entry[0].get<std::string>(), entry[1].get<std::string>());
      continue;
    }
    const std::string text = entry.is_string() ? entry.get<std::string>() : "";
    const size_t space = text.find(' ');
    if (space == std::string::npos) {
      throw InputError(path, "[", merges.size(), "] is ", Shortened(entry.dump(), 60),
                       "; expected two tokens");
    }
    merges.emplace_back(text.substr(0, space), text.substr(space + 1));
  }
  return merges;
}

TokenModel ParseBpe(const JsonObject& object) {
  if (object.GetNumber("dropout", 0, 1, 0) != 0) {
    throw InputError(object.PathOf("dropout"), " is not supported");
  }
  const auto vocabulary = GetVocabulary(object);
  BpeOptions options = {.fuse_unknown = object.GetBool("fuse_unk", false),
                        .byte_fallback = object.GetBool("byte_fallback", false),
                        .ignore_merges = object.GetBool("ignore_merges", false),
                        .continuing_prefix = object.GetString("continuing_subword_prefix", ""),
                        .end_of_word_suffix = object.GetString("end_of_word_suffix", "")};
  if (object.Has("unk_token")) {
    const std::string unknown = object.GetString("unk_token");
    options.unknown_id = vocabulary->Find(unknown);
    if (!options.unknown_id) {
      throw InputError(object.PathOf("unk_token"), ": ", Quoted(unknown),
                       " is not in the vocabulary");
    }
  }
  const auto bpe = WithContext(object.PathOf("merges"), [&] {
    return std::make_shared<const Bpe>(vocabulary, GetMerges(object), options);
  });
  return {vocabulary, [bpe](std::string_view word, Ids& ids) { return bpe->AppendIds(word, ids); }};
}

TokenModel ParseWordPiece(const JsonObject& object) {
  const auto vocabulary = GetVocabulary(object);
  const std::string unknown = object.GetString("unk_token", "[UNK]");
  const std::optional<int64_t> unknown_id = vocabulary->Find(unknown);
  if (!unknown_id) {
    throw InputError(object.PathOf("unk_token"), ": ", Quoted(unknown),
                     " is not in the vocabulary");
  }
  const WordPiece model(
      vocabulary, {.unknown_id = *unknown_id,
                   .continuing_prefix = object.GetString("continuing_subword_prefix", "##"),
                   .max_characters = object.GetInt("max_input_chars_per_word", 0, 10000, 100)});
  return {vocabulary,
          [model](std::string_view word, Ids& ids) { return model.AppendIds(word, ids); }};
}

TokenModel ParseWordLevel(const JsonObject& object) {
  const auto vocabulary = GetVocabulary(object);
  const std::optional<int64_t> unknown_id = vocabulary->Find(object.GetString("unk_token"));
  return {vocabulary, [vocabulary, unknown_id](std::string_view word, Ids& ids) {
            const std::optional<int64_t> id = vocabulary->Find(word);
            if (id || unknown_id) ids.push_back(id ? *id : *unknown_id);
          }};
}

// Searches as SentencePiece does over the vocabulary, without its normalisation.
TokenModel ParseUnigram(const JsonObject& object) {
  const std::string path = object.PathOf("vocab");
  const Json& list = object.GetRaw("vocab");
  if (!list.is_array() || list.empty()) throw InputError(path, ": expected an array of pieces");
  const int64_t unknown_id = object.GetInt("unk_id", 0, static_cast<int64_t>(list.size()) - 1);
  SentencePieceModel model;
  model.add_dummy_prefix = model.remove_extra_whitespaces = model.escape_whitespaces = false;
  model.byte_fallback = object.GetBool("byte_fallback", false);
  Vocabulary vocabulary;
  for (const Json& entry : list) {
    const auto id = static_cast<int64_t>(model.pieces.size());
    if (!entry.is_array() || entry.size() != 2 || !entry[0].is_string() || !entry[1].is_number()) {
      throw InputError(path, "[", id, "] is ", Shortened(entry.dump(), 60),
                       "; expected a piece and its score");
    }
    const auto text = entry[0].get<std::string>();
    const bool is_byte = model.byte_fallback && ParseByteToken(text);
    model.pieces.push_back({text, entry[1].get<float>(),
                            id == unknown_id ? PieceType::kUnknown
                            : is_byte        ? PieceType::kByte
                                             : PieceType::kNormal});
    WithContext(path, [&] { vocabulary.Add(text, id); });
  }
  const auto pieces = WithContext(path, [&] {
    CheckSentencePieceModel(model);
    return std::make_shared<const SentencePiece>(std::move(model));
  });
  return {std::make_shared<const Vocabulary>(std::move(vocabulary)),
          [pieces](std::string_view word, Ids& ids) {
            for (const std::string& piece : pieces->EncodeAsPieces(word)) {
              ids.push_back(pieces->PieceToId(piece));
            }
          }};
}

constexpr Component<TokenModel> kModels[] = {
    {"BPE", ParseBpe},
    {"Unigram", ParseUnigram},
    {"WordLevel", ParseWordLevel},
    {"WordPiece", ParseWordPiece},
};

}  // namespace

TokenModel ParseTokenModel(const Json& json, const std::string& where) {
  const JsonObject object(json, where);
  // Old files leave the type of a BPE model unsaid.
  if (!object.Has("type") && object.Has("merges")) return ParseBpe(object);
  return ParseComponent(kModels, object, "model");
}

}  // namespace moefy::text
