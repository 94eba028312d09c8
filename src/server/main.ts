import { once } from 'node:events';
import { Command, CommanderError, InvalidArgumentError, Option } from 'commander';
import { CargoError } from '../api/cargo-error.ts';
import { failures } from '../api/failures.ts';
import { version } from '../version.ts';
import { backUp } from './backup/back-up.ts';
import { restore } from './backup/restore.ts';
import { parseCertificateLife } from './certificate-life.ts';
import { type ListenAddress, parseListenAddress, requireLoopback } from './listen-address.ts';
import { createLog } from './log.ts';
import { DEFAULT_PER_HOST } from './migrations/turns.ts';
import { startServer } from './start.ts';

type Options = {
  listen: ListenAddress;
  dataDir: string;
  plainHttp?: ListenAddress;
  san: string[];
  certificateLife: number;
  perHost: number;
  logLevel: string;
};

/** A server that hangs while it ends is ended all the same: what it holds is on disk. */
const STOP_LIMIT_MS = 10_000;

function program(): Command {
  return new Command('cargo-server')
    .description('Registry of Docker hosts and orchestrator of migrations, with the REST API of Cargo.')
    .version(version)
    .addOption(
      new Option('--listen <addr:port>', 'where the API listens, over TLS')
        .argParser(parseListenAddress)
        .default(parseListenAddress('0.0.0.0:5000'), '0.0.0.0:5000'),
    )
    .option('--data-dir <dir>', 'CA, tokens and database; made at the first start', '/var/lib/cargo-server')
    .option('--plain-http <addr:port>', 'also serve the API without TLS and token, on loopback alone', parsePlainHttp)
    .option('--san <name>', 'another name or address under which clients reach this server (repeatable)', collect, [])
    .addOption(
      new Option(
        '--certificate-life <time>',
        'how long the certificates of hosts and server last; they renew themselves',
      )
        .argParser(parseCertificateLife)
        .default(parseCertificateLife('365d'), '365d'),
    )
    .addOption(
      new Option('--per-host <n>', 'how many migrations copy from or to one host at once; the others wait')
        .argParser(parsePerHost)
        .default(DEFAULT_PER_HOST),
    )
    .addOption(
      new Option('--log-level <level>', 'how much is logged, to standard error')
        .choices(['trace', 'debug', 'info', 'warn', 'error', 'fatal'])
        .default('info'),
    )
    .exitOverride()
    .showHelpAfterError('(see cargo-server --help)')
    .action(run)
    .addCommand(backupCommand())
    .addCommand(restoreCommand());
}

function backupCommand(): Command {
  return new Command('backup')
    .description('write all that the server is to one file, also while it runs; the file holds its CA and tokens')
    .requiredOption('--to <file>', 'the backup; replaced if it is there')
    .exitOverride()
    .action(async ({ to }: { to: string }, command: Command) => {
      const { dataDir } = command.optsWithGlobals<{ dataDir: string }>();
      await backUp(dataDir, to);
      process.stdout.write(
        `${to} holds the backup of ${dataDir}, with its CA and its tokens: keep it where nobody else reads it\n`,
      );
    });
}

function restoreCommand(): Command {
  return new Command('restore')
    .description('make a data directory what a backup holds; start the server on it afterwards')
    .requiredOption('--from <file>', 'the backup')
    .option('--force', 'also where the data directory holds something: it is replaced')
    .exitOverride()
    .action(async ({ from, force }: { from: string; force?: true }, command: Command) => {
      const { dataDir } = command.optsWithGlobals<{ dataDir: string }>();
      await restore(from, dataDir, { force: force === true });
      process.stdout.write(`${dataDir} holds what ${from} held; see operations.md for what to look at\n`);
    });
}

async function run(options: Options): Promise<void> {
  const { listen, dataDir, san, certificateLife, perHost, logLevel, plainHttp = null } = options;
  const log = createLog(logLevel);
  const stop = once(process, 'SIGTERM');
  const interrupted = once(process, 'SIGINT');
  const server = await startServer({
    ...{ listen, plainHttp, dataDir, names: san, certificateLifeMs: certificateLife, perHost, log },
  });
  log.info({ version, listen: server.address, plainHttp: server.plainAddress, dataDir }, 'cargo-server is ready');
  await Promise.race([stop, interrupted]);
  log.info('cargo-server is stopping');
  setTimeout(() => {
    log.error('cargo-server did not end in time');
    process.exit(1);
  }, STOP_LIMIT_MS).unref();
  await server.close();
}

function parsePlainHttp(text: string): ListenAddress {
  const address = parseListenAddress(text);
  requireLoopback(address);
  return address;
}

function parsePerHost(text: string): number {
  const n = Number(text);
  if (Number.isInteger(n) && n >= 1) return n;
  throw new InvalidArgumentError('it must be a whole number of at least 1');
}

function collect(value: string, before: string[]): string[] {
  return [...before, value];
}

/** Says what went wrong, unless commander has, and returns the exit code. */
function tell(error: unknown): number {
  if (error instanceof CommanderError) return error.exitCode === 0 ? 0 : failures.BAD_REQUEST.exitCode;
  const failure = CargoError.from(error);
  process.stderr.write(`cargo-server: ${failure.message}\n`);
  return failure.handling.exitCode;
}

try {
  process.umask(0o077);
  await program().parseAsync();
} catch (error) {
  process.exitCode = tell(error);
}
