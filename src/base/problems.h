// Collects what is wrong with an input, so that one message can name it all. One owner at a time.
#pragma once

#include <cstddef>
#include <string>
#include <vector>

#include "moefy/base/error.h"

namespace moefy {

class Problems {
 public:
  template <typename... Parts>
  void Add(const Parts&... parts) {
    if (++count_ <= kMaxShown) shown_.push_back(StrCat(parts...));
  }
  // True when further problems would only be counted, so that a search for more may stop.
  bool IsFull() const { return count_ >= kMaxShown; }

  // Throws an Error that names the problems, one a line, when there are any.
  void ThrowIfAny(ErrorKind kind = ErrorKind::kInput) const {
    if (count_ == 0) return;
    if (count_ == 1) throw Error(kind, shown_.front());
    std::string text = StrCat(count_, " problems:\n  ", Join(shown_, "\n  "));
    if (count_ > kMaxShown) text += StrCat("\n  and ", count_ - kMaxShown, " more");
    throw Error(kind, text);
  }

 private:
  static constexpr size_t kMaxShown = 20;
  size_t count_ = 0;
  std::vector<std::string> shown_;
};

}  // namespace moefy
