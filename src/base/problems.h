// Collects what is wrong with an input, so that one message can name it all. One owner at a time.
#pragma once

#include <cstddef>
#include <string>
#include <vector>

#include "moefy/base/error.h"

namespace moefy {

class Problems {
 public:
  // The message names the first `max_shown` and counts the others.
  explicit Problems(size_t max_shown = 20) : max_shown_(max_shown) {}

  template <typename... Parts>
  void Add(const Parts&... parts) {
    if (++count_ <= max_shown_) shown_.push_back(StrCat(parts...));
  }
  // True once there are as many as are named. A search that asks must stop then; the message says
  // that the rest was not read.
  bool StopSearch() { return stopped_ = count_ >= max_shown_; }

  size_t count() const { return count_; }
  // Throws an Error that names the problems, one a line, when there are any.
  void ThrowIfAny(ErrorKind kind = ErrorKind::kInput) const {
    if (count_ == 0) return;
    if (count_ == 1) throw Error(kind, shown_.front());
    std::string text = StrCat(count_, " problems", stopped_ ? " (the rest was not read)" : "",
                              ":\n  ", Join(shown_, "\n  "));
    if (count_ > max_shown_) text += StrCat("\n  and ", count_ - max_shown_, " more");
    throw Error(kind, text);
  }

 private:
  size_t max_shown_;
  size_t count_ = 0;
  bool stopped_ = false;
  std::vector<std::string> shown_;
};

}  // namespace moefy
