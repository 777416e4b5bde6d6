// How the names in a checkpoint differ from the family's: found out from what is in it, and
// applied. Thread-safe.
#pragma once

#include <functional>
#include <string>
#include <vector>

#include "model/family.h"
#include "moefy/io/checkpoint.h"

namespace moefy::model {

using Warn = std::function<void(const std::string& what)>;

// Fills in the fields of `config` that say how names differ: prefixes, gamma and beta, tied
// embeddings or not, aliases. `warn` hears of every difference.
void FindStoredNames(const io::Checkpoint& checkpoint, const Family& family, ModelConfig& config,
                     const Warn& warn);

// The whole names under which a file may hold the token embedding, or copies of it.
std::vector<std::string> TiedNames(const ModelConfig& config, const ModelNames& names);

// Whether both tensors are there and hold the same bytes.
bool AreEqual(const io::Checkpoint& checkpoint, const std::string& a, const std::string& b);

// The name in the file of the tensor that the family calls `name`.
std::string StoredName(const ModelConfig& config, const std::string& name);

// How the names of a norm's weight and bias end.
struct NormSuffixes {
  std::string weight, bias;
};
NormSuffixes SuffixesOfNorms(const ModelConfig& config);

}  // namespace moefy::model
