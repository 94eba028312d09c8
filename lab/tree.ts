import { createHash } from 'node:crypto';
import { existsSync, mkdirSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { debianArchive, suite } from './debian.ts';
import { lock } from './lock.ts';
import { cacheRoot } from './paths.ts';
import { run } from './run.ts';

/** Raised when the way of building changes, so that no older result is taken for it. */
const recipeVersion = 2;

export function recipeKey(...parts: readonly string[]): string {
  return createHash('sha256')
    .update(JSON.stringify([recipeVersion, suite, ...parts]))
    .digest('hex')
    .slice(0, 16);
}

/**
 * Gives the path of something that takes long to build, building it when the cache lacks it. It appears whole or not
 * at all, and several labs that want it at once build it once.
 */
export async function cached(name: string, build: (target: string, lockFd: number) => Promise<void>): Promise<string> {
  const path = join(cacheRoot, name);
  if (existsSync(path)) return path;
  mkdirSync(cacheRoot, { recursive: true });
  const lockFile = `${path}.lock`;
  writeFileSync(lockFile, '', { flag: 'a' });
  using held = await lock(lockFile, 30 * 60_000);
  if (existsSync(path)) return path;
  const unfinished = `${path}.unfinished`;
  rmSync(unfinished, { recursive: true, force: true });
  await build(unfinished, held?.fd ?? 2);
  renameSync(unfinished, path);
  return path;
}

const commonWaste = ['var/cache/apt', 'var/lib/apt/lists', 'var/log', 'usr/share/doc', 'usr/share/man'];

/**
 * A Debian file system of the minimal packages and these, without the paths in `waste`, from the cache.
 * debootstrap mounts /proc in what it builds: it gets mounts and processes of its own, all gone when this process is.
 */
export async function debianTree(
  label: string,
  packages: readonly string[],
  waste: readonly string[] = [],
): Promise<string> {
  return await cached(`${label}-${recipeKey(...packages, '-', ...waste)}`, async (target, lockFd) => {
    const { mirror, keyring } = await debianArchive();
    const include = packages.length === 0 ? [] : [`--include=${packages.join(',')}`];
    const isolated = ['--pdeathsig', 'KILL', 'unshare', '--mount', '--pid', '--fork', '--kill-child', '--mount-proc'];
    const debs = join(cacheRoot, 'debs');
    mkdirSync(debs, { recursive: true });
    process.stderr.write(`cargo-lab: building ${label} from Debian packages, once for all labs\n`);
    await run(
      'setpriv',
      [
        ...isolated,
        'debootstrap',
        '--variant=minbase',
        `--keyring=${keyring}`,
        `--cache-dir=${debs}`,
        ...include,
        suite,
        target,
        mirror,
      ],
      { timeoutMs: 20 * 60_000, inherit: [lockFd] },
    );
    for (const path of [...commonWaste, ...waste]) rmSync(join(target, path), { recursive: true, force: true });
    mkdirSync(join(target, 'var/log'));
  });
}

/** What a lab host runs: Docker and its tools, and what Cargo's operators expect on a Docker host. */
const hostPackages = [
  'busybox-static',
  'ca-certificates',
  'containerd',
  'criu',
  'curl',
  'docker-cli',
  'docker.io',
  'iproute2',
  'iptables',
  'iputils-ping',
  'nftables',
  'procps',
  'runc',
  'tini',
  'xz-utils',
];

export const hostTree = () => debianTree('host', hostPackages);
