#include "moefy/base/progress.h"

#include <atomic>

#include "base/interrupt.h"
#include "moefy/base/error.h"

namespace moefy {
namespace {

std::atomic<bool> interrupt_requested{false};
std::atomic<bool> interrupt_answered{false};
static_assert(std::atomic<bool>::is_always_lock_free, "must be safe in a signal handler");

class Silent final : public Progress {
 public:
  void Section(std::string_view) override {}
  void Begin(std::string_view, uint64_t, std::string_view) override {}
  void Advance(uint64_t) override { ThrowIfInterrupted(); }
  void End(std::string_view) override {}
};

}  // namespace

Progress& SilentProgress() {
  static Silent silent;
  return silent;
}

void RequestInterrupt() { interrupt_requested.store(true); }
bool InterruptRequested() { return interrupt_requested.load(); }

void ThrowIfInterrupted() {
  if (!InterruptRequested()) return;
  interrupt_answered.store(true);
  throw Error(ErrorKind::kInterrupted, "interrupted; nothing was written");
}

bool InterruptAnswered() { return interrupt_answered.load(); }
void SetInterruptAnswered(bool answered) { interrupt_answered.store(answered); }

}  // namespace moefy
