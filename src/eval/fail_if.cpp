#include "eval/fail_if.h"

#include <algorithm>
#include <charconv>
#include <cmath>

#include "eval/figures.h"
#include "moefy/base/error.h"

namespace moefy::eval {
namespace {

using Factor = FailIf::Factor;
using Product = FailIf::Product;
using Sum = FailIf::Sum;
using Comparison = FailIf::Comparison;

struct ComparisonSign {
  const char* sign;
  bool (*holds)(double left, double right);
};

constexpr ComparisonSign kComparisons[] = {  // longer signs first
    {"<=", [](double left, double right) { return left <= right; }},
    {">=", [](double left, double right) { return left >= right; }},
    {"<", [](double left, double right) { return left < right; }},
    {">", [](double left, double right) { return left > right; }}};

class ConditionParser {
 public:
  ConditionParser(const std::string& text, const std::vector<std::string>& names)
      : text_(text), names_(names) {}

  std::vector<std::vector<Comparison>> Parse() {
    std::vector<std::vector<Comparison>> any_of;
    do {
      std::vector<Comparison>& all_of = any_of.emplace_back();
      do {
        all_of.push_back(TakeComparison());
      } while (Take("and"));
    } while (Take("or"));
    SkipSpace();
    if (at_ < text_.size()) throw Wrong("an operator or the end", at_);
    return any_of;
  }

 private:
  Comparison TakeComparison() {
    Comparison comparison;
    comparison.left = TakeSum();
    for (const auto& [sign, holds] : kComparisons) {
      if (!Take(sign)) continue;
      comparison.holds = holds;
      comparison.right = TakeSum();
      return comparison;
    }
    SkipSpace();
    throw Wrong("a comparison, like accuracy < 0.98*dense", at_);
  }

  Sum TakeSum() {
    Sum sum = {{1, TakeFactors()}};
    for (;;) {
      if (Take("+")) {
        sum.push_back({1, TakeFactors()});
      } else if (Take("-")) {
        sum.push_back({-1, TakeFactors()});
      } else {
        return sum;
      }
    }
  }

  std::vector<Factor> TakeFactors() {
    std::vector<Factor> factors = {TakeFactor()};
    while (Take("*")) factors.push_back(TakeFactor());
    return factors;
  }

  Factor TakeFactor() {
    SkipSpace();
    if (at_ < text_.size() && IsWordByte(text_[at_]) && !IsDigit(text_[at_])) return TakeName();
    Factor factor;
    const char* begin = text_.data() + at_;
    const auto [end, code] = std::from_chars(begin, text_.data() + text_.size(), factor.number);
    if (code != std::errc() || !std::isfinite(factor.number)) {
      throw Wrong("a number or a name", at_);
    }
    at_ += static_cast<size_t>(end - begin);
    return factor;
  }

  Factor TakeName() {
    Factor factor;
    size_t begin = at_;
    factor.name = TakeWord();
    if (factor.name == "dense") {
      factor.of_dense = true;
      factor.name = "metric";
      if (at_ < text_.size() && text_[at_] == '.') {
        begin = ++at_;
        factor.name = TakeWord();
      }
    }
    if (std::find(names_.begin(), names_.end(), factor.name) != names_.end()) return factor;
    if (const char* now = NewNameOf(factor.name)) {
      throw UsageError("position ", begin + 1, ": ", Quoted(factor.name), " is now called ",
                       Quoted(now), ", as in the JSON of `moefy eval`");
    }
    std::vector<std::string> known = names_;
    known.emplace_back("dense");
    throw UsageError("position ", begin + 1, ": unknown name ", Quoted(factor.name),
                     DidYouMean(factor.name, known), "; there are ", Join(known));
  }

  std::string TakeWord() {
    const size_t begin = at_;
    while (at_ < text_.size() && IsWordByte(text_[at_])) ++at_;
    return text_.substr(begin, at_ - begin);
  }

  // Takes a sign or a whole word, if it is next.
  bool Take(std::string_view sign) {
    SkipSpace();
    if (text_.compare(at_, sign.size(), sign) != 0) return false;
    const size_t end = at_ + sign.size();
    if (IsWordByte(sign.front()) && end < text_.size() && IsWordByte(text_[end])) return false;
    at_ = end;
    return true;
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

  const std::string& text_;
  const std::vector<std::string>& names_;
  size_t at_ = 0;
};

double ValueOf(const Factor& factor, const Figures& row, const Figures& dense) {
  return factor.name.empty() ? factor.number : (factor.of_dense ? dense : row).at(factor.name);
}

double ValueOf(const Sum& sum, const Figures& row, const Figures& dense) {
  double total = 0;
  for (const Product& product : sum) {
    double value = product.sign;
    for (const Factor& factor : product.factors) value *= ValueOf(factor, row, dense);
    total += value;
  }
  return total;
}

// What is not a number is never good enough, so a broken model does not slip through.
bool ComparisonHolds(const Comparison& comparison, const Figures& row, const Figures& dense) {
  const double left = ValueOf(comparison.left, row, dense);
  const double right = ValueOf(comparison.right, row, dense);
  return std::isnan(left) || std::isnan(right) || comparison.holds(left, right);
}

}  // namespace

FailIf::FailIf(const std::string& condition, const std::vector<std::string>& names)
    : any_of_(WithContext("condition " + Quoted(condition),
                          [&] { return ConditionParser(condition, names).Parse(); })) {}

bool FailIf::Holds(const Figures& row, const Figures& dense) const {
  return std::ranges::any_of(any_of_, [&](const std::vector<Comparison>& all_of) {
    return std::ranges::all_of(all_of, [&](const Comparison& comparison) {
      return ComparisonHolds(comparison, row, dense);
    });
  });
}

std::string FailIf::Describe(const Figures& row, const Figures& dense) const {
  std::vector<std::string> parts;
  const auto add = [&](const Sum& sum) {
    for (const Product& product : sum) {
      for (const Factor& factor : product.factors) {
        if (factor.name.empty()) continue;
        const std::string name = !factor.of_dense          ? factor.name
                                 : factor.name == "metric" ? "dense"
                                                           : "dense." + factor.name;
        std::string part = StrCat(name, " ", FormatFixed(ValueOf(factor, row, dense), 4));
        if (std::find(parts.begin(), parts.end(), part) == parts.end()) {
          parts.push_back(std::move(part));
        }
      }
    }
  };
  for (const std::vector<Comparison>& all_of : any_of_) {
    for (const Comparison& comparison : all_of) {
      add(comparison.left);
      add(comparison.right);
    }
  }
  return Join(parts);
}

void ApplyFailIf(const FailIf& fail_if, const std::string& condition, EvaluationReport& report) {
  const Figures dense = FiguresOf(report.rows.front());
  // The base lines are not what the gate is for, unless nothing else was measured.
  const bool split =
      std::ranges::any_of(report.rows, [](const EvaluationRow& row) { return !row.model.empty(); });
  for (const EvaluationRow& row : report.rows) {
    const bool base_line = split ? row.model.empty() : &row == &report.rows.front();
    if (base_line && report.rows.size() > 1) continue;
    if (!fail_if.Holds(FiguresOf(row), dense)) continue;
    report.failures.push_back(StrCat(report.task, ": ", row.model.empty() ? "" : row.model + " + ",
                                     row.selection, " at ", FormatFixed(100 * row.ffn_ratio, 1),
                                     " %: ", condition, " (",
                                     fail_if.Describe(FiguresOf(row), dense), ")"));
  }
}

}  // namespace moefy::eval
