import { execFileSync } from 'node:child_process';
import { expect, test } from 'vitest';
import { completionScript } from '../../../src/cli/completion-script.ts';

const commands = [
  { name: 'list', description: "list the host's containers", words: ['--output'] },
  { name: 'migrate', description: 'move', words: ['--to', '--from', '--output'] },
];

function completed(words: string[]): string[] {
  const script = `${completionScript('bash', commands)}
COMP_WORDS=(${words.map((word) => `'${word}'`).join(' ')}); COMP_CWORD=${words.length - 1}
_cargoctl; printf '%s\\n' "\${COMPREPLY[@]}"`;
  return execFileSync('bash', ['-c', script], { encoding: 'utf8' }).trimEnd().split('\n');
}

test('bash completes commands, then the options of the command', () => {
  expect(completed(['cargoctl', 'm'])).toEqual(['migrate']);
  expect(completed(['cargoctl', 'migrate', 'db', '--f'])).toEqual(['--from']);
  expect(completed(['cargoctl', 'list', '--'])).toEqual(['--output']);
});

test('zsh and fish learn the same words', () => {
  expect(completionScript('zsh', commands)).toContain('migrate) compadd -- --to --from --output ;;');
  expect(completionScript('fish', commands)).toContain(
    "'__fish_seen_subcommand_from migrate' -a '--to --from --output'",
  );
});
