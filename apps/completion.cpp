#include "completion.h"

#include "moefy/base/error.h"
#include "moefy/base/strings.h"

namespace moefy::apps {
namespace {

std::string Header(const char* comment, const char* shell) {
  return StrCat(comment,
                " Completes moefy's commands, options and files. Made by `moefy --completion ",
                shell, "`.\n");
}

// A word between single quotes. Fish has escapes there, the other shells have not.
std::string ShellQuoted(const std::string& text) {
  return "'" + ReplaceAll(text, "'", "'\\''") + "'";
}
std::string FishQuoted(const std::string& text) {
  return "'" + ReplaceAll(ReplaceAll(text, "\\", "\\\\"), "'", "\\'") + "'";
}

// The names of the options that `holds` is true of.
template <class Predicate>
std::string Names(const HelpPage& page, Predicate holds) {
  std::vector<std::string> names;
  for (const HelpOption& option : page.options) {
    if (holds(option)) names.insert(names.end(), option.names.begin(), option.names.end());
  }
  return Join(names, " ");
}

std::string Bash(const std::vector<HelpPage>& pages) {
  std::vector<std::string> commands;
  std::string cases;
  for (const HelpPage& page : pages) {
    if (!page.name.empty()) commands.push_back(page.name);
    cases += StrCat(
        "    \"", page.name, "\")\n      options=\"",
        Names(page, [](const HelpOption&) { return true; }), "\"\n      texts=\"",
        Names(page, [](const HelpOption& o) { return !o.value.empty() && !o.TakesNumber(); }),
        "\"\n      numbers=\"", Names(page, [](const HelpOption& o) { return o.TakesNumber(); }),
        "\" ;;\n");
  }
  return StrCat(Header("#", "bash"), R"(_moefy() {
  local word="${COMP_WORDS[COMP_CWORD]}" before="${COMP_WORDS[COMP_CWORD - 1]}" command="" i
  local options="" texts="" numbers=""
  # "--out=x" is three words here.
  if [[ $word == "=" ]]; then
    word=""
  elif [[ $before == "=" ]]; then
    before="${COMP_WORDS[COMP_CWORD - 2]}"
  fi
  for ((i = 1; i < COMP_CWORD; i++)); do
    if [[ ${COMP_WORDS[i]} != -* ]]; then
      command="${COMP_WORDS[i]}"
      break
    fi
  done
  case "$command" in
)",
                cases, R"(  esac
  COMPREPLY=()
  if [[ $word != -* ]]; then
    if [[ " $numbers " == *" $before "* ]]; then
      compopt +o default 2> /dev/null
      return
    fi
    # With nothing to offer, the shell offers files.
    if [[ -n $command || " $texts " == *" $before "* ]]; then return; fi
    options=")",
                Join(commands, " "), R"("
  fi
  mapfile -t COMPREPLY < <(compgen -W "$options" -- "$word")
}
complete -o default -F _moefy moefy
)");
}

// "--out=[directory of the result]:TEXT:_files", as _arguments takes it.
std::string ZshOption(const HelpOption& option, const std::string& name) {
  std::string help = option.help;
  for (const char* special : {"\\", "[", "]", ":"})
    help = ReplaceAll(help, special, StrCat("\\", special));
  if (option.value.empty()) return StrCat(name, "[", help, "]");
  return StrCat(name, name.starts_with("--") ? "=" : "", "[", help, "]:", option.value, ":",
                option.TakesNumber() ? " " : "_files");
}

std::string Zsh(const std::vector<HelpPage>& pages) {
  std::string commands, cases, other;
  for (const HelpPage& page : pages) {
    if (!page.name.empty()) {
      commands += StrCat("      ",
                         ShellQuoted(page.name + ":" + ReplaceAll(page.summary, ":", "\\:")), "\n");
    }
    std::string wanted = StrCat("    ", page.name.empty() ? "*" : page.name, ")\n      _arguments");
    for (const HelpOption& option : page.options) {
      for (const std::string& name : option.names) {
        wanted += StrCat(" \\\n        ", ShellQuoted(ZshOption(option, name)));
      }
    }
    for (const HelpOption& argument : page.arguments) {
      wanted += StrCat(" \\\n        ", ShellQuoted(StrCat("*:", argument.value, ":_files")));
    }
    wanted += " ;;\n";
    // The program's own case is for every other word, so it comes last.
    (page.name.empty() ? other : cases) += wanted;
  }
  return StrCat("#compdef moefy\n", Header("#", "zsh"), R"(_moefy() {
  local -a commands
  if (( CURRENT == 2 )) && [[ $words[2] != -* ]]; then
    commands=(
)",
                commands, R"(    )
    _describe command commands
    return
  fi
  local command=$words[2]
  if [[ $command != -* ]]; then
    shift words
    (( CURRENT-- ))
  fi
  case $command in
)",
                cases, other, R"(  esac
}
if [[ $funcstack[1] == _moefy ]]; then
  _moefy "$@"
else
  compdef _moefy moefy
fi
)");
}

std::string Fish(const std::vector<HelpPage>& pages) {
  std::string out = Header("#", "fish");
  for (const HelpPage& page : pages) {
    const std::string where =
        page.name.empty() ? "__fish_use_subcommand" : "__fish_seen_subcommand_from " + page.name;
    if (!page.name.empty()) {
      out += StrCat("complete -c moefy -n __fish_use_subcommand -f -a ", page.name, " -d ",
                    FishQuoted(page.summary), "\n");
    }
    for (const HelpOption& option : page.options) {
      out += StrCat("complete -c moefy -n ", FishQuoted(where));
      for (const std::string& name : option.names) {
        out += name.starts_with("--") ? " -l " + name.substr(2) : " -s " + name.substr(1);
      }
      if (!option.value.empty()) out += option.TakesNumber() ? " -x" : " -r -F";
      out += StrCat(" -d ", FishQuoted(option.help), "\n");
    }
  }
  return out;
}

}  // namespace

const std::vector<Shell>& Shells() {
  static const std::vector<Shell> shells = {{"bash", "bash-completion/completions/moefy", Bash},
                                            {"zsh", "zsh/site-functions/_moefy", Zsh},
                                            {"fish", "fish/vendor_completions.d/moefy.fish", Fish}};
  return shells;
}

const Shell& GetShell(const std::string& name) {
  std::vector<std::string> names;
  for (const Shell& shell : Shells()) {
    if (shell.name == name) return shell;
    names.push_back(shell.name);
  }
  throw UsageError("unknown shell ", Quoted(name), DidYouMean(name, names), "; one of ",
                   Join(names));
}

}  // namespace moefy::apps
