#include "ask/tokenizers.h"

namespace moefy::ask {

const text::Tokenizer& Tokenizers::Get(const text::Languages& languages) {
  auto& tokenizer = loaded_[{languages.source, languages.target}];
  if (!tokenizer) tokenizer = text::LoadTokenizer(*checkpoint_, languages);
  return *tokenizer;
}

}  // namespace moefy::ask
