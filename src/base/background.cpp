#include "base/background.h"

#include <system_error>
#include <utility>

#include "base/interrupt.h"
#include "moefy/base/error.h"
#include "moefy/base/progress.h"

namespace moefy {

Background::Background() {
  try {
    thread_ = std::thread([this] { Work(); });
  } catch (const std::system_error& error) {
    throw SystemError(error.code().value(), "a thread cannot be started");
  }
}

Background::~Background() {
  {
    const std::lock_guard lock(mutex_);
    ending_ = true;
  }
  changed_.notify_all();
  const bool answered = InterruptAnswered();
  SetInterruptAnswered(false);  // a call of the task may never return
  thread_.join();
  SetInterruptAnswered(answered);
}

void Background::Add(Task task) {
  {
    const std::lock_guard lock(mutex_);
    ThrowFailure();
    tasks_.push_back(std::move(task));
  }
  changed_.notify_all();
}

bool Background::WaitFor(std::chrono::milliseconds most) {
  std::unique_lock lock(mutex_);
  changed_.wait_for(lock, most, [&] { return tasks_.empty() || failure_; });
  ThrowFailure();
  return tasks_.empty();
}

void Background::ThrowFailure() const {
  ThrowIfInterrupted();
  if (failure_) std::rethrow_exception(failure_);
}

void Background::Work() {
  std::unique_lock lock(mutex_);
  for (;;) {
    changed_.wait(lock, [&] { return ending_ || (!tasks_.empty() && !failure_); });
    if (ending_) return;
    Task& task = tasks_.front();  // adding others leaves it where it is
    lock.unlock();
    std::exception_ptr failure;
    try {
      task();
    } catch (...) {
      failure = std::current_exception();
    }
    lock.lock();
    failure_ = failure;
    if (!failure) tasks_.pop_front();
    changed_.notify_all();
  }
}

}  // namespace moefy
