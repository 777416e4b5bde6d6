#include "base/ranks.h"

#include <unistd.h>

#include <algorithm>
#include <cstdlib>

#include "moefy/base/error.h"
#include "moefy/base/progress.h"

#ifdef MOEFY_MPI
#include <mpi.h>
#endif

namespace moefy {

Ranks& Ranks::Get() {
  static Ranks ranks;
  return ranks;
}

#ifdef MOEFY_MPI

namespace {

// MPI itself waits by spinning, which would take a core from whoever still works.
void Wait(MPI_Request& request) {
  constexpr useconds_t kPoll = 2000;
  for (int done = 0;;) {
    MPI_Test(&request, &done, MPI_STATUS_IGNORE);
    if (done) return;
    ThrowIfInterrupted();
    usleep(kPoll);
  }
}

// Calls `work(part)` for parts of the values that MPI can count.
template <typename Work>
void InParts(std::span<float> values, const Work& work) {
  constexpr size_t kMostValues = size_t{1} << 28;
  for (size_t begin = 0; begin < values.size(); begin += kMostValues) {
    work(values.subspan(begin, std::min(kMostValues, values.size() - begin)));
  }
}

}  // namespace

void Ranks::CheckBuilt() {}

Ranks::Ranks() {
  // A process alone must not need MPI's daemons. These variables are set by OpenMPI, MPICH and
  // Slurm for the processes that they start.
  const bool started =
      std::getenv("OMPI_COMM_WORLD_SIZE") || std::getenv("PMI_SIZE") || std::getenv("PMIX_RANK");
  if (!started) return;
  int provided = 0;
  if (MPI_Init_thread(nullptr, nullptr, MPI_THREAD_FUNNELED, &provided) != MPI_SUCCESS) {
    throw SystemError(0, "MPI cannot be initialised");
  }
  MPI_Comm_rank(MPI_COMM_WORLD, &rank_);
  MPI_Comm_size(MPI_COMM_WORLD, &size_);
}

std::string Ranks::Share(const std::string& text) {
  unsigned long long size = text.size();
  MPI_Request request;
  MPI_Ibcast(&size, 1, MPI_UNSIGNED_LONG_LONG, 0, MPI_COMM_WORLD, &request);
  Wait(request);
  std::string shared = text;
  shared.resize(size);
  MPI_Ibcast(shared.data(), static_cast<int>(size), MPI_CHAR, 0, MPI_COMM_WORLD, &request);
  Wait(request);
  return shared;
}

void Ranks::SumIntoFirst(std::span<float> values) {
  if (size_ == 1) return;
  InParts(values, [&](std::span<float> part) {
    MPI_Request request;
    MPI_Ireduce(IsFirst() ? MPI_IN_PLACE : part.data(), IsFirst() ? part.data() : nullptr,
                static_cast<int>(part.size()), MPI_FLOAT, MPI_SUM, 0, MPI_COMM_WORLD, &request);
    Wait(request);
  });
}

void Ranks::Broadcast(std::span<float> values) {
  if (size_ == 1) return;
  InParts(values, [&](std::span<float> part) {
    MPI_Request request;
    MPI_Ibcast(part.data(), static_cast<int>(part.size()), MPI_FLOAT, 0, MPI_COMM_WORLD, &request);
    Wait(request);
  });
}

void Ranks::WaitForAll() {
  if (size_ == 1) return;
  MPI_Request request;
  MPI_Ibarrier(MPI_COMM_WORLD, &request);
  Wait(request);
}

void Ranks::Finish() {
  if (size_ > 1 && IsFirst()) Share("");
  int initialised = 0;
  MPI_Initialized(&initialised);
  if (initialised) MPI_Finalize();
}

void Ranks::Abort(int exit_code) {
  if (size_ > 1) MPI_Abort(MPI_COMM_WORLD, exit_code);
}

#else

void Ranks::CheckBuilt() {
  for (const char* name : {"OMPI_COMM_WORLD_SIZE", "PMI_SIZE"}) {
    const char* size = std::getenv(name);
    if (!size || std::atoi(size) < 2) continue;
    throw UsageError("mpirun started ", size, " processes of a moefy that was built without MPI; ",
                     "build it with cmake -DMOEFY_MPI=ON, or share the work by --shard");
  }
}
Ranks::Ranks() = default;
std::string Ranks::Share(const std::string& text) { return text; }
void Ranks::SumIntoFirst(std::span<float>) {}
void Ranks::Broadcast(std::span<float>) {}
void Ranks::WaitForAll() {}
void Ranks::Finish() {}
void Ranks::Abort(int) {}

#endif

void Ranks::Announce(const std::string& job) {
  MOEFY_CHECK(IsFirst() && !job.empty());
  if (size_ > 1) Share(job);
}

std::optional<std::string> Ranks::NextJob() {
  MOEFY_CHECK(!IsFirst());
  std::string job = Share("");
  if (job.empty()) return std::nullopt;
  return job;
}

}  // namespace moefy
