import { existsSync } from 'node:fs';
import { hostname } from 'node:os';
import { Command, InvalidArgumentError, Option } from 'commander';
import { CargoError } from '../api/cargo-error.ts';
import { HostName } from '../api/host.ts';
import { version } from '../version.ts';
import { type ListenAddress, parseAddress } from './net/advertised-address.ts';

const levels = ['trace', 'debug', 'info', 'warn', 'error', 'fatal'] as const;

export type CommandLine = {
  /** `cargo-agent hold`: see hold-at-boot.ts. */
  hold: boolean;
  server: URL;
  joinTokenFile?: string;
  listen: ListenAddress;
  advertise?: ListenAddress;
  dataDir: string;
  docker: string;
  name: string;
  hydratorLauncher: string[];
  logLevel: (typeof levels)[number];
};

/** Ends the process with 2 after a usage error, with 0 after --help and --version. */
export function parseCommandLine(argv: readonly string[]): CommandLine {
  const command = new Command('cargo-agent')
    .description('Cargo’s part on a Docker host: tells the server what runs here and moves containers away and in.')
    .version(version)
    .argument(
      '[hold]',
      'at boot, before Docker starts: keep what arrived here down until the server is heard; then end',
    )
    .option('--server <url>', 'the cargo-server, e.g. https://cargo.example:5000; needed but for hold', serverUrl)
    .option('--join-token-file <file>', 'holds the join token; needed until the host has joined')
    .addOption(
      new Option('--listen <address>', 'where server and other agents reach this one')
        .default(parseAddress('0.0.0.0:5005'), '0.0.0.0:5005')
        .argParser(address),
    )
    .option('--advertise <address>', 'host:port that server and peers are told (default: found out)', address)
    .option('--data-dir <dir>', 'identity and records of migrations', '/var/lib/cargo')
    .option('--docker <socket>', 'Docker Engine API', dockerSocket, 'unix:///var/run/docker.sock')
    .addOption(
      new Option('--name <name>', 'name of the host').default(shortHostName(), 'host name').argParser(hostName),
    )
    .addOption(
      new Option('--hydrator-launcher <command>', 'puts a process into a cgroup that outlives the agent’s')
        .default(defaultLauncher(), 'systemd-run --scope where systemd runs')
        .argParser((text: string) => text.split(' ').filter((word) => word !== '')),
    )
    .addOption(new Option('--log-level <level>', 'of the JSON lines on standard error').choices(levels).default('info'))
    .configureOutput({ outputError: (text, write) => write(`cargo-agent: ${text}`) })
    .exitOverride((end) => process.exit(end.exitCode === 0 ? 0 : 2));
  command.parse(argv);
  const options = command.opts<Omit<CommandLine, 'hold'>>();
  const [word] = command.args;
  if (word !== undefined && word !== 'hold') command.error(`error: unknown command '${word}'`);
  if (word === undefined && options.server === undefined) {
    command.error("error: required option '--server <url>' not specified");
  }
  return { ...options, hold: word === 'hold' };
}

/**
 * systemd ends what is in the cgroup of a service with it. Without default dependencies a shutdown leaves a scope alone until
 * all services have ended, Docker among them, as runc's own scopes: what containers still read is protected.
 */
function defaultLauncher(): string[] {
  if (!existsSync('/run/systemd/system')) return [];
  return ['systemd-run', '--scope', '--quiet', '--collect', '--property=DefaultDependencies=no'];
}

function shortHostName(): string {
  return hostname().split('.')[0] ?? '';
}

function serverUrl(text: string): URL {
  const url = URL.parse(text.includes('://') ? text : `https://${text}`);
  if (url === null || url.protocol !== 'https:') {
    throw new InvalidArgumentError('write https://HOST:PORT: agents speak TLS only.');
  }
  if (url.port === '' && !text.includes('://')) url.port = '5000';
  return url;
}

function address(text: string): ListenAddress {
  try {
    return parseAddress(text);
  } catch (error) {
    throw new InvalidArgumentError(CargoError.from(error).message);
  }
}

function dockerSocket(text: string): string {
  if (/^unix:\/\/\/.+/.test(text)) return text;
  throw new InvalidArgumentError('write unix:///PATH: the agent works on the Docker daemon of its own host.');
}

function hostName(text: string): string {
  const name = HostName.safeParse(text);
  if (name.success) return name.data;
  throw new InvalidArgumentError(`${name.error.issues[0]?.message ?? 'no host name'}.`);
}
