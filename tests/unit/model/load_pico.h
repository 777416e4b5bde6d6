// A committed pico model, ready to run.
#pragma once

#include <string>

#include "moefy/io/checkpoint.h"
#include "moefy/model/transformer.h"
#include "support/shared_data.h"

namespace moefy::model {

inline Transformer LoadPico(const std::string& name) {
  return LoadTransformer(io::Checkpoint::Open(tests::TestData() / "pico" / name));
}

}  // namespace moefy::model
