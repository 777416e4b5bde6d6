// Finds the likeliest answers of a question answering head, as bytes of the context that they stand
// in. Pure functions.
#pragma once

#include <ATen/ATen.h>

#include <cstddef>
#include <string>
#include <utility>
#include <vector>

#include "moefy/text/tokenizer.h"

namespace moefy::ask {

// Where the tokens of the context are in an encoded pair, and the bytes that each stands for.
struct ContextTokens {
  size_t first = 0;  // index of the context's first token
  // Bytes [begin, end) of the context of each token that survived truncation. Tokens of one word
  // share its bytes.
  std::vector<std::pair<size_t, size_t>> bytes;
};

// Finds the context in `ids`, which EncodePair(question, context) gave. Words are told apart by
// encoding them one by one, as the reference SQuAD processing does: at white space and punctuation
// if that gives the same tokens, else at white space. Throws Error{kInput} if neither does.
ContextTokens LocateContext(const text::Tokenizer& tokenizer, const std::string& question,
                            const std::string& context, const std::vector<int64_t>& ids);

struct Span {
  size_t begin = 0, end = 0;  // bytes of the context
  double share = 0;           // softmax over starts times softmax over ends, in the context alone
  double score = 0;           // start's plus end's
};

// The best spans of at most `max_tokens` tokens, all of the context, best first, by the scores of
// one input as start and as end, [tokens] each. Spans of the same words count once. Source: Devlin
// et al. 2019 (BERT), section 4.2.
std::vector<Span> BestSpans(const at::Tensor& start, const at::Tensor& end,
                            const ContextTokens& context, size_t num_spans,
                            int64_t max_tokens = 30);
// The first of them, or an empty span at 0 if no token of the context is left.
Span BestSpan(const at::Tensor& start, const at::Tensor& end, const ContextTokens& context,
              int64_t max_tokens = 30);

}  // namespace moefy::ask
