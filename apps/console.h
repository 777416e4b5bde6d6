// Everything a person sees goes through here: progress to stderr, results to stdout.
#pragma once

#include <chrono>
#include <string>
#include <string_view>
#include <vector>

#include "base/stopwatch.h"
#include "moefy/base/progress.h"

namespace moefy::apps {

// Shows progress on stderr. A terminal gets a bar with rate and time left; a log gets a line per
// finished step, and one every `line_interval` inside a long step. With `quiet` it says nothing but
// still notices interruption.
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

// One line on stderr, "warning: ..." or "error: ...", whose first word is coloured on a terminal.
void Warn(std::string_view message);
void SayError(std::string_view message);

// True when stderr is a terminal and NO_COLOR is not set.
bool UseColour();

}  // namespace moefy::apps
