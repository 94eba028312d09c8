import { readFileSync } from 'node:fs';
import { bind, check, cstring } from './libc.ts';

const mount2 = bind('int mount(void *source, void *target, void *type, ulong flags, void *data)');
const umount2 = bind('int umount2(void *target, int flags)');

const MS_BIND = 0x1000;
const MNT_DETACH = 2;
const UMOUNT_NOFOLLOW = 8;

/** mount(2) with MS_BIND: what is seen at `source` is seen at `target` too, until the next boot. */
export function bindMount(source: string, target: string): void {
  check(mount2(cstring(source), cstring(target), null, MS_BIND, null), 'mount', target);
}

/** umount2(2): gone from the path at once; who uses it keeps it. */
export function detachMount(target: string): void {
  check(umount2(cstring(target), MNT_DETACH | UMOUNT_NOFOLLOW), 'umount2', target);
}

/** Whether something is mounted right there, by proc_pid_mountinfo(5). */
export function isMountPoint(path: string): boolean {
  return readFileSync('/proc/self/mountinfo', 'utf8')
    .split('\n')
    .some((line) => unescaped(line.split(' ')[4] ?? '') === path);
}

/** Blanks and backslashes are written as octal numbers. */
function unescaped(text: string): string {
  return text.replace(/\\([0-7]{3})/g, (_, digits: string) => String.fromCharCode(Number.parseInt(digits, 8)));
}
