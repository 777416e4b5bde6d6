// Collects what is wrong with a file, so that one message can name it all.
#pragma once

#include <string>
#include <utility>
#include <vector>

#include "moefy/base/error.h"

namespace moefy::io {

class Problems {
 public:
  template <typename... Parts>
  void Add(const Parts&... parts) {
    if (++count_ <= kMaxShown) shown_.push_back(StrCat(parts...));
  }
  bool IsFull() const { return count_ >= kMaxShown; }  // more would not be shown

  // Throws Error{kInput} when there are any.
  void ThrowIfAny() const {
    if (count_ == 0) return;
    if (count_ == 1) throw InputError(shown_.front());
    std::string text = StrCat(count_, " problems:");
    for (const std::string& problem : shown_) text += "\n  " + problem;
    if (count_ > kMaxShown) text += StrCat("\n  and ", count_ - kMaxShown, " more");
    throw InputError(text);
  }

 private:
  static constexpr size_t kMaxShown = 20;
  size_t count_ = 0;
  std::vector<std::string> shown_;
};

}  // namespace moefy::io
