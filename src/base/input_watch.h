// Notices that a mapped file changes while a command works from it. The output would be made of two
// versions of the file.
#pragma once

#include <filesystem>

namespace moefy {

// Watches one file as long as it lives. Movable; thread-safe.
class InputWatch {
 public:
  InputWatch() = default;
  // Notes size and time of change of `path`, whose descriptor is open.
  InputWatch(const std::filesystem::path& path, int descriptor);
  ~InputWatch();
  InputWatch(InputWatch&& other) noexcept;
  InputWatch& operator=(InputWatch&& other) noexcept;

 private:
  int id_ = 0;  // 0: watches nothing
};

// Throws Error{kSystem} naming a file that has changed since its watch began. Watches that have
// ended count too, until this has thrown for them. Outputs call it before they take their names. A
// file that was replaced by another has not changed: the old one is still what is mapped.
void ThrowIfInputsChanged();

}  // namespace moefy
