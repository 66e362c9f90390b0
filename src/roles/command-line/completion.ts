// Completion scripts for bash, zsh and fish, written from the same tables that parse the flags.

import { DfError } from "../../errors.ts";
import type { Flag } from "./flags.ts";

export interface CompletedVerb {
  readonly name: string;
  readonly summary: string;
  readonly flags: readonly Flag[];
}

/** The names this program goes by; a plain file name is completed wherever no verb fits. */
const NAMES = ["df", "dfly", "dragonfly"];

/** @throws {DfError} usage for a shell that is none of bash, zsh and fish */
export function renderCompletion(
  shell: string | undefined,
  verbs: readonly CompletedVerb[],
): string {
  switch (shell) {
    case "bash":
      return bash(verbs);
    case "zsh":
      return `autoload -U +X bashcompinit && bashcompinit\n${bash(verbs)}`;
    case "fish":
      return fish(verbs);
    default:
      throw new DfError("usage", `completion for ${shell ?? "no shell"}: not one we know`, {
        hint: 'write df completion bash, zsh or fish, e.g. eval "$(df completion bash)"',
      });
  }
}

function bash(verbs: readonly CompletedVerb[]): string {
  const cases = verbs.map(
    ({ name, flags }) => `    ${name}) words="${longNames(flags).join(" ")}" ;;`,
  );
  return [
    "_dragonfly() {",
    '  local current="${COMP_WORDS[COMP_CWORD]}" words=""',
    '  case "${COMP_WORDS[1]}" in',
    ...cases,
    "  esac",
    `  if [ "$COMP_CWORD" = 1 ]; then words="${verbs.map(({ name }) => name).join(" ")}"; fi`,
    '  if [ "$COMP_CWORD" = 1 ] || [ "${current#-}" != "$current" ]; then',
    '    COMPREPLY=($(compgen -W "$words" -- "$current"))',
    "  fi",
    "}",
    `complete -o default -F _dragonfly ${NAMES.join(" ")}`,
  ].join("\n");
}

function fish(verbs: readonly CompletedVerb[]): string {
  const lines = verbs.flatMap(({ name, summary, flags }) => [
    `-n __fish_use_subcommand -a ${name} -d ${quoted(summary)}`,
    ...listed(flags).map(
      (flag) =>
        `-n '__fish_seen_subcommand_from ${name}' -l ${flag.name}${flag.value === undefined ? "" : " -r"} -d ${quoted(flag.help!)}`,
    ),
  ]);
  return NAMES.flatMap((command) => lines.map((line) => `complete -c ${command} ${line}`)).join(
    "\n",
  );
}

function listed(flags: readonly Flag[]): readonly Flag[] {
  return flags.filter(({ help }) => help !== undefined);
}

function longNames(flags: readonly Flag[]): string[] {
  return listed(flags).map(({ name }) => `--${name}`);
}

function quoted(text: string): string {
  return `'${text.replaceAll("\\", "\\\\").replaceAll("'", "\\'")}'`;
}
