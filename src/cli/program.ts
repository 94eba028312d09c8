import { Command, Option } from 'commander';
import { version } from '../version.ts';
import { cancelCommand } from './commands/cancel.ts';
import { completionCommand } from './commands/completion.ts';
import { pauseCommand, resumeCommand, setCommand } from './commands/control.ts';
import { drainCommand } from './commands/drain.ts';
import { failoverCommand } from './commands/failover.ts';
import { hostsCommand } from './commands/hosts.ts';
import { listCommand } from './commands/list.ts';
import { loginCommand } from './commands/login.ts';
import { logoutCommand } from './commands/logout.ts';
import { migrateCommand } from './commands/migrate.ts';
import { planCommand } from './commands/plan.ts';
import { recoverCommand } from './commands/recover.ts';
import { statusCommand } from './commands/status.ts';
import { tokenCommand } from './commands/token.ts';
import { verifyCommand } from './commands/verify.ts';
import { versionCommand } from './commands/version.ts';
import { formats } from './output.ts';
import type { Terminal } from './terminal.ts';

const EPILOGUE = `
HOST is a host's name, id or address; CONTAINER a container's name or id.

Settings: flags go before CARGO_SERVER, CARGO_CA (path of a PEM file) and CARGO_TOKEN, these before what
\`cargoctl login\` kept in $XDG_CONFIG_HOME/cargo/config.json (~/.config where it isn't set).

Exit codes:
  0  done                                  6  not allowed (token missing, wrong or expired)
  1  unexpected failure                    7  server, agent or Docker can't be reached
  2  wrong use or bad request              8  the migration failed and was rolled back, or was cancelled
  3  no such host, container, migration    9  timed out
  4  conflict (several candidates, wrong   10 a check of the data failed
     phase, migration exists)              130 interrupted; a running migration goes on
  5  blocked: the plan says by what

The spellings of 2015 work too: cargoctl --list | --migrate --source HOST --container C --target HOST [--rootfs] |
--status --container C | --failover --target HOST --container C, each with --server HOST:PORT.`;

/** All of cargoctl's commands. */
export function buildProgram(terminal: Terminal): Command {
  const program = withGlobalOptions(new Command('cargoctl'))
    .description('Moves running Docker containers, with their data, between hosts.')
    .version(version)
    .configureHelp({ showGlobalOptions: true })
    .addHelpText('after', EPILOGUE);
  const commands = [
    listCommand(terminal),
    hostsCommand(terminal),
    planCommand(terminal),
    migrateCommand(terminal),
    statusCommand(terminal),
    pauseCommand(terminal),
    resumeCommand(terminal),
    setCommand(terminal),
    cancelCommand(terminal),
    failoverCommand(terminal),
    verifyCommand(terminal),
    drainCommand(terminal),
    recoverCommand(terminal),
    tokenCommand(terminal),
    loginCommand(terminal),
    logoutCommand(terminal),
    completionCommand(terminal),
    versionCommand(terminal),
  ];
  for (const command of commands) program.addCommand(command);
  return settle(program, terminal);
}

export function withGlobalOptions(program: Command): Command {
  return program
    .addOption(new Option('-o, --output <format>', 'what to print').choices(formats).default('table'))
    .option('--server <address>', 'HOST:PORT or https://HOST:PORT; http://127.0.0.1:PORT for a plain server')
    .option('--ca <file>', "PEM file with the server's CA");
}

/** Errors are thrown, not printed, all the way down: the edge reports them in the format that was asked for. */
export function settle(command: Command, terminal: Terminal): Command {
  command.exitOverride().configureOutput({
    writeOut: (text) => terminal.stdout.write(text),
    writeErr: (text) => terminal.stderr.write(text),
    outputError: () => undefined,
  });
  for (const inner of command.commands) settle(inner.copyInheritedSettings(command), terminal);
  return command;
}
