// Notices that a file which is read by mapping it changes while a command works from it: what is
// made of it would be of two versions of the file.
#pragma once

#include <filesystem>

namespace moefy {

// As long as it lives, its file should stay as it is. Movable; thread-safe.
class InputWatch {
 public:
  InputWatch() = default;
  // Takes size and time of change of `path`, whose descriptor is open.
  InputWatch(const std::filesystem::path& path, int descriptor);
  ~InputWatch();
  InputWatch(InputWatch&& other) noexcept;
  InputWatch& operator=(InputWatch&& other) noexcept;

 private:
  int id_ = 0;  // 0: watches nothing
};

// Throws Error{kSystem} naming a file that has changed since its watch began; watches that have
// ended count too, until this has thrown for them. Called before an output gets its name. A file
// that another has taken the place of is no change: what is mapped is still the old one.
void ThrowIfInputsChanged();

}  // namespace moefy
