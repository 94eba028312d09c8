import { InvalidArgumentError, Option } from 'commander';
import { CargoError } from '../../src/api/cargo-error.ts';
import { parseSize } from '../disk.ts';
import { FileSystem } from '../state.ts';
import { upLab } from '../up.ts';
import { type NameOption, nameOption, type Register } from './options.ts';

type Options = NameOption & {
  hosts: number;
  fs: FileSystem;
  disk: number;
  bare?: boolean;
  faultPoints?: boolean;
  certificateLife?: string;
};

function hostCount(text: string): number {
  const count = Number(text);
  if (!Number.isInteger(count) || count < 1 || count > 20) throw new InvalidArgumentError('from 1 to 20 hosts');
  return count;
}

function diskSize(text: string): number {
  try {
    return parseSize(text);
  } catch (error) {
    throw new InvalidArgumentError(CargoError.from(error).message);
  }
}

export const registerUp: Register = (program) => {
  program
    .command('up')
    .description('boot Docker hosts, a cargo-server and an agent on each host, and wait until all are ready')
    .addOption(nameOption())
    .option('--hosts <number>', 'how many hosts: h1, h2, …', hostCount, 2)
    .addOption(
      new Option('--fs <type>', 'file system of the disks').choices(FileSystem.options).default('ext4' as FileSystem),
    )
    .option('--disk <size>', 'size of each disk, which takes only the room that is used', diskSize, parseSize('20G'))
    .option('--bare', 'the hosts without Cargo')
    .option('--fault-points', 'let tests hold the server and the agents at their fault points')
    .option('--certificate-life <time>', 'of the certificates that the server issues, e.g. 12s')
    .action(async ({ disk, bare = false, ...options }: Options) => {
      const lab = await upLab({ ...options, diskBytes: disk, bare });
      for (const host of lab.hosts) console.log(`${host.name} ${host.address}`);
    });
};
