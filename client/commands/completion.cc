// Completion scripts for shells, made from the commands and their flags.
#include <algorithm>
#include <string>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/str_replace.h"
#include "absl/strings/str_split.h"
#include "absl/strings/strip.h"
#include "client/commands/commands.h"

namespace diffusiond {
namespace {

std::vector<FlagText> AllFlags(const Command& command) {
  std::vector<FlagText> flags = FlagTexts(command.flags);
  for (FlagText& option : FlagTexts(command.options)) flags.push_back(std::move(option));
  return flags;
}

// "png", "webp" of "=png|webp": what is written in small letters is meant so.
std::vector<std::string> WordsOf(const FlagText& flag) {
  absl::string_view form = flag.form;
  absl::ConsumePrefix(&form, "=");
  std::vector<std::string> words = absl::StrSplit(form, '|');
  const bool literal =
      words.size() > 1 && std::all_of(form.begin(), form.end(), [](char c) {
        return c == '|' || c == '_' || (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9');
      });
  if (!literal) words.clear();
  return words;
}

bool NamesFile(const FlagText& flag) {
  return absl::StrContains(flag.form, "FILE") || absl::StrContains(flag.form, "DIR");
}

std::string Names(const std::vector<Command>& commands) {
  return absl::StrJoin(commands, " ", [](std::string* text, const Command& command) {
    absl::StrAppend(text, command.name);
  });
}

// In single quotes, as bash and zsh read them.
std::string Quoted(const std::string& text) {
  return absl::StrCat("'", absl::StrReplaceAll(text, {{"'", "'\\''"}}), "'");
}

std::string BashScript(const std::vector<Command>& commands) {
  std::string values, flags;
  for (const Command& command : commands) {
    absl::StrAppend(&flags, "    ", command.name, ") words='");
    for (const FlagText& flag : AllFlags(command)) {
      absl::StrAppend(&flags, "--", flag.name, flag.form.empty() ? " " : "= ");
      if (const std::vector<std::string> words = WordsOf(flag); !words.empty()) {
        absl::StrAppend(&values, "    ", command.name, ":--", flag.name, ") words='",
                        absl::StrJoin(words, " "), "' ;;\n");
      }
    }
    flags += "' ;;\n";
  }
  return absl::StrCat(
      R"(# diffusionctl in bash. Words that it knows nothing of are names of files.
_diffusionctl() {
  local current=${COMP_WORDS[COMP_CWORD]} last=${COMP_WORDS[COMP_CWORD-1]} flag= words=
  # To bash, "=" is a word of its own.
  if [[ $current == = ]]; then flag=$last current=
  elif [[ $last == = ]]; then flag=${COMP_WORDS[COMP_CWORD-2]}
  elif [[ $last == --* && $current != -* ]]; then flag=$last
  fi
  if ((COMP_CWORD == 1)); then words=')",
      Names(commands), R"( help'
  elif [[ -n $flag ]]; then case ${COMP_WORDS[1]}:$flag in
)",
      values, R"(  esac
  elif [[ $current == -* ]]; then case ${COMP_WORDS[1]} in
)",
      flags, R"(  esac
  elif [[ ${COMP_WORDS[1]} == help ]]; then words=')",
      Names(commands), R"('
  elif [[ ${COMP_WORDS[1]} == completion ]]; then words='bash zsh fish'
  fi
  COMPREPLY=($(compgen -W "$words" -- "$current"))
  if [[ ${COMPREPLY[0]} == *= ]]; then compopt -o nospace 2>/dev/null; fi
}
complete -o default -F _diffusionctl diffusionctl
)");
}

std::string ZshScript(const std::vector<Command>& commands) {
  std::string list, cases;
  for (const Command& command : commands) {
    absl::StrAppend(&list, "    ", Quoted(absl::StrCat(command.name, ":", command.summary)), "\n");
    absl::StrAppend(&cases, "    ", command.name, ") _arguments");
    for (const FlagText& flag : AllFlags(command)) {
      const std::string help = absl::StrReplaceAll(flag.help, {{"[", "\\["}, {"]", "\\]"}});
      const std::vector<std::string> words = WordsOf(flag);
      const std::string value = flag.form.empty() ? ""
                                : !words.empty()
                                    ? absl::StrCat(":value:(", absl::StrJoin(words, " "), ")")
                                : NamesFile(flag) ? ":file:_files"
                                                  : ":value: ";
      absl::StrAppend(&cases, " \\\n      ",
                      Quoted(absl::StrCat("--", flag.name, flag.form.empty() ? "" : "=", "[", help,
                                          "]", value)));
    }
    cases += " \\\n      '*:file:_files' ;;\n";
  }
  return absl::StrCat(R"(#compdef diffusionctl
_diffusionctl() {
  local -a commands=(
)",
                      list, R"(    'help:tell what a command does'
  )
  if ((CURRENT == 2)); then _describe command commands; return; fi
  shift words; ((CURRENT--))
  case $words[1] in
)",
                      cases, R"(    help) _describe command commands ;;
  esac
}
if [[ $funcstack[1] == _diffusionctl ]]; then _diffusionctl "$@"; else compdef _diffusionctl diffusionctl; fi
)");
}

std::string FishScript(const std::vector<Command>& commands) {
  const auto quoted = [](const std::string& text) {
    return absl::StrCat("'", absl::StrReplaceAll(text, {{"\\", "\\\\"}, {"'", "\\'"}}), "'");
  };
  std::string script =
      "# diffusionctl in fish.\n"
      "complete -c diffusionctl -n __fish_use_subcommand -f -a help -d 'tell what a command "
      "does'\n";
  for (const Command& command : commands) {
    absl::StrAppend(&script, "complete -c diffusionctl -n __fish_use_subcommand -f -a ",
                    command.name, " -d ", quoted(command.summary), "\n");
    for (const FlagText& flag : AllFlags(command)) {
      absl::StrAppend(&script, "complete -c diffusionctl -n '__fish_seen_subcommand_from ",
                      command.name, "' -l ", flag.name);
      const std::vector<std::string> words = WordsOf(flag);
      if (!flag.form.empty()) script += NamesFile(flag) ? " -r -F" : " -x";
      if (!words.empty()) absl::StrAppend(&script, " -a '", absl::StrJoin(words, " "), "'");
      absl::StrAppend(&script, " -d ", quoted(flag.help), "\n");
    }
  }
  return script;
}

int Run(const std::vector<std::string>& arguments, CommandContext& context) {
  const std::string& shell = arguments[0];
  const std::vector<Command> commands = AllCommands();
  if (shell == "bash") {
    *context.out << BashScript(commands);
  } else if (shell == "zsh") {
    *context.out << ZshScript(commands);
  } else if (shell == "fish") {
    *context.out << FishScript(commands);
  } else {
    *context.err << "diffusionctl: '" << shell << "' is not a shell it knows: bash, zsh or fish\n";
    return kExitUsage;
  }
  return kExitOk;
}

}  // namespace

Command CompletionCommand() {
  return {.name = "completion",
          .arguments = "SHELL",
          .summary = "print what completes commands and flags in bash, zsh or fish",
          .details =
              "  bash  source <(diffusionctl completion bash)\n"
              "  zsh   source <(diffusionctl completion zsh)   after compinit\n"
              "  fish  diffusionctl completion fish | source\n",
          .min_arguments = 1,
          .max_arguments = 1,
          .run = Run};
}

}  // namespace diffusiond
