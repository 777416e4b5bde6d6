#include "eval/gate.h"

#include <algorithm>
#include <charconv>
#include <cmath>
#include <functional>

#include "moefy/base/error.h"

namespace moefy::eval {

using Binary = double (*)(double a, double b);

// Truth is 1 or 0. A leaf has no operation.
struct Gate::Node {
  Binary operation = nullptr;
  std::shared_ptr<const Node> left, right;
  double number = 0;
  std::string name;  // "": a number
  bool of_dense = false;
  bool is_condition = false;  // a truth, not a number
};

namespace {

using Node = Gate::Node;
using NodePtr = std::shared_ptr<const Node>;

struct Operator {
  const char* sign;
  Binary operation;
};

template <typename Operation>
double Apply(double a, double b) {
  return static_cast<double>(Operation()(a, b));
}

// A broken model must not slip through: what is no number is never good enough.
template <typename Operation>
double Compare(double a, double b) {
  return std::isnan(a) || std::isnan(b) ? 1 : Apply<Operation>(a, b);
}

constexpr Operator kOr[] = {{"or", Apply<std::logical_or<>>}};
constexpr Operator kAnd[] = {{"and", Apply<std::logical_and<>>}};
constexpr Operator kComparisons[] = {  // longer signs first
    {"<=", Compare<std::less_equal<>>}, {">=", Compare<std::greater_equal<>>},
    {"==", Compare<std::equal_to<>>},   {"!=", Compare<std::not_equal_to<>>},
    {"<", Compare<std::less<>>},        {">", Compare<std::greater<>>}};
constexpr Operator kSums[] = {{"+", Apply<std::plus<>>}, {"-", Apply<std::minus<>>}};
constexpr Operator kProducts[] = {{"*", Apply<std::multiplies<>>}, {"/", Apply<std::divides<>>}};

class Parser {
 public:
  Parser(const std::string& text, const std::vector<std::string>& names)
      : text_(text), names_(names) {}

  NodePtr Parse() {
    const NodePtr root = Or();
    SkipSpace();
    if (at_ < text_.size()) throw Wrong("an operator or the end", at_);
    if (!root->is_condition) throw Wrong("a comparison, like accuracy < 0.98*dense", at_);
    return root;
  }

 private:
  // Deep enough for people, and no stack is ever at stake.
  static constexpr int kMaxDepth = 50;

  // `sides` tells whether an operator takes truths or numbers, `gives` what it makes of them.
  template <size_t size, typename Next>
  NodePtr LeftToRight(const Operator (&operators)[size], bool sides, bool gives, int most,
                      Next&& next) {
    NodePtr left = next();
    for (int i = 0; i < most; ++i) {
      const size_t before = at_;
      const Operator* found = Take(operators);
      if (found == nullptr) break;
      if (left->is_condition != sides) throw WrongSide(sides, before);
      SkipSpace();
      const size_t begin = at_;
      NodePtr right = next();
      if (right->is_condition != sides) throw WrongSide(sides, begin);
      Node node;
      node.operation = found->operation;
      node.left = std::move(left);
      node.right = std::move(right);
      node.is_condition = gives;
      left = std::make_shared<const Node>(std::move(node));
    }
    return left;
  }

  static constexpr int kAny = 1000;
  NodePtr Or() {
    return LeftToRight(kOr, true, true, kAny, [&] { return And(); });
  }
  NodePtr And() {
    return LeftToRight(kAnd, true, true, kAny, [&] { return Comparison(); });
  }
  NodePtr Comparison() {
    return LeftToRight(kComparisons, false, true, 1, [&] { return Sum(); });
  }
  NodePtr Sum() {
    return LeftToRight(kSums, false, false, kAny, [&] { return Product(); });
  }
  NodePtr Product() {
    return LeftToRight(kProducts, false, false, kAny, [&] { return Factor(); });
  }

  NodePtr Factor() {
    SkipSpace();
    const size_t begin = at_;
    if (begin == text_.size()) throw Wrong("a number or a name", begin);
    if (++depth_ > kMaxDepth) throw UsageError("position ", begin + 1, ": nested too deeply");
    NodePtr node;
    if (text_[at_] == '(') {
      ++at_;
      node = Or();
      SkipSpace();
      if (at_ == text_.size() || text_[at_] != ')') throw Wrong("')'", at_);
      ++at_;
    } else if (text_[at_] == '-') {
      ++at_;
      SkipSpace();
      const size_t operand = at_;
      Node minus;
      minus.operation = Apply<std::minus<>>;
      minus.left = std::make_shared<const Node>();
      minus.right = Factor();
      if (minus.right->is_condition) throw WrongSide(false, operand);
      node = std::make_shared<const Node>(std::move(minus));
    } else if (IsWordByte(text_[at_]) && !IsDigit(text_[at_])) {
      node = Name();
    } else {
      node = Number();
    }
    --depth_;
    return node;
  }

  NodePtr Number() {
    Node node;
    const char* begin = text_.data() + at_;
    const auto [end, code] = std::from_chars(begin, text_.data() + text_.size(), node.number);
    if (code != std::errc() || !std::isfinite(node.number)) throw Wrong("a number or a name", at_);
    at_ += static_cast<size_t>(end - begin);
    return std::make_shared<const Node>(std::move(node));
  }

  NodePtr Name() {
    Node node;
    size_t begin = at_;
    node.name = Word();
    if (node.name == "dense") {
      node.of_dense = true;
      node.name = "metric";
      if (at_ < text_.size() && text_[at_] == '.') {
        begin = ++at_;
        node.name = Word();
      }
    }
    if (std::find(names_.begin(), names_.end(), node.name) == names_.end()) {
      std::vector<std::string> known = names_;
      known.emplace_back("dense");
      throw UsageError("position ", begin + 1, ": unknown name ", Quoted(node.name),
                       DidYouMean(node.name, known), "; there are ", Join(known));
    }
    return std::make_shared<const Node>(std::move(node));
  }

  std::string Word() {
    const size_t begin = at_;
    while (at_ < text_.size() && IsWordByte(text_[at_])) ++at_;
    return text_.substr(begin, at_ - begin);
  }

  // The operator that is next, if there is one of these.
  template <size_t size>
  const Operator* Take(const Operator (&operators)[size]) {
    SkipSpace();
    for (const Operator& candidate : operators) {
      const std::string_view sign = candidate.sign;
      if (text_.compare(at_, sign.size(), sign) != 0) continue;
      const size_t end = at_ + sign.size();
      const bool is_word = IsWordByte(sign.front());
      if (is_word && end < text_.size() && IsWordByte(text_[end])) continue;
      at_ = end;
      return &candidate;
    }
    return nullptr;
  }

  void SkipSpace() {
    while (at_ < text_.size() && (text_[at_] == ' ' || text_[at_] == '\t')) ++at_;
  }
  static bool IsDigit(char c) { return c >= '0' && c <= '9'; }
  static bool IsWordByte(char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || IsDigit(c) || c == '_';
  }

  Error Wrong(const char* wanted, size_t where) const {
    const std::string found =
        where < text_.size() ? Quoted(Shortened(text_.substr(where), 20)) : "the end";
    return UsageError("position ", where + 1, ": found ", found, "; expected ", wanted);
  }
  static Error WrongSide(bool wants_condition, size_t where) {
    return UsageError("position ", where + 1, ": expected ",
                      wants_condition ? "a comparison on both sides of 'and' and 'or'"
                                      : "a number on both sides of an operator, not a comparison");
  }

  const std::string& text_;
  const std::vector<std::string>& names_;
  size_t at_ = 0;
  int depth_ = 0;
};

// Every name once, in the order they are written.
void AddNamed(const Node& node, const Figures& row, const Figures& dense,
              std::vector<std::string>& parts) {
  if (node.operation != nullptr) {
    AddNamed(*node.left, row, dense, parts);
    AddNamed(*node.right, row, dense, parts);
  } else if (!node.name.empty()) {
    const std::string of_dense = node.name == "metric" ? "dense" : "dense." + node.name;
    const double value = (node.of_dense ? dense : row).at(node.name);
    const std::string part =
        StrCat(node.of_dense ? of_dense : node.name, " ", FormatFixed(value, 4));
    if (std::find(parts.begin(), parts.end(), part) == parts.end()) parts.push_back(part);
  }
}

double Value(const Node& node, const Figures& row, const Figures& dense) {
  if (node.operation != nullptr) {
    return node.operation(Value(*node.left, row, dense), Value(*node.right, row, dense));
  }
  return node.name.empty() ? node.number : (node.of_dense ? dense : row).at(node.name);
}

}  // namespace

std::vector<std::string> FigureNames(const task::TaskSpec& spec) {
  std::vector<std::string> names = task::MetricNames(spec);
  for (const char* name : {"metric", "agreement", "ffn_ratio", "measured_ffn_ratio",
                           "ffn_flops_ratio", "seconds", "ffn_seconds"}) {
    names.emplace_back(name);
  }
  // Text has no distribution to compare.
  if (spec.kind != task::TaskKind::kExtractiveQa && spec.kind != task::TaskKind::kGeneration) {
    names.emplace_back("kl");
  }
  return names;
}

Figures FiguresOf(const EvaluationRow& row) {
  Figures figures = {{"metric", row.metric().value.value},
                     {"agreement", row.agreement},
                     {"kl", row.kl.value},
                     {"ffn_ratio", row.ffn_ratio},
                     {"measured_ffn_ratio", row.measured_ffn_ratio},
                     {"ffn_flops_ratio", row.ffn_flops_ratio},
                     {"seconds", row.seconds},
                     {"ffn_seconds", row.ffn_seconds}};
  for (const MetricValue& metric : row.metrics) figures[metric.name] = metric.value.value;
  return figures;
}

Gate::Gate(const std::string& condition, const std::vector<std::string>& names)
    : root_(WithContext("condition " + Quoted(condition),
                        [&] { return Parser(condition, names).Parse(); })) {}

bool Gate::Holds(const Figures& row, const Figures& dense) const {
  return Value(*root_, row, dense) != 0;
}

std::string Gate::Describe(const Figures& row, const Figures& dense) const {
  std::vector<std::string> parts;
  AddNamed(*root_, row, dense, parts);
  return Join(parts);
}

void ApplyGate(const Gate& gate, const std::string& condition, EvaluationReport& report) {
  const Figures dense = FiguresOf(report.rows.front());
  for (const EvaluationRow& row : report.rows) {
    if (row.selection == "dense" && report.rows.size() > 1) continue;
    if (!gate.Holds(FiguresOf(row), dense)) continue;
    report.failures.push_back(StrCat(report.task, ": ", row.model.empty() ? "" : row.model + " + ",
                                     row.selection, " at ", FormatFixed(100 * row.ffn_ratio, 1),
                                     " %: ", condition, " (", gate.Describe(FiguresOf(row), dense),
                                     ")"));
  }
}

}  // namespace moefy::eval
