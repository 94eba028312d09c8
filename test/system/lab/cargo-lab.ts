import { execFileSync, spawn } from 'node:child_process';
import { createHash } from 'node:crypto';
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';

export const cargoLab = join(import.meta.dirname, '../../../bin/cargo-lab');

export type Ran = { status: number | null; stdout: string; stderr: string };

/** Runs cargo-lab to its end with this standard input. */
export function lab(args: readonly string[], input = ''): Promise<Ran> {
  return new Promise((resolve, reject) => {
    const child = spawn(cargoLab, args, { stdio: 'pipe' });
    const ran = { stdout: '', stderr: '' };
    child.stdout.on('data', (chunk: Buffer) => {
      ran.stdout += chunk;
    });
    child.stderr.on('data', (chunk: Buffer) => {
      ran.stderr += chunk;
    });
    child.on('error', reject);
    child.on('close', (status) => resolve({ status, ...ran }));
    child.stdin.end(input);
  });
}

/** Runs cargo-lab, which must succeed, and gives its trimmed output. */
export async function must(args: readonly string[], input = ''): Promise<string> {
  const { status, stdout, stderr } = await lab(args, input);
  if (status !== 0) throw new Error(`cargo-lab ${args.join(' ')} exited with ${status}: ${stderr || stdout}`);
  return stdout.trim();
}

/** A shell script in a host of a lab, which must succeed; gives its trimmed output. */
export const shell = (name: string, host: string, script: string): Promise<string> =>
  must(['exec', '--name', name, host, '--', 'sh', '-ec', script]);

function cgroupsOf(name: string): string[] {
  return readdirSync('/sys/fs/cgroup')
    .map((hierarchy) => join('/sys/fs/cgroup', hierarchy))
    .flatMap((hierarchy) => readdirSync(hierarchy).map((group) => join(hierarchy, group)))
    .filter((group) => group.includes(`/cargo-lab-${name}-`));
}

function processesOf(name: string): string[] {
  return readdirSync('/proc')
    .filter((pid) => /^\d+$/.test(pid))
    .filter((pid) => {
      try {
        return readFileSync(`/proc/${pid}/cgroup`, 'utf8').includes(`/cargo-lab-${name}-`);
      } catch {
        return false; // ended since it was listed
      }
    });
}

/** All that a lab still has on the machine, each in words; empty when it is gone. */
export function leftovers(name: string): string[] {
  const folder = `/var/lib/cargo-lab/${name}`;
  const interfaces = `cl${createHash('sha256').update(name).digest('hex').slice(0, 8)}`;
  const lines = (text: string, part: string) => text.split('\n').filter((line) => line.includes(part));
  return [
    ...cgroupsOf(name),
    ...processesOf(name).map((pid) => `process ${pid}`),
    ...lines(readFileSync('/proc/mounts', 'utf8'), `${folder}/`),
    ...lines(execFileSync('losetup', ['--list', '--noheadings'], { encoding: 'utf8' }), `${folder}/`),
    ...lines(execFileSync('ip', ['-brief', 'link'], { encoding: 'utf8' }), interfaces),
    ...(existsSync(folder) ? [folder] : []),
  ];
}
