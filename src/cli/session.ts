import type { Command } from 'commander';
import { Client } from './client.ts';
import { configPath, readConfig } from './config-file.ts';
import { type Format, Output } from './output.ts';
import { resolveSettings, type SettingFlags } from './settings.ts';
import type { Terminal } from './terminal.ts';

export type GlobalOptions = SettingFlags & { output: Format };

/** What a command works with: the server as the settings name it, and the output that was asked for. */
export type Session = { client: Client; output: Output; terminal: Terminal; signal: AbortSignal };

/** Runs `work` with the session that the command's global options ask for and ends its connections afterwards. */
export async function withSession(
  command: Command,
  terminal: Terminal,
  work: (session: Session) => Promise<void>,
): Promise<void> {
  const options = command.optsWithGlobals<GlobalOptions>();
  const settings = resolveSettings(options, terminal.env, await readConfig(configPath(terminal.env)));
  await using client = new Client(settings, terminal.signal);
  await work({ client, output: new Output(options.output, terminal), terminal, signal: terminal.signal });
}
