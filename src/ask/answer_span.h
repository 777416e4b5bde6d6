// The likeliest answer of a question answering head, as bytes of the context it stands in.
// Pure functions.
#pragma once

#include <ATen/ATen.h>

#include <cstddef>
#include <string>
#include <utility>
#include <vector>

#include "moefy/text/tokenizer.h"

namespace moefy::ask {

// Where the context's tokens are in an encoded pair, and what each stands for.
struct ContextTokens {
  size_t first = 0;  // index of the context's first token
  // Bytes [begin, end) of the context of each token that survived truncation. Tokens of one word
  // share its bytes.
  std::vector<std::pair<size_t, size_t>> bytes;
};

// `ids` are those of EncodePair(question, context). Words are told apart by encoding them one by
// one, as the reference SQuAD processing does: at white space and punctuation where that gives the
// same tokens, else at white space. Error{kInput} when it never does.
ContextTokens LocateContext(const text::Tokenizer& tokenizer, const std::string& question,
                            const std::string& context, const std::vector<int64_t>& ids);

struct Span {
  size_t begin = 0, end = 0;  // bytes of the context
  double share = 0;           // softmax over starts times softmax over ends, in the context alone
  double score = 0;           // start's plus end's
};

// start, end [tokens] are one input's scores. The best pairs with start <= end and at most
// `max_tokens` tokens, all of the context, best first; spans of the same words count once. Source:
// Devlin et al. 2019 (BERT), section 4.2.
std::vector<Span> BestSpans(const at::Tensor& start, const at::Tensor& end,
                            const ContextTokens& context, size_t num_spans,
                            int64_t max_tokens = 30);
// The first of them; an empty span at 0 when no token of the context is left.
Span BestSpan(const at::Tensor& start, const at::Tensor& end, const ContextTokens& context,
              int64_t max_tokens = 30);

}  // namespace moefy::ask
