import { BlockCursor } from '../../../src/agent/volume/block-cursor.ts';
import { DIRECTORY } from '../../../src/agent/volume/format.ts';
import { openManifest } from '../../../src/agent/volume/partial-manifest.ts';
import { LINK, MANY_BLOCKS, RecordView, STALE } from '../../../src/agent/volume/record.ts';
import { walkDirectories } from '../../../src/agent/volume/tree.ts';

/** All that a manifest says, entry by entry in its order; but for times at which it was looked, and reserved room. */
export function dumpManifest(stateDir: string, label: string): string[] {
  using manifest = openManifest(stateDir, label);
  const { file } = manifest.tree;
  const lines: string[] = [];
  const view = new RecordView();
  const path: string[] = [];
  walkDirectories(file, {
    enter: (directory) => {
      view.moveTo(file, directory);
      path.push(view.name.subarray(0, -1).toString('hex'));
      lines.push(describe(path.join('/'), view, []));
      for (const cursor = new BlockCursor(file, directory); cursor.next(view); ) {
        const blocks = view.has(MANY_BLOCKS)
          ? [...manifest.blocks.raw(view)].map((piece) => piece.toString('hex'))
          : [];
        if (view.type !== DIRECTORY) lines.push(describe(path.join('/'), view, blocks));
      }
    },
    leave: () => {
      path.pop();
    },
  });
  return lines;
}

function describe(directory: string, view: RecordView, blocks: string[]): string {
  const name = view.name.subarray(0, -1).toString('hex');
  const { inodeHigh, inodeLow, type, mode, uid, gid, nlink, size, mtimeSeconds, mtimeNanoseconds } = view;
  const { ctimeSeconds, ctimeNanoseconds, deviceMajor, deviceMinor } = view;
  const facts = { inodeHigh, inodeLow, type, mode, uid, gid, nlink, size, mtimeSeconds, mtimeNanoseconds };
  const isFirst = !view.has(LINK);
  return JSON.stringify({
    in: directory,
    name,
    ...facts,
    ...{ ctimeSeconds, ctimeNanoseconds, deviceMajor, deviceMinor },
    target: view.target.toString('hex'),
    flags: view.flags & (LINK | MANY_BLOCKS | STALE),
    ...(isFirst ? { xattrs: view.xattrDigest.toString('hex') } : {}),
    ...(isFirst && !view.has(MANY_BLOCKS) && type !== DIRECTORY
      ? { hash: view.hash.toString('hex'), bits: view.pageBits }
      : {}),
    blocks,
  });
}
