import { type Command, Option } from 'commander';
import type { MigrateRequest } from '../api.ts';
import { parseDuration, parseRate } from '../quantity.ts';

/** The options that say what is to be moved and how: the same for `migrate` and `plan`. */
export type MoveOptions = {
  from?: string;
  to: string;
  strategy?: 'lazy' | 'precopy';
  precopySeconds?: number;
  rootfs?: true;
  bwlimit?: number;
  force?: true;
  keepStaged?: true;
};

export function addMoveOptions(command: Command): Command {
  return command
    .argument('<container>', 'name or id')
    .option('--from <host>', 'host it is on: name, id or address; needed where the name is not unique')
    .requiredOption('--to <host>', 'host it is to run on: name, id or address')
    .addOption(
      new Option(
        '--strategy <strategy>',
        'when the bytes travel: after the start (where both hosts can), or before it',
      ).choices(['lazy', 'precopy']),
    )
    .addOption(
      new Option(
        '--precopy-seconds <n>',
        'copy for at most so long before the stop, also what could follow; 0: not even what was changed last',
      ).argParser((text) => (/^\s*0+\s*$/.test(text) ? 0 : parseDuration(text))),
    )
    .option('--rootfs', "take the container's writable layer along")
    .addOption(new Option('--bwlimit <rate>', 'at most so many bytes per second; K, M, G = 1024').argParser(parseRate))
    .option('--force', 'go on when the container has to be killed to stop')
    .option('--keep-staged', 'if it is rolled back, keep what was copied: the next try sends the difference');
}

export function moveRequest(container: string, options: MoveOptions): MigrateRequest {
  const { from, to, strategy, precopySeconds, rootfs, bwlimit, force, keepStaged } = options;
  return {
    container,
    target: to,
    ...(from === undefined ? {} : { source: from }),
    ...(strategy === undefined ? {} : { strategy }),
    ...(precopySeconds === undefined ? {} : { precopySeconds }),
    ...(rootfs === undefined ? {} : { rootfs }),
    ...(bwlimit === undefined ? {} : { bwlimit }),
    ...(force === undefined ? {} : { force }),
    ...(keepStaged === undefined ? {} : { keepStaged }),
  };
}
