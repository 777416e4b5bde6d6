#include "signals.h"

#include <pthread.h>
#include <unistd.h>

#include <atomic>
#include <cerrno>
#include <csignal>
#include <cstring>
#include <string>
#include <thread>

#include "base/interrupt.h"
#include "base/output.h"
#include "command.h"
#include "io/mapped_at.h"
#include "moefy/base/progress.h"
#include "moefy/base/strings.h"

namespace moefy::apps {
namespace {

// The work has this long to notice by itself that it should stop.
constexpr timespec kGrace = {0, 600'000'000};

// One thread waits for the signals, so no code here is bound by what a signal handler may call.
pthread_t watcher;
std::atomic<void*> fault_address{nullptr};

int FaultSignal() { return SIGRTMIN + 3; }

[[noreturn]] void End(int exit_code, const std::string& message) {
  AbandonOutputs();
  const std::string line = "error: " + message + "\n";
  // stdio is avoided because other threads may hold its locks.
  [[maybe_unused]] const auto written = ::write(STDERR_FILENO, line.data(), line.size());
  ::_exit(exit_code);
}

[[noreturn]] void EndByFault() {
  const std::filesystem::path file = io::FindMappedFile(fault_address.load());
  if (file.empty()) {  // the address is in no file of ours, so it is a bug and must look like one
    AbandonOutputs();
    std::signal(SIGBUS, SIG_DFL);
    ::kill(::getpid(), SIGBUS);
    ::_exit(kExitBug);
  }
  End(kExitSystem, StrCat(file,
                          ": became shorter while it was read, or its disk failed; nothing "
                          "was written"));
}

[[noreturn]] void Watch(const sigset_t& signals) {
  bool asked = false;
  for (;;) {
    const int signal =
        asked ? ::sigtimedwait(&signals, nullptr, &kGrace) : ::sigwaitinfo(&signals, nullptr);
    if (signal == FaultSignal()) EndByFault();
    if (signal < 0 && errno == EINTR) continue;
    const bool out_of_time = signal < 0;
    // The work is on its way out; only a second signal hurries it.
    if (out_of_time && InterruptAnswered()) continue;
    if (asked) End(kExitInterrupted, "interrupted; no output was written");
    asked = true;
    RequestInterrupt();
  }
}

// Threads that were there before the signals were blocked may still get one; this handles it.
void Forward(int signal) { ::pthread_kill(watcher, signal); }

void OnFault(int, siginfo_t* info, void*) {
  if (::pthread_equal(::pthread_self(), watcher)) ::_exit(kExitSystem);
  fault_address = info->si_addr;
  ::pthread_kill(watcher, FaultSignal());
  for (;;) ::pause();
}

}  // namespace

void WatchSignals() {
  std::signal(SIGPIPE, SIG_IGN);  // write reports a closed pipe or a file at its limit as an error
  std::signal(SIGXFSZ, SIG_IGN);
  sigset_t signals;
  ::sigemptyset(&signals);
  struct sigaction action = {};
  action.sa_handler = Forward;
  action.sa_flags = SA_RESTART;
  for (const int signal : {SIGINT, SIGTERM, SIGHUP}) {
    struct sigaction before = {};
    ::sigaction(signal, nullptr, &before);
    if (signal == SIGHUP && before.sa_handler == SIG_IGN) continue;
    ::sigaddset(&signals, signal);
  }
  ::sigaddset(&signals, FaultSignal());
  ::pthread_sigmask(SIG_BLOCK, &signals, nullptr);
  std::thread thread([signals] { Watch(signals); });
  watcher = thread.native_handle();
  thread.detach();
  for (const int signal : {SIGINT, SIGTERM, SIGHUP}) {
    if (::sigismember(&signals, signal)) ::sigaction(signal, &action, nullptr);
  }
  struct sigaction fault = {};
  fault.sa_sigaction = OnFault;
  fault.sa_flags = SA_SIGINFO;
  ::sigaction(SIGBUS, &fault, nullptr);
}

void WaitIfEnding() {
  while (OutputsAbandoned()) ::pause();
}

}  // namespace moefy::apps
