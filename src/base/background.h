// Work that goes on beside the caller's, task by task on one thread. Thread-safety: one owner.
#pragma once

#include <chrono>
#include <condition_variable>
#include <deque>
#include <exception>
#include <functional>
#include <mutex>
#include <thread>

namespace moefy {

class Background {
 public:
  using Task = std::function<void()>;

  Background();   // throws Error{kSystem} when the system has no thread to give
  ~Background();  // waits for the task that runs, and drops those that have not begun
  Background(const Background&) = delete;
  Background& operator=(const Background&) = delete;

  // Puts a task behind those that were given. The first that throws is the last that runs: Add and
  // WaitFor then throw the same, and Error{kInterrupted} when the user asked to stop.
  void Add(Task task);
  // Waits until all tasks are done, for at most so long. Returns whether they are.
  bool WaitFor(std::chrono::milliseconds most);

 private:
  void Work();
  void ThrowFailure() const;

  std::mutex mutex_;
  std::condition_variable changed_;
  std::deque<Task> tasks_;  // the first of them runs
  bool ending_ = false;
  std::exception_ptr failure_;
  std::thread thread_;
};

}  // namespace moefy
