#include "base/input_watch.h"

#include <sys/stat.h>

#include <map>
#include <mutex>
#include <utility>

#include "moefy/base/error.h"

namespace moefy {
namespace {

class Watches {
 public:
  static Watches& Instance() {
    static auto* instance = new Watches;  // never destroyed: mapped files may outlive it
    return *instance;
  }
  int Add(const std::filesystem::path& path, const struct stat& status) {
    const std::lock_guard lock(mutex_);
    watched_.emplace(++last_id_, Watched{path, status});
    return last_id_;
  }
  void End(int id) {
    const std::lock_guard lock(mutex_);
    const auto found = watched_.find(id);
    if (changed_.empty() && HasChanged(found->second)) changed_ = found->second.path;
    watched_.erase(found);
  }
  // Returns a file that has changed, or "". A file whose watch has ended is told once.
  std::filesystem::path FindChanged() {
    const std::lock_guard lock(mutex_);
    for (const auto& [id, watched] : watched_) {
      if (HasChanged(watched)) return watched.path;
    }
    return std::exchange(changed_, {});
  }

 private:
  struct Watched {
    std::filesystem::path path;
    struct stat status;
  };

  static bool HasChanged(const Watched& watched) {
    const struct stat& before = watched.status;
    struct stat now;
    // What is mapped stays if the file is gone.
    if (::stat(watched.path.c_str(), &now) != 0) return false;
    if (now.st_ino != before.st_ino || now.st_dev != before.st_dev) return false;
    return now.st_size != before.st_size || now.st_mtim.tv_sec != before.st_mtim.tv_sec ||
           now.st_mtim.tv_nsec != before.st_mtim.tv_nsec;
  }

  std::mutex mutex_;
  std::map<int, Watched> watched_;
  std::filesystem::path changed_;
  int last_id_ = 0;
};

}  // namespace

InputWatch::InputWatch(const std::filesystem::path& path, int descriptor) {
  struct stat status;
  if (::fstat(descriptor, &status) == 0) id_ = Watches::Instance().Add(path, status);
}

InputWatch::~InputWatch() {
  if (id_ != 0) Watches::Instance().End(id_);
}

InputWatch::InputWatch(InputWatch&& other) noexcept : id_(std::exchange(other.id_, 0)) {}

InputWatch& InputWatch::operator=(InputWatch&& other) noexcept {
  std::swap(id_, other.id_);
  return *this;
}

void ThrowIfInputsChanged() {
  const std::filesystem::path changed = Watches::Instance().FindChanged();
  if (changed.empty()) return;
  throw SystemError(0, changed,
                    ": was changed while it was read, so that what was made of it is "
                    "of no use; nothing was written. Run again");
}

}  // namespace moefy
