// Runs many commands of one program without loading it for each. Loaded in front of the C library,
// with FAULT_SERVER=SOCKET in the environment, it stops the program before `main`, where its
// libraries are loaded and initialised (for LibTorch that takes longer than a small command), and
// listens at that path. Each connection brings one message: descriptors for stdout and stderr, and
// strings that end with a zero byte:
//
//   DIRECTORY NAME=VALUE... "" ARGUMENT...
//
// A copy of the process (fork) goes to that directory, sets these variables and runs `main` with
// the arguments; its status, as of waitpid, is sent back. The server ends with its stdin.
#include <dlfcn.h>
#include <poll.h>
#include <signal.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <string>
#include <vector>

#include "fault_environment.h"

namespace {

using Main = int (*)(int, char**, char**);
using StartMain = int (*)(Main, int, char**, void (*)(), void (*)(), void (*)(), void*);

[[noreturn]] void Stop(const char* what) {
  std::perror(what);
  ::_exit(1);
}

struct Request {
  std::array<int, 2> outputs{-1, -1};
  std::vector<std::string> strings;
};

Request Receive(int connection) {
  static std::array<char, 1 << 16> bytes;
  Request request;
  alignas(cmsghdr) std::array<char, CMSG_SPACE(sizeof request.outputs)> control{};
  iovec part = {bytes.data(), bytes.size()};
  msghdr message = {};
  message.msg_iov = &part;
  message.msg_iovlen = 1;
  message.msg_control = control.data();
  message.msg_controllen = control.size();
  const ssize_t size = ::recvmsg(connection, &message, 0);
  const cmsghdr* header = CMSG_FIRSTHDR(&message);
  if (size <= 0 || !header || (message.msg_flags & MSG_TRUNC)) Stop("request");
  std::memcpy(request.outputs.data(), CMSG_DATA(header), sizeof request.outputs);
  for (const char* at = bytes.data(); at < bytes.data() + size; at += std::strlen(at) + 1) {
    request.strings.emplace_back(at);
  }
  return request;
}

// Sends back how the process ended.
void Answer(int connection, pid_t process) {
  int status = 0;
  ::waitpid(process, &status, 0);
  ::_exit(::write(connection, &status, sizeof status) == sizeof status ? 0 : 1);
}

// Becomes the process that the request is for; returns its arguments.
std::vector<char*> Become(Request& request, const char* program) {
  if (::chdir(request.strings[0].c_str()) != 0) Stop("chdir");
  for (int i = 0; i < 2; ++i) ::dup2(request.outputs[i], 1 + i);
  for (const int descriptor : request.outputs) ::close(descriptor);
  ::unsetenv("FAULT_SERVER");
  size_t i = 1;
  for (; i < request.strings.size() && !request.strings[i].empty(); ++i) {
    ::putenv(request.strings[i].data());
  }
  ReadFaultEnvironment();
  std::vector<char*> arguments = {const_cast<char*>(program)};
  for (++i; i < request.strings.size(); ++i) arguments.push_back(request.strings[i].data());
  return arguments;
}

// Returns in each process that is to run `main`, and never in the server.
std::vector<char*> Serve(const char* path, const char* program) {
  const int listener = ::socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);
  sockaddr_un address = {};
  address.sun_family = AF_UNIX;
  std::snprintf(address.sun_path, sizeof address.sun_path, "%s", path);
  if (::bind(listener, reinterpret_cast<const sockaddr*>(&address), sizeof address) != 0 ||
      ::listen(listener, 64) != 0) {
    Stop(path);
  }
  std::puts("listening");
  std::fflush(stdout);
  ::signal(SIGCHLD, SIG_IGN);  // who answers is waited for by nobody
  std::array<pollfd, 2> events = {{{listener, POLLIN, 0}, {STDIN_FILENO, POLLIN, 0}}};
  while (::poll(events.data(), events.size(), -1) > 0 && events[1].revents == 0) {
    const int connection = ::accept4(listener, nullptr, nullptr, SOCK_CLOEXEC);
    static Request request;  // outlives this call: variables and arguments point into it
    request = Receive(connection);
    if (::fork() == 0) {
      ::signal(SIGCHLD, SIG_DFL);
      const pid_t process = ::fork();
      if (process != 0) Answer(connection, process);
      ::close(listener);
      ::close(connection);
      return Become(request, program);
    }
    ::close(connection);
    for (const int descriptor : request.outputs) ::close(descriptor);
  }
  ::_exit(0);
}

}  // namespace

// What every program's first instructions call, once its libraries are initialised.
extern "C" int __libc_start_main(Main main, int argc, char** argv, void (*init)(), void (*fini)(),
                                 void (*loader_fini)(), void* stack_end) {
  const auto real = reinterpret_cast<StartMain>(::dlsym(RTLD_NEXT, "__libc_start_main"));
  const char* path = std::getenv("FAULT_SERVER");
  if (!path) return real(main, argc, argv, init, fini, loader_fini, stack_end);
  static std::vector<char*> arguments = Serve(path, argv[0]);
  const int count = static_cast<int>(arguments.size());
  arguments.push_back(nullptr);
  return real(main, count, arguments.data(), init, fini, loader_fini, stack_end);
}
