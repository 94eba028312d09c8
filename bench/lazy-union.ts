import fs from 'node:fs';
import { join } from 'node:path';
import { debianTree } from '../lab/tree.ts';
import { median } from './figures.ts';
import type { LabPair } from './lab-pair.ts';
import { DATA, dropCaches, LazyVolume, numbers, only } from './lazy-volume.ts';
import { runGroup, startGroup } from './process-group.ts';
import { makeTree } from './trees.ts';
import { SOURCE, TARGET, treePath } from './ways.ts';

const PORT = 2222;
const FIRST_READS = 300;
const touches = new URL('./touches.pl', import.meta.url).pathname;

/** Seconds; the first read is a median, the rest happened once. */
export type Touches = { firstRead: number; firstWrite: number; scan: number };

/**
 * The same tree, touched after a lazy move and through the union of sshfs and a local directory that Cargo of 2015 made:
 * 4 KiB somewhere in a large file that is not here, 4 KiB written into another, and all of many files.
 */
export async function measureUnion(
  pair: LabPair,
  size: { files: number; bytes: number; imageMiB: number },
): Promise<{ cargo: Touches; union: Touches }> {
  const place = pair.path(SOURCE, treePath('union'));
  await makeTree(join(place, 'many'), size, pair.signal);
  await makeTree(join(place, 'images'), { files: 2, bytes: size.imageMiB * 2 ** 20 }, pair.signal);
  const union = await touchUnion(pair, place);
  const cargo = await touchLazy(pair, place);
  return { cargo, union };
}

async function touchLazy(pair: LabPair, place: string): Promise<Touches> {
  const volume = new LazyVolume(pair, 'union');
  await volume.moveTree(place);
  const first = await volume.touch('somewhere', String(FIRST_READS), '1', `${DATA}/images/d0/file-0`);
  const firstWrite = only(await volume.touch('write', `${DATA}/images/d0/file-1`));
  await volume.release();
  const scan = only(await volume.touch('scan', `${DATA}/many`));
  await volume.untilHere();
  await volume.end();
  return inSeconds(first, firstWrite, scan);
}

/** `$1` the packages' tree, `$2` what /data leads to there (a host's disk, through /proc: it can't be mounted here), `$4` the local part. */
const enter = `set -e; mount -t tmpfs none /mnt; mkdir /mnt/upper /mnt/work /mnt/root
mount -t overlay overlay -o "lowerdir=$1,upperdir=/mnt/upper,workdir=/mnt/work" /mnt/root
mkdir -p /mnt/root/run/sshd /mnt/root/keys; ln -s "$2" /mnt/root/data; mount --bind "$3" /mnt/root/keys
mount --rbind /proc /mnt/root/proc; mkdir -p "/mnt/root$4"; mount --bind "$4" "/mnt/root$4"; mount --rbind /dev /mnt/root/dev
shift 4; exec env -i PATH=/usr/sbin:/usr/bin:/sbin:/bin HOME=/root chroot /mnt/root "$@"`;

const sshd = ['/usr/sbin/sshd', '-D', '-e', '-p', String(PORT), '-h', '/keys/host', '-o', 'UsePAM=no'];
const settings = [
  'AuthorizedKeysFile=/keys/user.pub',
  'StrictModes=no',
  'LogLevel=ERROR',
  'Subsystem=sftp internal-sftp',
];

const client = `set -e; cd /data; mkdir lower upper work union
sshfs -p ${PORT} -o IdentityFile=/keys/user -o StrictHostKeyChecking=no -o UserKnownHostsFile=/dev/null -o LogLevel=ERROR root@"$1":/data/ lower
mount -t overlay overlay -o lowerdir=lower,upperdir=upper,workdir=work union
for touch in "somewhere ${FIRST_READS} 1 union/images/d0/file-0" "write union/images/d0/file-1" "scan union/many"; do
  perl /keys/touches.pl $touch; echo end
done
umount union; umount lower`;

async function touchUnion(pair: LabPair, place: string): Promise<Touches> {
  const tree = await debianTree('sshfs', ['openssh-server', 'perl', 'sshfs']);
  const keys = fs.mkdtempSync('/tmp/cargo-bench-');
  const local = fs.mkdtempSync('/var/tmp/cargo-bench-');
  try {
    const inside = (path: string): string[] => [
      ...['setpriv', '--pdeathsig', 'KILL', 'unshare', '--mount', '--pid', '--fork', '--kill-child'],
      ...['sh', '-c', enter, 'sh', tree, path, keys, local],
    ];
    for (const key of ['host', 'user']) {
      const make = ['/usr/bin/ssh-keygen', '-q', '-t', 'ed25519', '-N', '', '-f', `/keys/${key}`];
      await runGroup(command([...inside(keys), ...make]), pair.signal);
    }
    fs.copyFileSync(touches, join(keys, 'touches.pl'));
    const options = settings.flatMap((setting) => ['-o', setting]);
    await using _server = startGroup(
      pair.inNetworkOf(SOURCE, command([...inside(place), ...sshd, ...options])),
      pair.signal,
    );
    await pair.untilListening(SOURCE, PORT);
    await dropCaches(pair);
    const script = ['sh', '-c', client, 'sh', pair.address(SOURCE)];
    const text = await runGroup(pair.inNetworkOf(TARGET, command([...inside(local), ...script])), pair.signal);
    const [first = [], write = [], scan = []] = text.split('end\n').map(numbers);
    return inSeconds(first, only(write), only(scan));
  } finally {
    fs.rmSync(keys, { recursive: true });
    fs.rmSync(local, { recursive: true });
  }
}

function command([program = '', ...args]: readonly string[]): readonly [string, ...string[]] {
  return [program, ...args];
}

function inSeconds(firstReads: readonly number[], firstWrite: number, scan: number): Touches {
  return { firstRead: median(firstReads) / 1e6, firstWrite: firstWrite / 1e6, scan: scan / 1e6 };
}
