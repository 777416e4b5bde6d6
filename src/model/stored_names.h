// How the names in a checkpoint differ from the family's, found out from what is in it.
#pragma once

#include <functional>
#include <string>
#include <vector>

#include "model/family.h"
#include "moefy/io/checkpoint.h"

namespace moefy::model {

using Warn = std::function<void(const std::string& what)>;

// Fills in the fields of `config` that say so: prefixes, gamma and beta, tied embeddings or not,
// aliases. What differs is said through `warn`.
void FindStoredNames(const io::Checkpoint& checkpoint, const Family& family, ModelConfig& config,
                     const Warn& warn);

// The whole names under which a file may hold the token embedding, or copies of it.
std::vector<std::string> TiedNames(const ModelConfig& config, const ModelNames& names);

// Both are there, and are the same bytes.
bool AreEqual(const io::Checkpoint& checkpoint, const std::string& a, const std::string& b);

}  // namespace moefy::model
