import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { Argument } from 'commander';
import { hostRoot, requireInit } from '../enter.ts';
import { serverLog } from '../server.ts';
import { logFile } from '../service.ts';
import { findMachine, loadLab } from '../state.ts';
import { type NameOption, nameOption, type Register } from './options.ts';

export const registerLogs: Register = (program) => {
  program
    .command('logs')
    .description("print the log of a host's agent or Docker daemon, or of the server")
    .argument('<host>', 'h1, h2, …, or server')
    .addArgument(new Argument('[service]').choices(['cargo-agent', 'dockerd']).default('cargo-agent'))
    .addOption(nameOption())
    .action((hostName: string, service: string, { name }: NameOption) => {
      const lab = loadLab(name);
      const machine = findMachine(lab, hostName);
      const hostLog = () => join(hostRoot(requireInit(lab, machine)), logFile(service));
      process.stdout.write(readFileSync(machine === lab.server ? serverLog(lab) : hostLog()));
    });
};
