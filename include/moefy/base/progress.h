// How long work tells whoever watches how far it is, and how it learns that it should stop.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

namespace moefy {

// Thread-safety: the calls come from one thread at a time.
class Progress {
 public:
  virtual ~Progress() = default;
  // A heading over the steps that follow.
  virtual void Section(std::string_view title) = 0;
  // Starts a step of `total` units (0: unknown). Steps do not nest.
  virtual void Begin(std::string_view what, uint64_t total, std::string_view unit) = 0;
  // `num_units` more are done. Throws Error{kInterrupted} when the user asked to stop.
  virtual void Advance(uint64_t num_units) = 0;
  // The step is over; `result` says in a few words what came of it ("" for nothing to say).
  virtual void End(std::string_view result) = 0;
};

// Says nothing, and still notices interruption.
Progress& SilentProgress();

// Interruption is one flag for the process, set by a signal handler (async-signal-safe).
void RequestInterrupt();
bool InterruptRequested();
// Throws Error{kInterrupted} once the flag is set.
void ThrowIfInterrupted();

}  // namespace moefy
