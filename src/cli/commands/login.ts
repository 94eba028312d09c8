import { readFile } from 'node:fs/promises';
import { Command } from 'commander';
import { CargoError } from '../../api/cargo-error.ts';
import { api } from '../api.ts';
import { ask, askSecretly, readAll } from '../ask.ts';
import { Client } from '../client.ts';
import { type Config, configPath, writeConfig } from '../config-file.ts';
import { Output } from '../output.ts';
import type { GlobalOptions } from '../session.ts';
import { parseServer, readCa } from '../settings.ts';
import type { Terminal } from '../terminal.ts';

type Options = GlobalOptions & { tokenFile?: string };

export function loginCommand(terminal: Terminal): Command {
  return new Command('login')
    .description('keep server, CA and token for later commands, once they are known to work')
    .option('--token-file <file>', 'file with the token; without it the token is read from standard input')
    .action((_options: unknown, command: Command) => login(command.optsWithGlobals<Options>(), terminal));
}

async function login(options: Options, terminal: Terminal): Promise<void> {
  const config = await gather(options, terminal);
  const server = parseServer(config.server);
  await using client = new Client({ server, ca: config.ca, token: config.token }, terminal.signal);
  const { hosts } = await api.hosts(client);
  const path = configPath(terminal.env);
  await writeConfig(path, config);
  const text = `logged in to ${server.origin} (${hosts.length} hosts); kept in ${path}\n`;
  new Output(options.output, terminal).result({ server: server.origin, hosts: hosts.length, config: path }, () => text);
}

async function gather(options: Options, terminal: Terminal): Promise<Config> {
  const { env } = terminal;
  const asks = terminal.stdin.isTTY === true;
  const address = options.server ?? (env['CARGO_SERVER'] || (asks ? await ask(terminal, 'Server (HOST:PORT): ') : ''));
  if (address === '') throw new CargoError('BAD_REQUEST', 'pass the server: cargoctl login --server HOST:PORT');
  const server = parseServer(address);
  const plain = server.protocol === 'http:';
  const asked = asks && !plain ? await askForCa(options, terminal) : '';
  const caPath = options.ca ?? (env['CARGO_CA'] || asked);
  const token = await readToken(options, terminal);
  if (token === '' && !plain)
    throw new CargoError('BAD_REQUEST', 'no token: give it on standard input or with --token-file');
  return { server: server.origin, ca: caPath === '' ? null : readCa(caPath), token: token === '' ? null : token };
}

async function askForCa(options: Options, terminal: Terminal): Promise<string> {
  if (options.ca !== undefined || terminal.env['CARGO_CA']) return '';
  return ask(terminal, "File with the server's CA (empty: a public authority): ");
}

/** Never from the command line's arguments, which everybody on the machine can read. */
async function readToken({ tokenFile }: Options, terminal: Terminal): Promise<string> {
  if (tokenFile === undefined) {
    if (terminal.env['CARGO_TOKEN']) return terminal.env['CARGO_TOKEN'].trim();
    const typed = terminal.stdin.isTTY === true ? askSecretly(terminal, 'Token: ') : readAll(terminal.stdin);
    return (await typed).trim();
  }
  try {
    return (await readFile(tokenFile, 'utf8')).trim();
  } catch (cause) {
    throw new CargoError('BAD_REQUEST', `the token file can't be read: ${(cause as Error).message}`, { cause });
  }
}
