#include <unicode/uchar.h>

#include <memory>

#include "text/bert/bert_words.h"
#include "text/sentencepiece/charsmap.h"
#include "text/tokenizer_json/component.h"
#include "text/tokenizer_json/pipeline_steps.h"
#include "text/unicode.h"

namespace moefy::text {
namespace {

std::string DecodeBase64(std::string_view text) {
  constexpr std::string_view kDigits =
      "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
  std::string out;
  uint32_t bits = 0;
  int num_bits = 0;
  while (text.ends_with('=')) text.remove_suffix(1);
  for (const char c : text) {
    const size_t digit = kDigits.find(c);
    if (digit == std::string_view::npos) throw InputError("is not base64");
    bits = bits << 6 | static_cast<uint32_t>(digit);
    num_bits += 6;
    if (num_bits >= 8) {
      num_bits -= 8;
      out += static_cast<char>(bits >> num_bits & 0xff);
    }
  }
  return out;
}

Normalizer ParsePrecompiled(const JsonObject& object) {
  const auto charsmap = WithContext(object.PathOf("precompiled_charsmap"), [&] {
    return std::make_shared<const Charsmap>(DecodeBase64(object.GetString("precompiled_charsmap")));
  });
  return [charsmap](const std::string& text) {
    std::string out;
    for (std::string_view rest = text; !rest.empty();) {
      Charsmap::Match match = charsmap->FindPrefix(rest);
      if (match.num_bytes == 0) {
        match.num_bytes = CharacterLength(rest);
        match.replacement = rest.substr(0, match.num_bytes);
      }
      out += match.replacement;
      rest.remove_prefix(match.num_bytes);
    }
    return out;
  };
}

Normalizer ParseBert(const JsonObject& object) {
  const bool clean = object.GetBool("clean_text", true);
  const bool split_cjk = object.GetBool("handle_chinese_chars", true);
  const bool lower = object.GetBool("lowercase", true);
  const bool strip = object.GetBool("strip_accents", lower);
  return [=](const std::string& text) {
    std::string out = CleanForBert(text, clean, split_cjk);
    if (strip) out = StripAccents(out);
    return lower ? LowerEach(out) : out;
  };
}

Normalizer ParseStripNormalizer(const JsonObject& object) {
  const bool left = object.GetBool("strip_left", true);
  const bool right = object.GetBool("strip_right", true);
  return [=](std::string text) {
    if (left) text = StripLeft(text);
    return right ? StripRight(text) : text;
  };
}

Normalizer ParsePrepend(const JsonObject& object) {
  return [prefix = object.GetString("prepend")](const std::string& text) {
    return text.empty() ? text : prefix + text;
  };
}

Normalizer ParseReplaceNormalizer(const JsonObject& object) {
  return [pattern = Pattern(object, "pattern"), content = object.GetString("content")](
             const std::string& text) { return pattern.Replace(text, content); };
}

Normalizer ParseNormalizers(const JsonObject& object) {
  std::vector<Normalizer> steps;
  const Json& list = object.GetRaw("normalizers");
  for (size_t i = 0; i < list.size() && list.is_array(); ++i) {
    steps.push_back(ParseNormalizer(list[i], StrCat(object.PathOf("normalizers"), "[", i, "]")));
  }
  return [steps = std::move(steps)](std::string text) {
    for (const Normalizer& step : steps) text = step(std::move(text));
    return text;
  };
}

// Drops marks that stand by themselves; composed characters keep theirs.
std::string StripMarks(std::string_view text) {
  std::string out;
  for (const char32_t c : ToCodePoints(text)) {
    if ((U_GET_GC_MASK(static_cast<UChar32>(c)) & U_GC_M_MASK) == 0) AppendCodePoint(out, c);
  }
  return out;
}

template <std::string (*kFunction)(std::string_view)>
Normalizer ParsePlain(const JsonObject&) {
  return [](const std::string& text) { return kFunction(text); };
}

constexpr Component<Normalizer> kNormalizers[] = {
    {"BertNormalizer", ParseBert},       {"Lowercase", ParsePlain<LowerEach>},
    {"NFC", ParsePlain<ToNfc>},          {"NFD", ParsePlain<ToNfd>},
    {"NFKC", ParsePlain<ToNfkc>},        {"NFKD", ParsePlain<ToNfkd>},
    {"Precompiled", ParsePrecompiled},   {"Prepend", ParsePrepend},
    {"Replace", ParseReplaceNormalizer}, {"Sequence", ParseNormalizers},
    {"Strip", ParseStripNormalizer},     {"StripAccents", ParsePlain<StripMarks>},
};

}  // namespace

Normalizer ParseNormalizer(const Json& json, const std::string& where) {
  return ParseComponent(kNormalizers, JsonObject(json, where), "normalizer");
}

}  // namespace moefy::text
