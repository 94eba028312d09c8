import { createHash } from 'node:crypto';
import {
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmdirSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import { join } from 'node:path';
import { z } from 'zod';
import { CargoError } from '../src/api/cargo-error.ts';
import { type Lock, lock } from './lock.ts';
import { labDir, stateRoot } from './paths.ts';

export const LabName = z
  .string()
  .regex(/^[a-z0-9][a-z0-9-]{0,29}$/, 'a lab name has 1 to 30 small letters, digits and dashes');

export const FileSystem = z.enum(['ext4', 'xfs', 'btrfs']);
export type FileSystem = z.infer<typeof FileSystem>;

export const LabHost = z.object({ name: z.string(), address: z.ipv4(), link: z.string() });
export type LabHost = z.infer<typeof LabHost>;

/**
 * All names and addresses that a lab uses on the machine. Written before anything of it is made, so that `down` knows
 * what to remove however early `up` was interrupted.
 */
export const Lab = z.object({
  name: LabName,
  fs: FileSystem,
  diskBytes: z.int(),
  bare: z.boolean(),
  faultPoints: z.boolean().default(false).describe('Its processes stop where a test wants to strike.'),
  certificateLife: z.string().nullable().default(null).describe('Of what the server issues, as its option has it.'),
  bridge: z.string(),
  gateway: z.ipv4().describe("The machine's own address on the bridge."),
  prefixLength: z.int(),
  server: LabHost,
  hosts: z.array(LabHost),
});
export type Lab = z.infer<typeof Lab>;

/** Short and stable, for names that the kernel limits: an interface has at most 15 characters. */
export function shortId(lab: string): string {
  return createHash('sha256').update(lab).digest('hex').slice(0, 8);
}

const stateFile = (lab: string) => join(labDir(lab), 'lab.json');

/** Must be called with the lock of `lockLabs` held. */
export function saveLab(lab: Lab): void {
  mkdirSync(labDir(lab.name), { recursive: true, mode: 0o700 });
  const file = stateFile(lab.name);
  writeFileSync(`${file}.new`, JSON.stringify(lab, null, 2));
  renameSync(`${file}.new`, file);
}

export function findLab(name: string): Lab | undefined {
  const file = stateFile(LabName.parse(name));
  return existsSync(file) ? Lab.parse(JSON.parse(readFileSync(file, 'utf8'))) : undefined;
}

/** @throws CargoError NOT_FOUND */
export function loadLab(name: string): Lab {
  const lab = findLab(name);
  if (lab === undefined) {
    throw new CargoError('NOT_FOUND', `there is no lab ${name}: start it with \`cargo-lab up --name ${name}\``);
  }
  return lab;
}

/** @throws CargoError HOST_NOT_FOUND */
export function findHost(lab: Lab, name: string): LabHost {
  const host = lab.hosts.find((candidate) => candidate.name === name);
  if (host === undefined) {
    const names = lab.hosts.map((candidate) => candidate.name).join(', ');
    throw new CargoError('HOST_NOT_FOUND', `lab ${lab.name} has no host ${name}, it has ${names}`);
  }
  return host;
}

/** A host, or the machine that cargo-server runs on. @throws CargoError HOST_NOT_FOUND */
export function findMachine(lab: Lab, name: string): LabHost {
  return name === lab.server.name && !lab.bare ? lab.server : findHost(lab, name);
}

/** The labs of this machine; one that a different version of the lab has written is left out. */
export function allLabs(): Lab[] {
  if (!existsSync(stateRoot)) return [];
  return readdirSync(stateRoot).flatMap((name) => {
    const file = stateFile(name);
    const lab = existsSync(file) ? Lab.safeParse(JSON.parse(readFileSync(file, 'utf8'))) : undefined;
    return lab?.success ? [lab.data] : [];
  });
}

/** Keeps other cargo-lab commands from making and removing labs until it is disposed. */
export async function lockLabs(): Promise<Lock> {
  for (;;) {
    mkdirSync(stateRoot, { recursive: true });
    const held = await lock(stateRoot, 60_000);
    if (held !== undefined) return held;
  }
}

/** Forgets a lab of which nothing is left on the machine. Must be called with the lock of `lockLabs` held. */
export function removeLab(name: string): void {
  rmSync(labDir(name), { recursive: true, force: true });
  if (readdirSync(stateRoot).length === 0) rmdirSync(stateRoot);
}
