#include "child_processes.h"

#include <fcntl.h>
#include <poll.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <csignal>
#include <cstring>
#include <exception>
#include <list>

#include "base/stopwatch.h"
#include "moefy/base/error.h"
#include "moefy/base/progress.h"

namespace moefy::apps {
namespace {

constexpr int kPollMilliseconds = 100;  // how long an interruption may go unnoticed
constexpr int kCannotStart = 127;
constexpr std::string_view kErrorMark = "error: ";

struct Child {
  size_t idx = 0;
  pid_t pid = 0;
  int output = -1, errors = -1;  // our ends of its pipes
  std::string line;              // of stderr, as far as it has come
  ChildEnd end;
  Stopwatch stopwatch;

  bool is_open() const { return output >= 0 || errors >= 0; }
};

struct Pipe {
  int read = -1, write = -1;
  Pipe() {
    int ends[2];
    if (::pipe2(ends, O_CLOEXEC) != 0) throw SystemError(errno, "a pipe cannot be made");
    read = ends[0];
    write = ends[1];
  }
};

// What happens between fork and exec may call only what is safe there.
[[noreturn]] void Become(char* const* arguments, char* const* environment, const Pipe& output,
                         const Pipe& errors, pid_t parent) {
  ::setpgid(0, 0);  // Ctrl-C goes to the parent alone, which passes it on once
  ::prctl(PR_SET_PDEATHSIG, SIGTERM);
  if (::getppid() != parent) ::_exit(kCannotStart);
  const int nothing = ::open("/dev/null", O_RDONLY);
  if (nothing >= 0) ::dup2(nothing, STDIN_FILENO);
  ::dup2(output.write, STDOUT_FILENO);
  ::dup2(errors.write, STDERR_FILENO);
  ::execve("/proc/self/exe", arguments, environment);
  ::_exit(kCannotStart);
}

// The environment without what would make a child one of the ranks of an MPI run, or have it wait
// for the others of them.
std::vector<char*> ChildEnvironment() {
  std::vector<char*> variables;
  for (char** variable = environ; *variable; ++variable) {
    const std::string_view name = *variable;
    if (name.starts_with("OMPI_") || name.starts_with("PMIX_") || name.starts_with("PMI_"))
      continue;
    variables.push_back(*variable);
  }
  variables.push_back(nullptr);
  return variables;
}

Child Start(size_t idx, const std::vector<std::string>& command) {
  std::vector<std::string> texts = {"moefy"};
  texts.insert(texts.end(), command.begin(), command.end());
  std::vector<char*> arguments;
  for (std::string& text : texts) arguments.push_back(text.data());
  arguments.push_back(nullptr);
  const std::vector<char*> environment = ChildEnvironment();
  const Pipe output, errors;
  const pid_t parent = ::getpid();
  Child child;
  child.idx = idx;
  child.pid = ::fork();
  if (child.pid == 0) Become(arguments.data(), environment.data(), output, errors, parent);
  const int error = errno;
  ::close(output.write);
  ::close(errors.write);
  child.output = output.read;
  child.errors = errors.read;
  if (child.pid < 0) throw SystemError(error, "a process for a job cannot be made");
  return child;
}

// Reads what has come; closes the descriptor at the end.
std::string_view Take(int& descriptor, char (&buffer)[1 << 16]) {
  const ssize_t size = ::read(descriptor, buffer, sizeof(buffer));
  if (size > 0) return {buffer, static_cast<size_t>(size)};
  if (size < 0 && errno == EINTR) return {};
  ::close(descriptor);
  descriptor = -1;
  return {};
}

void EndLine(Child& child, const ChildWatch& watch) {
  if (child.line.starts_with(kErrorMark)) child.end.error = child.line.substr(kErrorMark.size());
  watch.on_line(child.idx, child.line);
  child.line.clear();
}

void TakeErrors(Child& child, const ChildWatch& watch) {
  char buffer[1 << 16];
  for (const char c : Take(child.errors, buffer)) {
    if (c == '\n') {
      EndLine(child, watch);
    } else {
      child.line += c;
    }
  }
  if (child.errors < 0 && !child.line.empty()) EndLine(child, watch);
}

void TakeOutput(Child& child) {
  char buffer[1 << 16];
  child.end.output += Take(child.output, buffer);
}

// Waits a little for what children say.
void Listen(std::list<Child>& children, const ChildWatch& watch) {
  std::vector<pollfd> polled;
  for (const Child& child : children) {
    polled.push_back({child.output, POLLIN, 0});  // one that is closed, -1, is passed over
    polled.push_back({child.errors, POLLIN, 0});
  }
  if (::poll(polled.data(), polled.size(), kPollMilliseconds) <= 0) return;
  size_t i = 0;
  for (Child& child : children) {
    if (polled[i++].revents != 0) TakeOutput(child);
    if (polled[i++].revents != 0) TakeErrors(child, watch);
  }
}

void Reap(Child& child) {
  int status = 0;
  while (::waitpid(child.pid, &status, 0) < 0 && errno == EINTR) {
  }
  constexpr int kSignalled = 128;
  child.end.exit_code = WIFSIGNALED(status) ? kSignalled + WTERMSIG(status) : WEXITSTATUS(status);
  if (WIFSIGNALED(status)) {
    const int signal = WTERMSIG(status);
    child.end.error =
        StrCat("was ended by signal ", signal, " (", ::strsignal(signal), ")",
               signal == SIGKILL ? ", as the system ends who takes too much memory" : "");
  } else if (child.end.exit_code == kCannotStart) {
    child.end.error = "the program cannot be started again";
  }
  child.end.seconds = child.stopwatch.Seconds();
}

}  // namespace

void RunChildren(const std::vector<std::vector<std::string>>& commands, size_t at_once,
                 const ChildWatch& watch) {
  std::list<Child> children;
  std::exception_ptr stopped;  // what ends this once the children have ended
  bool starts = true;
  for (size_t next = 0; !children.empty() || (starts && next < commands.size());) {
    try {
      if (!stopped) ThrowIfInterrupted();
      while (starts && next < commands.size() && children.size() < at_once) {
        const size_t i = next++;
        if (watch.on_start(i)) children.push_back(Start(i, commands[i]));
      }
    } catch (const Error&) {
      stopped = std::current_exception();
      starts = false;
      for (const Child& child : children) ::kill(child.pid, SIGTERM);
    }
    if (!children.empty()) Listen(children, watch);
    for (auto child = children.begin(); child != children.end();) {
      if (child->is_open()) {
        ++child;
        continue;
      }
      Reap(*child);
      if (!watch.on_end(child->idx, child->end)) starts = false;
      child = children.erase(child);
    }
  }
  if (stopped) std::rethrow_exception(stopped);
}

}  // namespace moefy::apps
