// One process at a time works on an output; another learns who it is, or waits.
//
// The lock is a small file beside the output, or in the directory that grows, which says who holds
// it and is removed with it. What counts is the system's lock on the open file (an open file
// description lock, fcntl(2)), which ends with its process however that ends, so that a file that a
// killed process left behind is in nobody's way. On NFS the server keeps the lock for all its
// clients, and frees it when the client's lease ends. Where a file system has no locks there is
// none.
// Thread-safe.
#pragma once

#include <filesystem>
#include <functional>
#include <memory>
#include <string>

namespace moefy {

class OutputLock;  // held as long as it lives

// Takes the lock of a file or directory that is made beside its target. A process that has it
// already gets the same one. Throws Error{kSystem} that names who has it, or waits
// (WaitForOutputs). Null where no lock can be had: the place is not there or cannot be written,
// which the output itself will tell.
std::shared_ptr<OutputLock> LockOutput(const std::filesystem::path& target);

// The same for a directory that is there and grows from stage to stage.
std::shared_ptr<OutputLock> LockDirectory(const std::filesystem::path& directory);

inline constexpr const char* kLockFile = ".moefy-lock";  // in such a directory

// From now on this process waits for locks instead of throwing. `say` gets a sentence that names
// the holder, once for each.
void WaitForOutputs(std::function<void(const std::string&)> say);

}  // namespace moefy
