import { execFileSync } from 'node:child_process';
import { randomFillSync } from 'node:crypto';
import fs from 'node:fs';
import { join } from 'node:path';
import { setImmediate } from 'node:timers/promises';

export type TreeShape = { files: number; bytes: number };

const FILES_A_DIRECTORY = 1000;
const PERMISSIONS = [0o600, 0o640, 0o644, 0o755];
const SOME_DAY_S = 1_700_000_000;

/** Files of random bytes, with owners, permissions and times that differ; durable on return. */
export async function makeTree(path: string, { files, bytes }: TreeShape, signal: AbortSignal): Promise<void> {
  const content = Buffer.alloc(bytes);
  for (let index = 0; index < files; index += 1) {
    const directory = join(path, `d${Math.floor(index / FILES_A_DIRECTORY)}`);
    if (index % FILES_A_DIRECTORY === 0) fs.mkdirSync(directory, { recursive: true });
    writeEntry(join(directory, `file-${index}`), index, randomFillSync(content));
    if (index % 100 === 0 || bytes > 1 << 20) {
      await setImmediate();
      signal.throwIfAborted();
    }
  }
  execFileSync('sync', ['-f', path]);
}

function writeEntry(path: string, index: number, content: Buffer): void {
  const fd = fs.openSync(path, 'wx');
  try {
    fs.writeSync(fd, content);
    fs.fchownSync(fd, 1000 + (index % 7), 1000 + (index % 5));
    fs.fchmodSync(fd, PERMISSIONS[index % PERMISSIONS.length] ?? 0o600);
    fs.futimesSync(fd, SOME_DAY_S + index, SOME_DAY_S + index + (index % 1000) / 1000);
  } finally {
    fs.closeSync(fd);
  }
}
