import { constants } from 'node:os';
import { Option } from 'commander';
import { agentGroup } from '../agent.ts';
import { restartAgent } from '../boot.ts';
import { signalAll } from '../cgroup.ts';
import { changeLab } from '../change.ts';
import { restartServer, serverGroup } from '../server.ts';
import { findHost, loadLab } from '../state.ts';
import { type NameOption, nameOption, type Register } from './options.ts';

type SignalOption = NameOption & { signal: NodeJS.Signals };

const signalOption = () =>
  new Option('--signal <name>', 'sent to it').choices(Object.keys(constants.signals)).default('SIGKILL');

export const registerCrash: Register = (program) => {
  program
    .command('kill-agent')
    .description("end a host's agent, or stop and continue it")
    .argument('<host>')
    .addOption(signalOption())
    .addOption(nameOption())
    .action((host: string, { name, signal }: SignalOption) => {
      const lab = loadLab(name);
      signalAll(agentGroup(lab, findHost(lab, host)), signal);
    });
  program
    .command('kill-server')
    .description('end cargo-server, or stop and continue it')
    .addOption(signalOption())
    .addOption(nameOption())
    .action(({ name, signal }: SignalOption) => signalAll(serverGroup(loadLab(name)), signal));
  program
    .command('restart-agent')
    .description("start a host's agent again, ending it first where it runs")
    .argument('<host>')
    .addOption(nameOption())
    .action(async (host: string, { name }: NameOption) => {
      await changeLab(name, async (lab) => await restartAgent(lab, findHost(lab, host)));
    });
  program
    .command('restart-server')
    .description('start cargo-server again, ending it first where it runs')
    .addOption(nameOption())
    .action(async ({ name }: NameOption) => await changeLab(name, restartServer));
};
