// Which neuron belongs to which expert. After the split, expert e is the contiguous run of neurons
// [e * neurons_per_expert, (e + 1) * neurons_per_expert). The first num_shared experts are shared:
// they run for every token. Value, thread-safe.
#pragma once

#include <cstdint>
#include <vector>

namespace moefy::split {

class ExpertPlan {
 public:
  // `order[new_position] = old_neuron`. Throws Error{kInput} unless `order` is a permutation of
  // 0..n-1, num_experts divides n, and an expert is left that is not shared.
  ExpertPlan(std::vector<int64_t> order, int64_t num_experts, int64_t num_shared = 0);
  // A plan that puts `neuron` into `expert_of[neuron]`. Each expert must occur exactly the same
  // number of times. Neurons keep their order within an expert.
  static ExpertPlan FromAssignment(const std::vector<int64_t>& expert_of, int64_t num_experts);

  int64_t num_experts() const { return num_experts_; }
  int64_t num_shared() const { return num_shared_; }
  int64_t num_neurons() const { return static_cast<int64_t>(order_.size()); }
  int64_t neurons_per_expert() const { return num_neurons() / num_experts_; }
  const std::vector<int64_t>& order() const { return order_; }
  std::vector<int64_t> Inverse() const;  // inverse[old_neuron] = new_position

 private:
  std::vector<int64_t> order_;
  int64_t num_experts_;
  int64_t num_shared_;
};

}  // namespace moefy::split
