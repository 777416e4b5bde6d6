#include "ask/answer_span.h"

#include <algorithm>
#include <cctype>
#include <cmath>
#include <map>
#include <optional>

#include "moefy/base/error.h"

namespace moefy::ask {
namespace {

using Bytes = std::pair<size_t, size_t>;

bool IsSpace(char c) { return std::isspace(static_cast<unsigned char>(c)) != 0; }
bool IsPunctuation(char c) { return std::ispunct(static_cast<unsigned char>(c)) != 0; }

std::vector<Bytes> SplitWords(const std::string& text, bool at_punctuation) {
  std::vector<Bytes> words;
  for (size_t begin = 0; begin < text.size();) {
    if (IsSpace(text[begin])) {
      ++begin;
      continue;
    }
    size_t end = begin + 1;
    const bool alone = at_punctuation && IsPunctuation(text[begin]);
    while (!alone && end < text.size() && !IsSpace(text[end]) &&
           !(at_punctuation && IsPunctuation(text[end]))) {
      ++end;
    }
    words.emplace_back(begin, end);
    begin = end;
  }
  return words;
}

// The bytes of each of `ids`, if encoding word by word gives these ids.
std::optional<std::vector<Bytes>> Align(const text::Tokenizer& tokenizer, const std::string& text,
                                        const std::vector<int64_t>& ids, bool at_punctuation) {
  const text::EncodeOptions plain{.add_special_tokens = false};
  std::vector<Bytes> bytes;
  size_t last_end = 0;
  for (const auto& [begin, end] : SplitWords(text, at_punctuation)) {
    // The space before a word belongs to its tokens in many vocabularies.
    for (const int64_t id : tokenizer.Encode(text.substr(last_end, end - last_end), plain).ids) {
      if (bytes.size() == ids.size()) return bytes;  // truncation took the rest
      if (ids[bytes.size()] != id) return std::nullopt;
      bytes.emplace_back(begin, end);
    }
    last_end = end;
  }
  return bytes.size() == ids.size() ? std::optional(bytes) : std::nullopt;
}

}  // namespace

ContextTokens LocateContext(const text::Tokenizer& tokenizer, const std::string& question,
                            const std::string& context, const std::vector<int64_t>& ids) {
  // Without a context the same tokens stand before and behind it.
  const std::vector<int64_t> empty = tokenizer.EncodePair(question, "").ids;
  const auto common = std::mismatch(ids.begin(), ids.end(), empty.begin(), empty.end());
  ContextTokens out;
  out.first = std::min(static_cast<size_t>(common.first - ids.begin()), empty.size() - 1);
  const size_t num_behind = empty.size() - out.first;
  if (ids.size() < out.first + num_behind) return out;
  const std::vector<int64_t> inside(ids.begin() + static_cast<long>(out.first),
                                    ids.end() - static_cast<long>(num_behind));
  for (const bool at_punctuation : {true, false}) {
    if (auto bytes = Align(tokenizer, context, inside, at_punctuation)) {
      out.bytes = std::move(*bytes);
      return out;
    }
  }
  throw InputError("the context's tokens cannot be traced back to its words with this tokenizer");
}

std::vector<Span> BestSpans(const at::Tensor& start, const at::Tensor& end,
                            const ContextTokens& context, size_t num_spans, int64_t max_tokens) {
  const auto count = static_cast<int64_t>(context.bytes.size());
  if (count == 0) return {};
  const auto inside = [&](const at::Tensor& scores) {
    return scores.narrow(0, static_cast<int64_t>(context.first), count)
        .to(at::kDouble)
        .contiguous();
  };
  const at::Tensor start_scores = inside(start), end_scores = inside(end);
  const double total = (start_scores.logsumexp(0) + end_scores.logsumexp(0)).item<double>();
  const auto* starts = start_scores.data_ptr<double>();
  const auto* ends = end_scores.data_ptr<double>();
  // Tokens of one word share its bytes, and the best of them counts.
  std::map<Bytes, double> scores;
  for (int64_t i = 0; i < count; ++i) {
    for (int64_t j = i; j < std::min(count, i + max_tokens); ++j) {
      const Bytes bytes{context.bytes[static_cast<size_t>(i)].first,
                        context.bytes[static_cast<size_t>(j)].second};
      const auto [found, added] = scores.try_emplace(bytes, starts[i] + ends[j]);
      if (!added) found->second = std::max(found->second, starts[i] + ends[j]);
    }
  }
  std::vector<Span> spans;
  for (const auto& [bytes, score] : scores) {
    spans.push_back({bytes.first, bytes.second, std::exp(score - total), score});
  }
  std::stable_sort(spans.begin(), spans.end(),
                   [](const Span& a, const Span& b) { return a.score > b.score; });
  spans.resize(std::min(spans.size(), num_spans));
  return spans;
}

Span BestSpan(const at::Tensor& start, const at::Tensor& end, const ContextTokens& context,
              int64_t max_tokens) {
  const std::vector<Span> spans = BestSpans(start, end, context, 1, max_tokens);
  return spans.empty() ? Span{} : spans.front();
}

}  // namespace moefy::ask
