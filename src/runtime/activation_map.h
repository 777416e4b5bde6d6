// What happens to a sum behind a product: an FFN's activation, or what a router does. Values,
// thread-safe.
#pragma once

#include "moefy/model/config.h"

namespace moefy::runtime {

struct Map {
  enum Kind {
    kRelu,
    kRelu2,
    kRelu6,
    kFatRelu,
    kLeakyRelu,
    kGelu,
    kGelu10,
    kGeluTanh,
    kQuickGelu,
    kSilu,
    kMish,
    kTanh,
    kNone
  };
  Kind kind = kRelu;
  float threshold = 0;       // kFatRelu
  bool on_both = false;      // also maps what is multiplied with the gate
  bool makes_zeros = false;  // most results are exactly zero
};
// The map of an FFN's activation.
Map MapOf(const model::Activation& activation);

}  // namespace moefy::runtime
