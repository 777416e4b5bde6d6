#include "split/expert_plan.h"

#include "moefy/base/error.h"

namespace moefy::split {

ExpertPlan::ExpertPlan(std::vector<int64_t> order, int64_t num_experts, int64_t num_shared)
    : order_(std::move(order)), num_experts_(num_experts), num_shared_(num_shared) {
  const int64_t n = num_neurons();
  if (num_experts < 1 || n == 0 || n % num_experts != 0) {
    throw InputError("expert plan: ", num_experts, " experts do not divide ", n, " neurons");
  }
  if (num_shared < 0 || num_shared >= num_experts) {
    throw InputError("expert plan: ", num_shared, " of ", num_experts,
                     " experts are shared; expected 0 to ", num_experts - 1);
  }
  std::vector<char> seen(n, 0);
  for (int64_t position = 0; position < n; ++position) {
    const int64_t neuron = order_[position];
    if (neuron < 0 || neuron >= n) {
      throw InputError("expert plan: position ", position, " holds neuron ", neuron,
                       "; expected 0 to ", n - 1);
    }
    if (seen[neuron]++) {
      throw InputError("expert plan: neuron ", neuron, " appears twice, again at position ",
                       position);
    }
  }
}

ExpertPlan ExpertPlan::FromAssignment(const std::vector<int64_t>& expert_of, int64_t num_experts) {
  std::vector<std::vector<int64_t>> members(num_experts < 1 ? 0 : num_experts);
  for (size_t neuron = 0; neuron < expert_of.size(); ++neuron) {
    const int64_t expert = expert_of[neuron];
    if (expert < 0 || expert >= num_experts) {
      throw InputError("expert plan: neuron ", neuron, " is in expert ", expert, "; expected 0 to ",
                       num_experts - 1);
    }
    members[expert].push_back(static_cast<int64_t>(neuron));
  }
  std::vector<int64_t> order;
  for (size_t expert = 0; expert < members.size(); ++expert) {
    if (members[expert].size() * members.size() != expert_of.size()) {
      throw InputError("expert plan: expert ", expert, " has ", members[expert].size(),
                       " neurons; expected ", expert_of.size(), " / ", num_experts);
    }
    order.insert(order.end(), members[expert].begin(), members[expert].end());
  }
  return ExpertPlan(std::move(order), num_experts);
}

std::vector<int64_t> ExpertPlan::Inverse() const {
  std::vector<int64_t> inverse(order_.size());
  for (size_t position = 0; position < order_.size(); ++position) {
    inverse[order_[position]] = static_cast<int64_t>(position);
  }
  return inverse;
}

}  // namespace moefy::split
