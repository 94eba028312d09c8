import { join } from 'node:path';
import type { StepOutput } from '../../api/agent-steps.ts';
import { DIFFERING_SHOWN } from '../../api/migration.ts';
import { type TargetMount, targetMounts } from './copy-step.ts';
import type { StepContext, StepHandler } from './step-context.ts';
import type { VerifyAtTarget } from './volume-rounds.ts';

/** All data mounts, one after the other, beside what the source sent. */
export function createVerifyStep(verify: VerifyAtTarget): StepHandler<'verify'> {
  return async (context) => {
    const total: StepOutput<'verify'> = { files: 0, bytes: 0, changed: 0, differences: 0, differing: [] };
    for (const target of targetMounts(context)) {
      const one = await verifyMount(context, target, verify);
      total.files += one.files;
      total.bytes += one.bytes;
      total.changed += one.changed;
      total.differences += one.differences;
      const paths = one.differing.map((path) => `${target.mount.name}: ${path}`);
      total.differing = [...total.differing, ...paths].slice(0, DIFFERING_SHOWN);
    }
    return total;
  };
}

async function verifyMount(context: StepContext, { mount, path }: TargetMount, verify: VerifyAtTarget) {
  const { directory, signal } = context;
  const stateDir = join(directory, `mount-${mount.index}`);
  const connection = await context.source().openVerification(mount.index, signal);
  try {
    return await verify({ ...connection, root: { path, isFile: mount.isFile }, stateDir, signal });
  } finally {
    connection.socket.destroy();
  }
}
