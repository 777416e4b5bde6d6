// Texts as vectors: how the hidden states of an encoder become one vector, as the files say that
// sentence-transformers writes beside a model: modules.json, 1_Pooling/config.json,
// sentence_bert_config.json and config_sentence_transformers.json. Source:
// sentence_transformers/models/Pooling.py and Transformer.py of version 5. Values, thread-safe.
#pragma once

#include <ATen/ATen.h>

#include <cstdint>
#include <filesystem>
#include <string>
#include <vector>

namespace moefy::model {

// What a vector is made of; if there are several, they stand one after the other in this order.
enum class Pooling {
  kFirst,         // the states of the first token
  kMax,           // the largest value of all tokens, number by number
  kMean,          // the mean of all tokens
  kMeanSqrt,      // the tokens' sum divided by the square root of their number
  kWeightedMean,  // the mean with weights 1, 2, 3, ...: later tokens count more
  kLast,          // the states of the last token
};

struct TextEmbedding {
  std::vector<Pooling> pooling = {Pooling::kMean};
  bool normalize = false;   // to a length of 1
  int64_t max_tokens = 0;   // longer texts are cut; 0: as the model says
  bool lower_case = false;  // before the tokenizer sees the text
  std::string prompt;       // stands before every text
};

// Reads the files beside the model. Without modules.json the vector is the mean of all tokens, and
// `warnings` hears of it. Throws Error{kInput} for modules and options that are not supported, such
// as a dense layer after the pooling.
TextEmbedding ReadTextEmbedding(const std::filesystem::path& directory,
                                std::vector<std::string>* warnings = nullptr);

// Makes vectors [batch, hidden * number of poolings] of states [batch, tokens, hidden]. mask
// [batch, tokens] is not zero for real tokens; undefined means that all are real.
at::Tensor EmbedTexts(const TextEmbedding& embedding, const at::Tensor& states,
                      const at::Tensor& mask);

}  // namespace moefy::model
