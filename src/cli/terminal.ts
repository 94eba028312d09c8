import type { ReadStream, WriteStream } from 'node:tty';

/** Where cargoctl runs: its streams, its environment, and the signal that Ctrl-C aborts. */
export type Terminal = {
  stdin: NodeJS.ReadableStream & Partial<Pick<ReadStream, 'isTTY'>>;
  stdout: NodeJS.WritableStream & Partial<Pick<WriteStream, 'isTTY' | 'columns'>>;
  stderr: NodeJS.WritableStream & Partial<Pick<WriteStream, 'isTTY' | 'columns'>>;
  env: NodeJS.ProcessEnv;
  signal: AbortSignal;
};
