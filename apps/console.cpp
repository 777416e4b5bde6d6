#include "console.h"

#include <unistd.h>

#include <algorithm>
#include <cstdio>
#include <cstdlib>

#include "moefy/base/strings.h"

namespace moefy::apps {
namespace {

constexpr int kBarWidth = 24;
constexpr double kRedrawSeconds = 0.1;

// Bytes are shown in units of their own; everything else is shown as a count.
std::string Amount(double amount, const std::string& unit) {
  const auto whole = static_cast<uint64_t>(std::max(0.0, amount));
  return unit == "B" ? FormatBytes(whole) : FormatCount(whole);
}

constexpr const char* kYellow = "\033[33;1m";
constexpr const char* kRed = "\033[31;1m";

void SayLine(const char* colour, const char* level, std::string_view message) {
  const bool coloured = UseColour();
  const std::string line =
      StrCat(coloured ? colour : "", level, coloured ? "\033[0m" : "", ": ", message, "\n");
  std::fputs(line.c_str(), stderr);
}

}  // namespace

void Warn(std::string_view message) { SayLine(kYellow, "warning", message); }
void SayError(std::string_view message) { SayLine(kRed, "error", message); }

bool UseColour() { return isatty(STDERR_FILENO) && !std::getenv("NO_COLOR"); }

ConsoleProgress::ConsoleProgress(bool quiet, std::chrono::milliseconds line_interval)
    : quiet_(quiet), is_terminal_(isatty(STDERR_FILENO) != 0), line_interval_(line_interval) {}

void ConsoleProgress::Section(std::string_view title) {
  if (quiet_) return;
  const bool colour = UseColour();
  std::fprintf(stderr, "%s%s%s\n", colour ? "\033[1m" : "", std::string(title).c_str(),
               colour ? "\033[0m" : "");
}

void ConsoleProgress::Begin(std::string_view what, uint64_t total, std::string_view unit) {
  what_ = what;
  unit_ = unit;
  total_ = total;
  done_ = 0;
  since_start_ = since_drawn_ = Stopwatch();
  if (!quiet_ && is_terminal_) DrawBar();
}

void ConsoleProgress::Advance(uint64_t num_units) {
  done_ += num_units;
  ThrowIfInterrupted();
  if (quiet_) return;
  if (is_terminal_ && since_drawn_.Seconds() >= kRedrawSeconds) {
    since_drawn_ = Stopwatch();
    DrawBar();
  }
  if (!is_terminal_ && since_drawn_.Milliseconds() >= static_cast<double>(line_interval_.count())) {
    since_drawn_ = Stopwatch();
    std::fprintf(stderr, "  %s: %s\n", what_.c_str(), HowFar().c_str());
    std::fflush(stderr);
  }
}

// Gives "12/30 FFNs, 0.4/s, 45.0 s left".
std::string ConsoleProgress::HowFar() const {
  const double seconds = since_start_.Seconds();
  if (total_ == 0) return FormatDuration(seconds) + " so far";
  const double rate = seconds > 0 ? static_cast<double>(done_) / seconds : 0;
  std::string text =
      Amount(static_cast<double>(done_), unit_) + "/" + Amount(static_cast<double>(total_), unit_);
  if (unit_ != "B") text += " " + unit_;
  if (rate > 0 && done_ < total_) {
    text += ", " + (rate < 10 && unit_ != "B" ? FormatFixed(rate, 2) : Amount(rate, unit_)) +
            "/s, " + FormatDuration(static_cast<double>(total_ - done_) / rate) + " left";
  } else {
    text += ", " + FormatDuration(seconds) + " so far";
  }
  return text;
}

void ConsoleProgress::DrawBar() {
  std::string line = "  " + what_;
  if (total_ > 0) {
    const double share = std::min(1.0, static_cast<double>(done_) / static_cast<double>(total_));
    const int filled = static_cast<int>(share * kBarWidth);
    line += " [" + std::string(filled, '#') + std::string(kBarWidth - filled, '.') + "] ";
  } else {
    line += " ";
  }
  line += HowFar();
  std::fprintf(stderr, "\r\033[2K%s", line.c_str());
  std::fflush(stderr);
  bar_visible_ = true;
}

void ConsoleProgress::ClearLine() {
  if (bar_visible_) std::fprintf(stderr, "\r\033[2K");
  bar_visible_ = false;
}

void ConsoleProgress::End(std::string_view result) {
  if (quiet_) return;
  ClearLine();
  constexpr double kWorthALine = 1;  // seconds, if there is nothing else to say
  if (result.empty() && since_start_.Seconds() < kWorthALine) return;
  std::fprintf(stderr, "  %s: %s%s%s\n", what_.c_str(), std::string(result).c_str(),
               result.empty() ? "" : ", ", FormatDuration(since_start_.Seconds()).c_str());
}

}  // namespace moefy::apps
