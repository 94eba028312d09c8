import { agentProcess } from '../agent.ts';
import { findInit } from '../enter.ts';
import { linkIsUp } from '../network.ts';
import { serverProcess } from '../server.ts';
import { type LabHost, loadLab } from '../state.ts';
import { type NameOption, nameOption, type Register } from './options.ts';

export const registerStatus: Register = (program) => {
  program
    .command('status')
    .description('show hosts and server: address, power, link, process numbers on the machine')
    .addOption(nameOption())
    .action(async ({ name }: NameOption) => {
      const lab = loadLab(name);
      const line = async (host: LabHost, power: string, cargo: number | undefined) => {
        const link = (await linkIsUp(host)) ? 'linked' : 'cut';
        const cells = [host.name.padEnd(8), host.address.padEnd(15), power.padEnd(12), link.padEnd(8)];
        console.log([...cells, lab.bare ? '' : (cargo ?? 'no cargo process')].join(' ').trimEnd());
      };
      for (const host of lab.hosts) {
        const init = findInit(lab, host);
        await line(host, init === undefined ? 'down' : `up ${init}`, agentProcess(lab, host));
      }
      if (!lab.bare) await line(lab.server, 'up', serverProcess(lab));
    });
};
