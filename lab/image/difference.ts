import { type Dirent, lstatSync, readdirSync, readlinkSync } from 'node:fs';
import { join } from 'node:path';

/** What must be equal for a path to be left to the layer below. A package gives its files the same time everywhere. */
function signature(root: string, path: string, entry: Dirent): string {
  const { mode, uid, gid, size, mtimeMs } = lstatSync(join(root, path));
  const owner = `${mode}:${uid}:${gid}`;
  if (entry.isDirectory()) return owner;
  if (entry.isSymbolicLink()) return `${owner}:${readlinkSync(join(root, path))}`;
  return `${owner}:${size}:${mtimeMs}`;
}

function describe(root: string): Map<string, string> {
  const found = new Map<string, string>();
  const walk = (folder: string) => {
    for (const entry of readdirSync(join(root, folder), { withFileTypes: true })) {
      const path = join(folder, entry.name);
      found.set(path, signature(root, path, entry));
      if (entry.isDirectory()) walk(path);
    }
  };
  walk('.');
  return found;
}

/** The paths of a tree that a base tree lacks or has otherwise: a layer over the base. What only the base has stays. */
export function difference(base: string, tree: string): string[] {
  const below = describe(base);
  return [...describe(tree)].filter(([path, own]) => below.get(path) !== own).map(([path]) => path);
}
