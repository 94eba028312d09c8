import { CargoError } from '../../api/cargo-error.ts';

/** The same failed system call, with the whole path of the entry that it was about in its message. */
export function withPath(error: unknown, path: string): unknown {
  const isSystemError = error instanceof Error && 'code' in error && !(error instanceof CargoError);
  if (isSystemError && !error.message.includes(path)) error.message += ` (${path})`;
  return error;
}
