// Everything a person sees: progress on stderr, results on stdout. The only place that prints.
#pragma once

#include <chrono>
#include <string>
#include <string_view>
#include <vector>

#include "base/stopwatch.h"
#include "moefy/base/progress.h"

namespace moefy::apps {

// Progress on stderr: a bar with rate and time left on a terminal; otherwise a line per
// finished step, and one every `line_interval` inside a long one. `quiet` says nothing but still
// notices interruption.
class ConsoleProgress final : public Progress {
 public:
  explicit ConsoleProgress(bool quiet,
                           std::chrono::milliseconds line_interval = std::chrono::seconds(10));
  void Section(std::string_view title) override;
  void Begin(std::string_view what, uint64_t total, std::string_view unit) override;
  void Advance(uint64_t num_units) override;
  void End(std::string_view result) override;

 private:
  std::string HowFar() const;
  void DrawBar();
  void ClearLine();

  bool quiet_;
  bool is_terminal_;
  std::chrono::milliseconds line_interval_;  // where there is no terminal
  std::string what_, unit_;
  uint64_t total_ = 0;
  uint64_t done_ = 0;
  Stopwatch since_start_, since_drawn_;
  bool bar_visible_ = false;
};

// Whether stderr takes colours: a terminal, and NO_COLOR is not set.
bool UseColour();

}  // namespace moefy::apps
