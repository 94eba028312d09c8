import { readFileSync, realpathSync } from 'node:fs';

/** Whether something is mounted in a tree, where this process sees it. */
export function hasMountsBelow(path: string): boolean {
  const root = `${realpathSync(path).replace(/\/$/, '')}/`;
  return readFileSync('/proc/self/mountinfo', 'latin1')
    .split('\n')
    .some((line) => unescaped(line.split(' ')[4] ?? '').startsWith(root));
}

/** proc_pid_mountinfo(5): blanks and backslashes are written in octal. The rest are bytes. */
function unescaped(path: string): string {
  const bytes = path.replace(/\\([0-7]{3})/g, (_, octal: string) => String.fromCharCode(Number.parseInt(octal, 8)));
  return Buffer.from(bytes, 'latin1').toString('utf8');
}
