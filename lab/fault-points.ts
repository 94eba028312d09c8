import { join } from 'node:path';
import { findInit, hostRoot } from './enter.ts';
import { serverDir } from './paths.ts';
import type { Lab, LabHost } from './state.ts';

/** The variable that names the directory in which a test and a process of Cargo meet: `src/faults/reach.ts`. */
export const FAULT_POINTS = 'CARGO_FAULT_POINTS';

/** In memory: gone with the host's power. */
export const hostFaultPoints = '/run/cargo-fault-points';
export const serverFaultPoints = (lab: Lab) => join(serverDir(lab.name), 'fault-points');

/** The host's directory as the machine sees it; undefined while the host is down. */
export function faultPointsOf(lab: Lab, host: LabHost): string | undefined {
  const init = findInit(lab, host);
  return init === undefined ? undefined : join(hostRoot(init), hostFaultPoints);
}
