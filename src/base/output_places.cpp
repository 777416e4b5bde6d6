#include "base/output_places.h"

#include <pwd.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdlib>
#include <fstream>
#include <sstream>
#include <vector>

#include "base/own_output.h"
#include "moefy/base/error.h"

namespace moefy {
namespace {

namespace fs = std::filesystem;

// The path without links, as far as it exists.
fs::path RealPath(const fs::path& path) {
  std::error_code code;
  const fs::path real = fs::weakly_canonical(fs::absolute(path, code), code);
  return code ? path.lexically_normal() : real;
}

// Whether `inner` is `outer` or lies in it. Both are real paths.
bool Holds(const fs::path& outer, const fs::path& inner) {
  const auto [end, rest] = std::mismatch(outer.begin(), outer.end(), inner.begin(), inner.end());
  return !outer.empty() && end == outer.end();
}

// An input and, where it is a directory, what its entries are links to.
std::vector<fs::path> RealPaths(const fs::path& input) {
  std::vector<fs::path> paths = {RealPath(input)};
  std::error_code ignored;
  for (fs::directory_iterator it(input, ignored), end; it != end; it.increment(ignored)) {
    if (it->is_symlink(ignored)) paths.push_back(RealPath(it->path()));
  }
  return paths;
}

std::vector<fs::path> Homes() {
  std::vector<fs::path> homes;
  if (const char* home = std::getenv("HOME")) homes.emplace_back(home);
  if (const passwd* user = ::getpwuid(::getuid())) homes.emplace_back(user->pw_dir);
  homes.emplace_back("/root");
  std::error_code ignored;
  for (fs::directory_iterator it("/home", ignored), end; it != end; it.increment(ignored)) {
    homes.push_back(it->path());
  }
  return homes;
}

// The places where file systems are mounted: the fifth field of mountinfo, in which blanks and the
// like are written as three octal digits (proc(5)).
std::vector<fs::path> Mounts() {
  std::vector<fs::path> mounts;
  std::ifstream file("/proc/self/mountinfo");
  std::string line;
  while (std::getline(file, line)) {
    std::istringstream fields(line);
    std::string field;
    for (int i = 0; i < 5; ++i) fields >> field;
    std::string path;
    for (size_t i = 0; i < field.size(); ++i) {
      if (field[i] == '\\' && i + 3 < field.size()) {
        path += static_cast<char>(std::stoi(field.substr(i + 1, 3), nullptr, 8));
        i += 3;
      } else {
        path += field[i];
      }
    }
    mounts.emplace_back(path);
  }
  return mounts;
}

// Says why nobody means to lose a directory; "" when it may be removed.
std::string WhyPrecious(const fs::path& directory) {
  const fs::path real = RealPath(directory);
  if (real == real.root_path()) return "is the root of the file system";
  std::error_code ignored;
  if (Holds(real, RealPath(fs::current_path(ignored)))) return "holds the working directory";
  for (const fs::path& home : Homes()) {
    if (home.empty() || !fs::is_directory(home, ignored)) continue;
    const fs::path real_home = RealPath(home);
    if (real_home == real) return "is a home directory";
    if (Holds(real, real_home)) return StrCat("holds the home directory ", home);
  }
  if (fs::exists(fs::symlink_status(real / ".git", ignored))) {
    return "is the top of a git work tree";
  }
  for (const fs::path& mount : Mounts()) {
    if (mount == real) return "is the place of a mount";
    if (Holds(real, mount)) return StrCat("holds the mount ", mount);
  }
  return "";
}

void CheckParent(const fs::path& target) {
  const fs::path parent = target.has_parent_path() ? target.parent_path() : fs::path(".");
  struct stat status;
  if (::stat(parent.c_str(), &status) != 0) {
    if (errno != ENOENT && errno != ENOTDIR) throw SystemError(errno, parent);
    throw UsageError("output ", target, ": its directory ", Quoted(parent.string()),
                     " does not exist; create it first");
  }
  if (!S_ISDIR(status.st_mode)) {
    throw UsageError("output ", target, ": ", Quoted(parent.string()), " is not a directory");
  }
  if (::access(parent.c_str(), W_OK | X_OK) != 0) {
    throw SystemError(errno, "output ", target, ": its directory ", Quoted(parent.string()),
                      " cannot be written");
  }
}

// Says why what stands at the target stays, as the end of "output X exists and ..."; "" when it may
// be removed.
std::string WhyKept(const fs::path& target, Staging::Kind kind, IfExists if_exists) {
  std::error_code ignored;
  const fs::file_status status = fs::symlink_status(target, ignored);
  if (fs::is_symlink(status)) {
    return StrCat("is a link to ", fs::read_symlink(target, ignored), "; name that place itself");
  }
  if (kind == Staging::Kind::kFile) {
    if (!fs::is_regular_file(status)) return "is not a file";
    if (if_exists == IfExists::kRenew) return "";
  } else {
    if (!fs::is_directory(status)) return "is not a directory";
    if (const std::string why = WhyPrecious(target); !why.empty()) return why;
  }
  const std::string why = WhyNotOwn(target, if_exists == IfExists::kRenew);
  return why.empty() ? "" : StrCat("is not moefy's to replace: ", why);
}

}  // namespace

bool IsPresent(const fs::path& path) {
  struct stat status;
  if (::lstat(path.c_str(), &status) == 0) return true;
  if (errno == ENOENT || errno == ENOTDIR) return false;
  if (errno == ENAMETOOLONG || errno == ELOOP) {
    throw UsageError("output ", Quoted(path.string()), ": ", SystemMessage(errno));
  }
  throw SystemError(errno, path);
}

fs::path NormalTarget(const fs::path& target) {
  fs::path normal = target.lexically_normal();
  if (!normal.has_filename()) normal = normal.parent_path();
  const fs::path name = normal.filename();
  if (name.empty() || name == "." || name == ".." || normal == normal.root_path()) {
    throw UsageError("output ", Quoted(target.string()), " does not name a file or directory");
  }
  return normal;
}

void CheckApart(const fs::path& target, const InputPaths& inputs) {
  // The target's own name is kept, because a link there is another matter.
  const fs::path normal = NormalTarget(target);
  const fs::path parent = normal.has_parent_path() ? normal.parent_path() : fs::path(".");
  const fs::path real = RealPath(parent) / normal.filename();
  for (const fs::path& input : inputs) {
    std::error_code ignored;
    if (input.empty() || !fs::exists(input, ignored)) continue;
    const std::vector<fs::path> paths = RealPaths(input);
    for (const fs::path& path : paths) {
      const bool linked = path != paths.front();
      const std::string what = StrCat(linked ? "what is linked in " : "", "the input ", input);
      if (path == real || path == RealPath(normal)) {
        throw UsageError("output ", target, " is ", what, "; choose another place");
      }
      if (Holds(real, path)) {
        throw UsageError("output ", target, " holds ", what, "; choose another place");
      }
      if (!linked && Holds(path, real)) {
        throw UsageError("output ", target, " lies in ", what, "; choose a place beside it");
      }
    }
  }
}

void CheckExisting(const fs::path& target, Staging::Kind kind, IfExists if_exists) {
  if (!IsPresent(target)) return;
  const std::string why = WhyKept(target, kind, if_exists);
  if (if_exists == IfExists::kRefuse) {
    if (why.empty()) throw UsageError("output ", target, " exists already; --force replaces it");
    throw UsageError("output ", target, " exists already, and --force would not replace it: it ",
                     why);
  }
  if (!why.empty()) {
    throw UsageError("output ", target, " exists and ", why,
                     "; nothing was removed. Choose another place, or move it away yourself");
  }
}

void CheckTarget(const fs::path& target, Staging::Kind kind, IfExists if_exists,
                 const InputPaths& inputs) {
  IsPresent(target);  // a name that no file can have
  CheckParent(target);
  CheckApart(target, inputs);
  CheckExisting(target, kind, if_exists);
}

}  // namespace moefy
