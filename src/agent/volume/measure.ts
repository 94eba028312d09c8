import { randomUUID } from 'node:crypto';
import { rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { InodeIndex } from './inode-index.ts';
import type { Link } from './link.ts';
import { OpenRoot } from './open-root.ts';
import { PagedFile } from './paged-file.ts';
import { scanTree } from './scanner.ts';
import type { TreeMeasure, WorkerJob } from './worker-messages.ts';

/** Counts a tree that may be live, by a scan whose records go to a temporary file. */
export function measureInWorker(job: Extract<WorkerJob, { kind: 'measure' }>, link: Link): TreeMeasure {
  using root = OpenRoot.open(job.root);
  const path = join(tmpdir(), `cargo-measure-${randomUUID()}.tree`);
  using file = PagedFile.create(path);
  rmSync(path);
  return scanTree({ root, file, index: new InodeIndex(), poll: () => link.throwIfStopped(), onChange: () => {} });
}
