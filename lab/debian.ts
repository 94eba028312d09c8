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

/**
 * Where this machine gets Debian packages, from its own apt configuration.
 * @throws CargoError INTERNAL when apt knows no Debian archive.
 */
export async function debianArchive(): Promise<Archive> {
  const listing = await run('apt-get', ['indextargets', 'Created-By: Packages']);
  // Security updates have a label of their own; the archive is what carries every release.
  const main = listing
    .split('\n\n')
    .map(parseTarget)
    .find(
      (target) =>
        ['Origin', 'Label'].every((key) => target.get(key) === 'Debian') && target.get('Component') === 'main',
    );
  const mirror = main?.get('Repo-URI');
  if (main === undefined || mirror === undefined) {
    throw new CargoError('INTERNAL', 'apt knows no Debian archive here: run `apt-get update` first');
  }
  const signedBy = main.get('Signed-By');
  const keyring = signedBy?.startsWith('/') && existsSync(signedBy) ? signedBy : defaultKeyring;
  return { mirror, keyring };
}
