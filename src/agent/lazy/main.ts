import { mkdir, readFile } from 'node:fs/promises';
import { resolve } from 'node:path';
import { Command, InvalidArgumentError } from 'commander';
import { CargoError } from '../../api/cargo-error.ts';
import { version } from '../../version.ts';
import { receiveRound } from '../volume/index.ts';
import { CONTENT_LIMIT } from './content-limit.ts';
import {
  armVolume,
  controlVolume,
  dropVolume,
  finishVolume,
  forgetVolume,
  stageVolume,
  volumeStatus,
} from './lazy-volume.ts';
import { connectTo, SourceAddress } from './source-address.ts';
import { SourceServer } from './source-server.ts';

const state = ['--state <dir>', 'of this volume, on this host'] as const;

const program = new Command('cargo-lazy')
  .description('A directory whose content arrives when it is touched, without Docker: to try, test and look into.')
  .version(version);

program
  .command('serve')
  .description('at the source: serves a tree that nobody changes any more')
  .requiredOption('--root <dir>', 'the tree')
  .requiredOption(...state)
  .option('--content-limit <bytes>', 'larger files wait to be touched', bytes, CONTENT_LIMIT)
  .option('--unix <socket>', 'listen here')
  .option('--tls <file>', 'or as this JSON file says: host, port, key, cert, ca, targetHostId')
  .action(async (options: { root: string; state: string; contentLimit: number; unix?: string; tls?: string }) => {
    await mkdir(options.state, { recursive: true, mode: 0o700 });
    const { contentLimit } = options;
    const server = new SourceServer({ path: options.root, stateDir: options.state, contentLimit });
    if (options.unix !== undefined) await server.listenOnUnix(options.unix);
    else if (options.tls !== undefined) await server.listenOnTls(await readTls(options.tls));
    else throw new CargoError('BAD_REQUEST', 'say where to listen: --unix or --tls');
    console.log('serving');
  });

program
  .command('stage')
  .description('at the target: lays the tree out without the content of large files')
  .requiredOption('--root <dir>', 'the tree to be; what is there and not at the source goes')
  .requiredOption(...state)
  .requiredOption('--source <address>', 'unix:PATH, or a JSON file that says how to reach it', (text) => text)
  .option('--wait-limit <ms>', 'after so long without the source a reader gets an error', bytes)
  .option('--bwlimit <bytes>', 'a second, for what nobody asked for', bytes)
  .action(async (options: { root: string; state: string; source: string; waitLimit?: number; bwlimit?: number }) => {
    const source = await readAddress(options.source);
    const [path, stateDir] = [resolve(options.root), resolve(options.state)];
    await mkdir(stateDir, { recursive: true, mode: 0o700 });
    if (source.kind === 'agent') throw new CargoError('BAD_REQUEST', 'an agent serves rounds to agents alone');
    const socket = await connectTo(source, { want: 'round', round: 1, final: true });
    const root = { path, isFile: false };
    const signal = new AbortController().signal;
    const { files, bytes: sent } = await receiveRound({ socket, keys: null, root, stateDir, round: 1, signal });
    socket.destroy();
    const { waitLimit = null, bwlimit = null } = options;
    const staged = await stageVolume({
      ...{ path, stateDir, source, bwlimit },
      waitLimitMs: waitLimit,
    });
    console.log(`${files} entries, ${sent} bytes here; ${staged.files} files wait to be touched`);
  });

program
  .command('arm')
  .description(
    'at the target: protects what is missing; then the tree may be used. Also takes up after a lost hydrator',
  )
  .requiredOption(...state)
  .action(async (options: { state: string }) => {
    await armVolume(resolve(options.state));
    console.log('armed');
  });

program
  .command('status')
  .requiredOption(...state)
  .action(async (options: { state: string }) => {
    console.log(JSON.stringify(await volumeStatus(options.state), null, 2));
  });

for (const act of ['pause', 'resume'] as const) {
  program
    .command(act)
    .description('the background copy')
    .requiredOption(...state)
    .action(async (options: { state: string }) => {
      await controlVolume(options.state, { do: act });
    });
}

program
  .command('bwlimit')
  .description('of the background copy, in bytes a second; without a number there is none')
  .argument('[bytes]', '', bytes)
  .requiredOption(...state)
  .action(async (limit: number | undefined, options: { state: string }) => {
    await controlVolume(options.state, { do: 'bwlimit', bytesPerSecond: limit ?? null });
  });

program
  .command('finish')
  .description('waits until everything is here, then forgets the volume')
  .requiredOption(...state)
  .action(async (options: { state: string }) => {
    await finishVolume(options.state, new AbortController().signal);
    await forgetVolume(options.state);
    console.log('finished');
  });

program
  .command('drop')
  .description('ends all that protects a volume that nobody uses any more: what is missing reads as zeros from then on')
  .requiredOption(...state)
  .action(async (options: { state: string }) => {
    await dropVolume(options.state);
  });

function bytes(text: string): number {
  const value = Number(text);
  if (Number.isSafeInteger(value) && value > 0) return value;
  throw new InvalidArgumentError('write a whole number above 0.');
}

async function readAddress(text: string): Promise<SourceAddress> {
  if (text.startsWith('unix:')) return { kind: 'unix', path: resolve(text.slice(5)) };
  return SourceAddress.parse(JSON.parse(await readFile(text, 'utf8')));
}

async function readTls(file: string): Promise<Parameters<SourceServer['listenOnTls']>[0]> {
  const { host, port, key, cert, ca, targetHostId } = JSON.parse(await readFile(file, 'utf8'));
  const [keyBytes, certBytes, caBytes] = await Promise.all([readFile(key), readFile(cert), readFile(ca)]);
  return { host, port, targetHostId, key: keyBytes, cert: certBytes, ca: caBytes };
}

try {
  await program.parseAsync();
} catch (thrown) {
  const error = CargoError.from(thrown);
  console.error(`cargo-lazy: ${error.message}`);
  process.exit(error.handling.exitCode);
}
