#include "split/permute.h"

#include <cstring>

#include "base/problems.h"
#include "moefy/base/error.h"

namespace moefy::split {
namespace {

// The bits of one neuron's entry, which is a row of a row-wise tensor or an element of a
// column-wise one.
uint64_t EntryBits(const io::TensorInfo& info, NeuronAxis axis) {
  const auto bits = static_cast<uint64_t>(io::DTypeBits(info.dtype));
  return axis == NeuronAxis::kColumns ? bits : info.num_bytes() * 8 / info.shape[0];
}

// Constant widths let the compiler turn the copy into one load and store.
template <size_t kBytes>
void Gather(const std::byte* in, std::byte* out, const std::vector<int64_t>& order) {
  for (size_t position = 0; position < order.size(); ++position) {
    std::memcpy(out + position * kBytes, in + static_cast<size_t>(order[position]) * kBytes,
                kBytes);
  }
}

void GatherAny(const std::byte* in, std::byte* out, const std::vector<int64_t>& order,
               size_t num_bytes) {
  switch (num_bytes) {
    case 1:
      return Gather<1>(in, out, order);
    case 2:
      return Gather<2>(in, out, order);
    case 4:
      return Gather<4>(in, out, order);
    case 8:
      return Gather<8>(in, out, order);
    default:
      for (size_t position = 0; position < order.size(); ++position) {
        std::memcpy(out + position * num_bytes,
                    in + static_cast<size_t>(order[position]) * num_bytes, num_bytes);
      }
  }
}

// Repeats the order for each further part of as many entries.
std::vector<int64_t> Repeated(std::vector<int64_t> order, int64_t copies) {
  const size_t size = order.size();
  for (int64_t copy = 1; copy < copies; ++copy) {
    for (size_t i = 0; i < size; ++i) {
      order.push_back(order[i] + copy * static_cast<int64_t>(size));
    }
  }
  return order;
}

}  // namespace

Permutation ReorderedTensor::By(const ExpertPlan& plan, bool inverse) const {
  return {Repeated(inverse ? plan.Inverse() : plan.order(), copies), axis};
}

std::map<std::string, ReorderedTensor, std::less<>> ReorderedTensors(
    const io::Checkpoint& checkpoint, const std::vector<model::FfnSpec>& ffns) {
  std::map<std::string, ReorderedTensor, std::less<>> tensors;
  Problems problems;
  const auto add = [&](const std::string& name, const std::vector<int64_t>& shape,
                       const ReorderedTensor& reordered) {
    if (name.empty()) return;
    const io::TensorInfo* info = checkpoint.Find(name);
    if (!info) {
      problems.Add("tensor ", Quoted(name), " is missing",
                   DidYouMean(name, checkpoint.TensorNames()));
      return;
    }
    if (!io::HasShape(*info, shape)) {
      problems.Add("tensor ", Quoted(name), " has shape ", FormatShape(info->shape), "; expected ",
                   FormatShape(shape));
      return;
    }
    if (EntryBits(*info, reordered.axis) % 8 != 0) {
      problems.Add("tensor ", Quoted(name), " in ", io::DTypeName(info->dtype),
                   " packs several neurons into one byte; cannot be reordered");
      return;
    }
    if (!tensors.try_emplace(name, reordered).second) {
      problems.Add("tensor ", Quoted(name), " belongs to two FFNs");
    }
  };
  for (size_t i = 0; i < ffns.size(); ++i) {
    const model::FfnSpec& spec = ffns[i];
    const ReorderedTensor rows = {i, NeuronAxis::kRows, 1};
    const ReorderedTensor columns = {i, NeuronAxis::kColumns, 1};
    // A neuron's entries in a matrix [neurons, hidden] or, stored the other way, [hidden, neurons].
    if (spec.fused()) {  // the gate's rows, then the others', in one order
      const ReorderedTensor pairs = {i, NeuronAxis::kRows, 2};
      add(spec.w_in, {2 * spec.num_neurons, spec.hidden}, pairs);
      add(spec.b_in, {2 * spec.num_neurons}, pairs);
      add(spec.w_out, {spec.hidden, spec.num_neurons}, columns);
      continue;
    }
    const auto add_matrix = [&](const std::string& name, bool neurons_first) {
      if (neurons_first) {
        add(name, {spec.num_neurons, spec.hidden}, rows);
      } else {
        add(name, {spec.hidden, spec.num_neurons}, columns);
      }
    };
    add_matrix(spec.w_in, !spec.transposed);
    add_matrix(spec.w_gate, !spec.transposed);
    add_matrix(spec.w_out, spec.transposed);
    add(spec.b_in, {spec.num_neurons}, rows);
    add(spec.b_gate, {spec.num_neurons}, rows);
  }
  WithContext(checkpoint.directory().string(), [&] { problems.ThrowIfAny(); });
  return tensors;
}

std::map<std::string, Permutation, std::less<>> Permutations(const io::Checkpoint& checkpoint,
                                                             const std::vector<MoeFfn>& ffns,
                                                             bool inverse) {
  std::vector<model::FfnSpec> specs;
  for (const auto& [spec, plan] : ffns) {
    MOEFY_CHECK(spec.num_neurons == plan.num_neurons());
    specs.push_back(spec);
  }
  std::map<std::string, Permutation, std::less<>> permutations;
  for (const auto& [name, reordered] : ReorderedTensors(checkpoint, specs)) {
    permutations.emplace(name, reordered.By(ffns[reordered.ffn_idx].plan, inverse));
  }
  return permutations;
}

std::span<const std::byte> Permute(const io::TensorInfo& info, std::span<const std::byte> bytes,
                                   const Permutation& permutation,
                                   std::vector<std::byte>& scratch) {
  const auto& [order, axis] = permutation;
  const size_t entry_bytes = EntryBits(info, axis) / 8;
  const size_t line_bytes = order.size() * entry_bytes;
  MOEFY_CHECK(line_bytes > 0 && bytes.size() % line_bytes == 0);
  scratch.resize(bytes.size());
  for (size_t line = 0; line < bytes.size(); line += line_bytes) {
    GatherAny(bytes.data() + line, scratch.data() + line, order, entry_bytes);
  }
  return scratch;
}

io::TensorTransform PermuteAll(const io::Checkpoint& checkpoint, const std::vector<MoeFfn>& ffns,
                               bool inverse) {
  return [permutations = Permutations(checkpoint, ffns, inverse)](const io::TensorInfo& info,
                                                                  std::span<const std::byte> bytes,
                                                                  std::vector<std::byte>& scratch) {
    const auto found = permutations.find(info.name);
    return found == permutations.end() ? bytes : Permute(info, bytes, found->second, scratch);
  };
}

}  // namespace moefy::split
