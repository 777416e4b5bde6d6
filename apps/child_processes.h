// Runs this program anew for each of several commands, some at a time. A process of its own costs
// half a second, and for that a command that crashes, or is killed for the memory it takes, costs
// itself alone, and gives back all it took.
// Thread-safety: one owner, the main thread. Children end with their parent, however that ends.
#pragma once

#include <cstddef>
#include <functional>
#include <string>
#include <string_view>
#include <vector>

namespace moefy::apps {

struct ChildEnd {
  int exit_code = 0;   // 128 and the signal's number where a signal ended it, as in a shell
  std::string output;  // what it printed to stdout
  std::string error;   // the last message of stderr that begins with "error: ", without that
  double seconds = 0;
};

struct ChildWatch {
  std::function<bool(size_t)> on_start;                   // false: this one is passed over
  std::function<void(size_t, std::string_view)> on_line;  // of its stderr
  std::function<bool(size_t, const ChildEnd&)> on_end;    // false: no more are started
};

// Each command is the program's arguments. Throws Error{kInterrupted} after an interruption, which
// is passed on to the children, and Error{kSystem} when no process can be made.
void RunChildren(const std::vector<std::vector<std::string>>& commands, size_t at_once,
                 const ChildWatch& watch);

}  // namespace moefy::apps
