import { constants } from 'node:os';
import { type Command, Option } from 'commander';
import { agentGroup } from '../agent.ts';
import { restartAgent } from '../boot.ts';
import { signalAll } from '../cgroup.ts';
import { changeLab } from '../change.ts';
import { restartDocker, signalDocker } from '../docker.ts';
import { restartServer, serverGroup } from '../server.ts';
import { findHost, loadLab } from '../state.ts';
import { type NameOption, nameOption, type Register } from './options.ts';

type SignalOption = NameOption & { signal: NodeJS.Signals };

const signalOption = () =>
  new Option('--signal <name>', 'sent to it').choices(Object.keys(constants.signals)).default('SIGKILL');

const onHost = (program: Command, name: string, description: string) =>
  program.command(name).description(description).argument('<host>').addOption(nameOption());

function registerKills(program: Command): void {
  onHost(program, 'kill-agent', "end a host's agent, or stop and continue it")
    .addOption(signalOption())
    .action((host: string, { name, signal }: SignalOption) => {
      const lab = loadLab(name);
      signalAll(agentGroup(lab, findHost(lab, host)), signal);
    });
  onHost(program, 'kill-docker', "end a host's Docker daemon, or stop and continue it")
    .addOption(signalOption())
    .action((host: string, { name, signal }: SignalOption) => {
      const lab = loadLab(name);
      signalDocker(lab, findHost(lab, host), signal);
    });
  program
    .command('kill-server')
    .description('end cargo-server, or stop and continue it')
    .addOption(signalOption())
    .addOption(nameOption())
    .action(({ name, signal }: SignalOption) => signalAll(serverGroup(loadLab(name)), signal));
}

export const registerCrash: Register = (program) => {
  registerKills(program);
  onHost(program, 'restart-agent', "start a host's agent again, ending it first where it runs").action(
    async (host: string, { name }: NameOption) =>
      await changeLab(name, async (lab) => await restartAgent(lab, findHost(lab, host))),
  );
  onHost(program, 'restart-docker', "start a host's Docker daemon again, ending it first where it runs").action(
    async (host: string, { name }: NameOption) =>
      await changeLab(name, async (lab) => await restartDocker(lab, findHost(lab, host))),
  );
  program
    .command('restart-server')
    .description('start cargo-server again, ending it first where it runs')
    .addOption(nameOption())
    .action(async ({ name }: NameOption) => await changeLab(name, restartServer));
};
