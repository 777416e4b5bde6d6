// The processes of one MPI run, `mpirun -n 8 moefy ...`: rank 0 runs the command and announces jobs
// that can be shared, all others serve these jobs. Where moefy was built without MPI, or was not
// started by mpirun, there is one process of rank 0. Waiting ranks sleep instead of spinning.
// Thread-safety: for the main thread alone.
#pragma once

#include <optional>
#include <span>
#include <string>

namespace moefy {

class Ranks {
 public:
  static Ranks& Get();  // joins the MPI run when it is first called
  // Throws Error{kUsage} when mpirun started several processes of a moefy without MPI, which would
  // all do the same work.
  static void CheckBuilt();

  int rank() const { return rank_; }
  int size() const { return size_; }
  bool IsFirst() const { return rank_ == 0; }

  // Rank 0: gives a job, which is not empty, to all others.
  void Announce(const std::string& job);
  // The others: waits for the next job. std::nullopt when rank 0 needs them no more.
  std::optional<std::string> NextJob();
  // Every rank calls these with as many values. Adds up the values of all ranks into rank 0's, in
  // an order that depends on nothing but their number; gives rank 0's to all. Throw
  // Error{kInterrupted}.
  void SumIntoFirst(std::span<float> values);
  void Broadcast(std::span<float> values);
  // Returns when every rank has called it. Throws Error{kInterrupted}.
  void WaitForAll();
  // Rank 0: sends the others home. Every rank: leaves the MPI run; nothing may follow.
  void Finish();
  // Ends the processes of all ranks, if there are several; mpirun exits with `exit_code`.
  void Abort(int exit_code);

 private:
  Ranks();
  std::string Share(const std::string& text);  // rank 0's text, on every rank

  int rank_ = 0;
  int size_ = 1;
};

}  // namespace moefy
