export const shells = ['bash', 'zsh', 'fish'] as const;
export type Shell = (typeof shells)[number];
export type CommandWords = { name: string; description: string; words: string[] };

export function completionScript(shell: Shell, commands: readonly CommandWords[]): string {
  return { bash, zsh, fish }[shell](commands);
}

function bash(commands: readonly CommandWords[]): string {
  return `_cargoctl() {
  local words=${quoted(names(commands))}
  case "\${COMP_WORDS[1]}" in
${cases(commands, (words) => `if [ "$COMP_CWORD" -gt 1 ]; then words=${quoted(words)}; fi`)}
  esac
  COMPREPLY=($(compgen -W "$words" -- "\${COMP_WORDS[COMP_CWORD]}"))
}
complete -o default -F _cargoctl cargoctl
`;
}

function zsh(commands: readonly CommandWords[]): string {
  return `#compdef cargoctl
_cargoctl() {
  if (( CURRENT == 2 )); then
    compadd -- ${names(commands)}
    return
  fi
  case "\${words[2]}" in
${cases(commands, (words) => `compadd -- ${words}`)}
  esac
  _files
}
if [ "$funcstack[1]" = _cargoctl ]; then _cargoctl "$@"; else compdef _cargoctl cargoctl; fi
`;
}

function fish(commands: readonly CommandWords[]): string {
  const lines = commands.flatMap(({ name, description, words }) => [
    `complete -c cargoctl -n __fish_use_subcommand -f -a ${name} -d ${quoted(description)}`,
    `complete -c cargoctl -n '__fish_seen_subcommand_from ${name}' -a ${quoted(words.join(' '))}`,
  ]);
  return `${lines.join('\n')}\n`;
}

function cases(commands: readonly CommandWords[], body: (words: string) => string): string {
  return commands.map(({ name, words }) => `    ${name}) ${body(words.join(' '))} ;;`).join('\n');
}

function names(commands: readonly CommandWords[]): string {
  return commands.map(({ name }) => name).join(' ');
}

/** For a POSIX shell and fish alike: no quote survives. */
function quoted(text: string): string {
  return `'${text.replaceAll("'", '')}'`;
}
