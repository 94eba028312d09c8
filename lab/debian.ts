import { existsSync } from 'node:fs';
import { CargoError } from '../src/api/cargo-error.ts';
import { run } from './run.ts';

/** The release of the lab's hosts and images. */
export const suite = 'trixie';

export type Archive = { mirror: string; keyring: string };

/** Fields of one entry of `apt-get indextargets`, which reads every form of sources list that apt knows. */
function parseTarget(block: string): Map<string, string> {
  return new Map(
    block.split('\n').map((line) => {
      const colon = line.indexOf(': ');
      return [line.slice(0, colon), line.slice(colon + 2)];
    }),
  );
}

const defaultKeyring = '/usr/share/keyrings/debian-archive-keyring.gpg';

/** The first archive of Debian itself: security updates have a label of their own. */
async function findTarget(): Promise<Map<string, string> | undefined> {
  const listing = await run('apt-get', ['indextargets', 'Created-By: Packages']);
  const wanted = { Origin: 'Debian', Label: 'Debian', Component: 'main' };
  return listing
    .split('\n\n')
    .map(parseTarget)
    .find((target) => Object.entries(wanted).every(([field, value]) => target.get(field) === value));
}

/**
 * Where this machine gets Debian packages, from its own apt configuration.
 * @throws CargoError INTERNAL when apt knows no Debian archive.
 */
export async function debianArchive(): Promise<Archive> {
  let target = await findTarget();
  if (target === undefined) {
    await run('apt-get', ['update']); // apt tells of an archive only after it has read its lists
    target = await findTarget();
  }
  const mirror = target?.get('Repo-URI');
  if (mirror === undefined) throw new CargoError('INTERNAL', 'the sources list of apt names no Debian archive');
  const signedBy = target?.get('Signed-By');
  const keyring = signedBy?.startsWith('/') && existsSync(signedBy) ? signedBy : defaultKeyring;
  return { mirror, keyring };
}
