#include <utility>

#include "text/byte_level/bpe.h"
#include "text/byte_level/byte_level.h"
#include "text/segment_tokenizer.h"
#include "text/tokenizer_json/component.h"
#include "text/tokenizer_json/pipeline_steps.h"
#include "text/unicode.h"

namespace moefy::text {
namespace {

using Tokens = std::vector<std::string>;

Decoder ParseByteLevel(const JsonObject&) {
  return [](const Tokens& tokens) {
    std::string bytes;
    for (const std::string& token : tokens) bytes += FromByteCharacters(token);
    return Tokens{RepairUtf8(bytes)};
  };
}

// Runs of <0x..> become their text, or as many U+FFFD as there are bytes.
Decoder ParseByteFallback(const JsonObject&) {
  return [](const Tokens& tokens) {
    Tokens out;
    std::string bytes;
    const auto finish = [&] {
      if (IsValidUtf8(bytes)) {
        if (!bytes.empty()) out.push_back(bytes);
      } else {
        out.insert(out.end(), bytes.size(), "\xEF\xBF\xBD");
      }
      bytes.clear();
    };
    for (const std::string& token : tokens) {
      if (const std::optional<unsigned char> byte = ParseByteToken(token)) {
        bytes += static_cast<char>(*byte);
      } else {
        finish();
        out.push_back(token);
      }
    }
    finish();
    return out;
  };
}

Decoder ParseMetaspace(const JsonObject& object) {
  const std::string symbol = GetSymbol(object, "replacement");
  const bool drop =
      object.GetString("prepend_scheme",
                       object.GetBool("add_prefix_space", true) ? "always" : "never") != "never";
  return [=](Tokens tokens) {
    for (size_t i = 0; i < tokens.size(); ++i) {
      tokens[i] = ReplaceAll(std::move(tokens[i]), symbol, i == 0 && drop ? "" : " ");
    }
    return tokens;
  };
}

Decoder ParseWordPiece(const JsonObject& object) {
  const std::string prefix = object.GetString("prefix", "##");
  const bool clean_up = object.GetBool("cleanup", true);
  return [=](Tokens tokens) {
    for (size_t i = 0; i < tokens.size(); ++i) {
      std::string& token = tokens[i];
      if (i > 0) {
        if (token.starts_with(prefix)) {
          token.erase(0, prefix.size());
        } else {
          token.insert(token.begin(), ' ');
        }
      }
      if (clean_up) token = CleanUpSpaces(std::move(token));
    }
    return tokens;
  };
}

Decoder ParseBpe(const JsonObject& object) {
  return [suffix = GetSymbol(object, "suffix")](Tokens tokens) {
    for (size_t i = 0; i < tokens.size(); ++i) {
      tokens[i] = ReplaceAll(std::move(tokens[i]), suffix, i + 1 == tokens.size() ? "" : " ");
    }
    return tokens;
  };
}

Decoder ParseFuse(const JsonObject&) {
  return [](const Tokens& tokens) { return Tokens{Join(tokens, "")}; };
}

Decoder ParseStrip(const JsonObject& object) {
  constexpr int64_t kMany = 1 << 20;
  const std::string content = GetSymbol(object, "content");
  const int64_t start = object.GetInt("start", 0, kMany), stop = object.GetInt("stop", 0, kMany);
  return [=](Tokens tokens) {
    for (std::string& token : tokens) {
      std::string_view rest = token;
      for (int64_t i = 0; i < start && rest.starts_with(content); ++i) {
        rest.remove_prefix(content.size());
      }
      for (int64_t i = 0; i < stop && rest.ends_with(content); ++i) {
        rest.remove_suffix(content.size());
      }
      token = std::string(rest);
    }
    return tokens;
  };
}

Decoder ParseReplace(const JsonObject& object) {
  return
      [pattern = Pattern(object, "pattern"), content = object.GetString("content")](Tokens tokens) {
        for (std::string& token : tokens) token = pattern.Replace(token, content);
        return tokens;
      };
}

Decoder ParseSequence(const JsonObject& object) {
  std::vector<Decoder> steps;
  const Json& list = object.GetRaw("decoders");
  for (size_t i = 0; i < list.size() && list.is_array(); ++i) {
    steps.push_back(ParseDecoder(list[i], StrCat(object.PathOf("decoders"), "[", i, "]")));
  }
  return [steps = std::move(steps)](Tokens tokens) {
    for (const Decoder& step : steps) tokens = step(std::move(tokens));
    return tokens;
  };
}

constexpr Component<Decoder> kDecoders[] = {
    {"BPEDecoder", ParseBpe},      {"ByteFallback", ParseByteFallback},
    {"ByteLevel", ParseByteLevel}, {"Fuse", ParseFuse},
    {"Metaspace", ParseMetaspace}, {"Replace", ParseReplace},
    {"Sequence", ParseSequence},   {"Strip", ParseStrip},
    {"WordPiece", ParseWordPiece},
};

}  // namespace

Decoder ParseDecoder(const Json& json, const std::string& where) {
  return ParseComponent(kDecoders, JsonObject(json, where), "decoder");
}

}  // namespace moefy::text
