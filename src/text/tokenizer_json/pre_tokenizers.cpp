#include <unicode/uchar.h>

#include <algorithm>

#include "text/bert/bert_words.h"
#include "text/byte_level/byte_level.h"
#include "text/tokenizer_json/component.h"
#include "text/tokenizer_json/pipeline_steps.h"
#include "text/unicode.h"

namespace moefy::text {
namespace {

using Spans = std::vector<Regex::Span>;
using Words = std::vector<Word>;

// Turns spans into words. Of a word's parts only the leftmost can be the first of the input.
template <typename Split>
PreTokenizer ForEachWord(Split split) {
  return [split = std::move(split)](const Words& words) {
    Words out;
    for (const Word& word : words) {
      for (const Regex::Span& span : split(word.text)) {
        if (span.begin == span.end) continue;
        out.push_back(
            {word.text.substr(span.begin, span.end - span.begin), word.first && span.begin == 0});
      }
    }
    return out;
  };
}

// What to do with the parts of a text that match.
enum class Behavior { kRemoved, kIsolated, kMergedWithPrevious, kMergedWithNext, kContiguous };

Behavior GetBehavior(const JsonObject& object, const std::string& if_absent) {
  const std::vector<std::string> names = {"Removed", "Isolated", "MergedWithPrevious",
                                          "MergedWithNext", "Contiguous"};
  const std::string name = object.GetString("behavior", if_absent);
  const auto found = std::find(names.begin(), names.end(), name);
  if (found == names.end()) {
    throw InputError(object.PathOf("behavior"), " is ", Quoted(name),
                     "; expected one of: ", Join(names));
  }
  return static_cast<Behavior>(found - names.begin());
}

Spans Apply(Behavior behavior, const Spans& spans) {
  Spans out;
  bool after_match = false;
  for (const Regex::Span& span : spans) {
    bool join = false;  // with the span before
    switch (behavior) {
      case Behavior::kRemoved:
        if (!span.matched) out.push_back(span);
        continue;
      case Behavior::kIsolated:
        break;
      case Behavior::kMergedWithPrevious:
        join = span.matched && !after_match;
        break;
      case Behavior::kMergedWithNext:
        join = !span.matched && after_match;
        break;
      case Behavior::kContiguous:
        join = span.matched == after_match;
        break;
    }
    if (join && !out.empty()) {
      out.back().end = span.end;
    } else {
      out.push_back(span);
    }
    after_match = span.matched;
  }
  return out;
}

// Cuts `text` into spans of one character, matched if the predicate holds.
template <typename Predicate>
Spans MatchCharacters(std::string_view text, Predicate&& matches) {
  Spans spans;
  for (size_t i = 0, length; i < text.size(); i += length) {
    length = CharacterLength(text.substr(i));
    const bool matched = matches(ToCodePoints(text.substr(i, length))[0]);
    if (!matched && !spans.empty() && !spans.back().matched) {
      spans.back().end = i + length;
    } else {
      spans.push_back({i, i + length, matched});
    }
  }
  return spans;
}

PreTokenizer ParseByteLevel(const JsonObject& object) {
  const bool prefix = object.GetBool("add_prefix_space", true);
  std::shared_ptr<const Regex> regex;
  if (object.GetBool("use_regex", true)) regex = std::make_shared<const Regex>(kGpt2Pattern);
  return [prefix, regex](const Words& words) {
    Words out;
    for (const Word& word : words) {
      std::string text = word.text;
      if (prefix && !text.starts_with(' ')) text.insert(text.begin(), ' ');
      const Spans spans = regex ? regex->Split(text) : Spans{{0, text.size(), true}};
      for (const Regex::Span& span : spans) {
        out.push_back({ToByteCharacters(text.substr(span.begin, span.end - span.begin)),
                       word.first && span.begin == 0});
      }
    }
    return out;
  };
}

PreTokenizer ParseSplit(const JsonObject& object) {
  const Behavior behavior = GetBehavior(object, "");
  const bool invert = object.GetBool("invert", false);
  return ForEachWord(
      [pattern = Pattern(object, "pattern"), behavior, invert](const std::string& text) {
        Spans spans = pattern.Split(text);
        for (Regex::Span& span : spans) span.matched = span.matched != invert;
        return Apply(behavior, spans);
      });
}

PreTokenizer ParseMetaspace(const JsonObject& object) {
  const std::string symbol = GetSymbol(object, "replacement");
  // Before prepend_scheme there was add_prefix_space.
  const std::string scheme = object.GetString(
      "prepend_scheme", object.GetBool("add_prefix_space", true) ? "always" : "never");
  if (scheme != "always" && scheme != "never" && scheme != "first") {
    throw InputError(object.PathOf("prepend_scheme"), " is ", Quoted(scheme),
                     "; expected one of: always, never, first");
  }
  const bool split = object.GetBool("split", true);
  return [=](const Words& words) {
    Words out;
    for (const Word& word : words) {
      std::string text = ReplaceAll(word.text, " ", symbol);
      const bool prepend = scheme == "always" || (scheme == "first" && word.first);
      if (prepend && !text.starts_with(symbol)) text.insert(0, symbol);
      size_t begin = 0;
      while (begin < text.size()) {  // every symbol begins a word
        const size_t next = split ? text.find(symbol, begin + 1) : std::string::npos;
        const size_t end = std::min(next, text.size());
        out.push_back({text.substr(begin, end - begin), word.first && begin == 0});
        begin = end;
      }
    }
    return out;
  };
}

PreTokenizer ParseBert(const JsonObject&) {
  return [](const Words& words) {
    Words out;
    for (const Word& word : words) {
      for (std::string& part : SplitAtPunctuation(word.text)) out.push_back({std::move(part)});
    }
    return out;
  };
}

PreTokenizer ParseDigits(const JsonObject& object) {
  const Behavior behavior =
      object.GetBool("individual_digits", false) ? Behavior::kIsolated : Behavior::kContiguous;
  return ForEachWord([behavior](const std::string& text) {
    return Apply(behavior, MatchCharacters(text, [](char32_t c) {
                   return (U_GET_GC_MASK(static_cast<UChar32>(c)) & U_GC_N_MASK) != 0;
                 }));
  });
}

PreTokenizer ParsePunctuation(const JsonObject& object) {
  return ForEachWord([behavior = GetBehavior(object, "Isolated")](const std::string& text) {
    return Apply(behavior, MatchCharacters(text, IsPunctuation));
  });
}

PreTokenizer ParseWhitespace(const JsonObject&) {
  const auto regex = std::make_shared<const Regex>(R"(\w+|[^\w\s]+)");
  return ForEachWord([regex](const std::string& text) {
    Spans spans = regex->Split(text);
    std::erase_if(spans, [](const Regex::Span& span) { return !span.matched; });
    return spans;
  });
}

PreTokenizer ParseWhitespaceSplit(const JsonObject&) {
  return ForEachWord([](const std::string& text) {
    return Apply(Behavior::kRemoved, MatchCharacters(text, [](char32_t c) {
                   return u_isUWhiteSpace(static_cast<UChar32>(c)) != 0;
                 }));
  });
}

PreTokenizer ParsePreTokenizers(const JsonObject& object) {
  std::vector<PreTokenizer> steps;
  const Json& list = object.GetRaw("pretokenizers");
  for (size_t i = 0; i < list.size() && list.is_array(); ++i) {
    steps.push_back(
        ParsePreTokenizer(list[i], StrCat(object.PathOf("pretokenizers"), "[", i, "]")));
  }
  return [steps = std::move(steps)](Words words) {
    for (const PreTokenizer& step : steps) words = step(std::move(words));
    return words;
  };
}

constexpr Component<PreTokenizer> kPreTokenizers[] = {
    {"BertPreTokenizer", ParseBert},
    {"ByteLevel", ParseByteLevel},
    {"Digits", ParseDigits},
    {"Metaspace", ParseMetaspace},
    {"Punctuation", ParsePunctuation},
    {"Sequence", ParsePreTokenizers},
    {"Split", ParseSplit},
    {"Whitespace", ParseWhitespace},
    {"WhitespaceSplit", ParseWhitespaceSplit},
};

}  // namespace

PreTokenizer ParsePreTokenizer(const Json& json, const std::string& where) {
  return ParseComponent(kPreTokenizers, JsonObject(json, where), "pre-tokenizer");
}

}  // namespace moefy::text
