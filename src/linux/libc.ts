import { constants } from 'node:os';
import { getSystemErrorMessage, getSystemErrorName } from 'node:util';
import koffi from 'koffi';

const libc = koffi.load(null);

/** `openat(2)`'s stand-in for the current directory: with it, absolute paths are allowed. */
export const AT_FDCWD = -100;
export const AT_SYMLINK_NOFOLLOW = 0x100;
export const AT_EMPTY_PATH = 0x1000;

/** Bytes that end with NUL, as the kernel takes names and paths; no other byte is 0. */
export type CString = Uint8Array;

export const emptyPath: CString = Buffer.from('\0');

/** A copy of `name` with the NUL behind it. */
export function cstring(name: string | Uint8Array): CString {
  return typeof name === 'string' ? Buffer.from(`${name}\0`) : Buffer.concat([name, emptyPath]);
}

/** Node.js has no names for numbers that its libuv doesn't know, ESTALE and EDQUOT among them. */
const otherNames = new Map<number, string>(Object.entries(constants.errno).map(([name, number]) => [number, name]));

function nameOfErrno(errno: number): string {
  const name = getSystemErrorName(-errno);
  return name.startsWith('Unknown') ? (otherNames.get(errno) ?? name) : name;
}

/** A failed system call, shaped like those that `node:fs` throws. */
export class SystemCallError extends Error {
  readonly code: string;
  readonly errno: number;
  readonly syscall: string;
  readonly path: string | undefined;

  constructor(errno: number, syscall: string, path?: CString | string) {
    const shown = path === undefined || typeof path === 'string' ? path : showName(path);
    const code = nameOfErrno(errno);
    const suffix = shown === undefined ? '' : ` '${shown}'`;
    super(`${code}: ${getSystemErrorMessage(-errno)}, ${syscall}${suffix}`);
    this.name = 'SystemCallError';
    this.code = code;
    this.errno = -errno;
    this.syscall = syscall;
    this.path = shown;
  }
}

/** A name for messages: as text where it is text, control characters and stray bytes as \xNN. */
export function showName(name: Uint8Array): string {
  const end = name.at(-1) === 0 ? name.length - 1 : name.length;
  const bytes = Buffer.from(name.buffer, name.byteOffset, end);
  const text = bytes.toString('utf8');
  const clean = Buffer.from(text).equals(bytes) && !/\p{Cc}/u.test(text);
  if (clean) return text;
  return Array.from(bytes, (b) =>
    b < 0x20 || b > 0x7e ? `\\x${b.toString(16).padStart(2, '0')}` : String.fromCharCode(b),
  ).join('');
}

type Argument = number | bigint | Uint8Array | null;

/**
 * Binds one function of the C library by its C prototype. Pointers are declared `void *` and given as Uint8Array: the
 * kernel reads and writes their memory in place. A call costs about 0.4 µs.
 */
export function bind(prototype: string): (...args: Argument[]) => number {
  return libc.func(prototype);
}

/** The same, run on a thread of its own so that this one goes on: resolves with the result, or with -1. */
export function bindInBackground(prototype: string): (...args: Argument[]) => Promise<number> {
  const call = libc.func(prototype);
  return (...args) => {
    const { promise, resolve, reject } = Promise.withResolvers<number>();
    call.async(...args, (error: Error | null, result: number) => (error === null ? resolve(result) : reject(error)));
    return promise;
  };
}

/** `length` bytes of this process's memory, in place, for as long as they are mapped: `address` is what mmap(2) returned. */
export function memoryAt(address: number, length: number): Buffer {
  return Buffer.from(koffi.view(BigInt(address), length));
}

/** The errno of this thread's last failed call. */
export function lastErrno(): number {
  return koffi.errno();
}

/** Passes a result through; a negative one becomes the error that errno says. */
export function check(result: number, syscall: string, path?: CString | string): number {
  if (result < 0) throw new SystemCallError(koffi.errno(), syscall, path);
  return result;
}

/** Whether something thrown is a failed system call (ours or Node's) with one of these codes. */
export function isErrno(thrown: unknown, ...codes: string[]): boolean {
  return thrown instanceof Error && 'code' in thrown && codes.includes(String(thrown.code));
}
