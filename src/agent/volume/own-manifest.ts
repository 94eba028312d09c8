import { closeSync, openSync, readSync, rmSync, writeSync } from 'node:fs';
import type { BlockHash } from './block-hash.ts';
import { FRAME_MAX_BYTES, type FrameKind, frameKinds } from './frames.ts';
import { type Link, unexpectedFrame } from './link.ts';
import { manifestPaths, NewManifest } from './manifest.ts';
import type { OpenRoot } from './open-root.ts';
import type { RecordView } from './record.ts';
import { scanTree } from './scanner.ts';
import { TreeHasher } from './tree-hasher.ts';

/** Label of a manifest that the target makes of its own tree and sends to the source. */
export const HAVE = 'have';

export type OwnManifestOptions = {
  stateDir: string;
  root: OpenRoot;
  hash: BlockHash;
  link: Link;
  onChange: (path: string) => void;
  changedSince?: (record: RecordView) => boolean;
};

/** The target's side: scans and hashes what is here, sends that, and returns the number of entries. */
export function sendOwnManifest(options: OwnManifestOptions): number {
  const { stateDir, root, hash, link, onChange, changedSince } = options;
  using manifest = new NewManifest(stateDir, HAVE);
  const poll = (): void => link.throwIfStopped();
  const { files } = scanTree({ root, ...manifest.tree, poll, onChange });
  new TreeHasher({
    root,
    manifest,
    hash,
    poll,
    onChange,
    ...(changedSince === undefined ? {} : { changedSince }),
  }).run();
  manifest.flush(false);
  const paths = manifestPaths(stateDir, HAVE);
  sendFile(paths.tree, frameKinds.haveTree, link);
  sendFile(paths.blocks, frameKinds.haveBlocks, link);
  link.sendControl(frameKinds.haveEnd, {});
  rmSync(paths.tree);
  rmSync(paths.blocks);
  return files;
}

/** The source's side: keeps what the target sends of its own tree, to be opened as the manifest `HAVE`. */
export function receiveOwnManifest(stateDir: string, link: Link): void {
  const paths = manifestPaths(stateDir, HAVE);
  const tree = openSync(paths.tree, 'w', 0o600);
  const blocks = openSync(paths.blocks, 'w', 0o600);
  try {
    for (let frame = link.receive(); frame.kind !== frameKinds.haveEnd; frame = link.receive()) {
      if (frame.kind !== frameKinds.haveTree && frame.kind !== frameKinds.haveBlocks) throw unexpectedFrame(frame.kind);
      writeSync(frame.kind === frameKinds.haveTree ? tree : blocks, frame.data);
      link.release(frame);
    }
  } finally {
    closeSync(tree);
    closeSync(blocks);
  }
}

function sendFile(path: string, kind: FrameKind, link: Link): void {
  const fd = openSync(path, 'r');
  try {
    while (true) {
      const buffer = link.acquire();
      const length = readSync(fd, new Uint8Array(buffer), 0, FRAME_MAX_BYTES, null);
      link.send(kind, buffer, 0, 0, length);
      if (length === 0) return;
    }
  } finally {
    closeSync(fd);
  }
}
