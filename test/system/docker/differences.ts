import { isDeepStrictEqual } from 'node:util';

/** What another host, another creation and another run must differ in. */
const expected = new Set([
  // A container is made anew: its id, when that was, and where Docker keeps its files.
  'Id',
  'Created',
  'ResolvConfPath',
  'HostnamePath',
  'HostsPath',
  'LogPath',
  'GraphDriver.Data.LowerDir',
  'GraphDriver.Data.MergedDir',
  'GraphDriver.Data.UpperDir',
  'GraphDriver.Data.WorkDir',
  // Of this run.
  'State.Pid',
  'State.StartedAt',
  'State.FinishedAt',
  'State.ExitCode',
  'State.Health.Log',
  'NetworkSettings.SandboxID',
  'NetworkSettings.SandboxKey',
  'NetworkSettings.EndpointID',
]);
/** Networks have ids of their own on every host. */
const expectedEndings = [/^NetworkSettings\.Networks\.[^.]+\.(NetworkID|EndpointID|DNSNames)$/];

/** The differences that a move has no reason to make. */
export function unexpected(found: string[]): string[] {
  return found.filter((line) => {
    const path = line.split(':')[0] ?? '';
    return !expected.has(path) && !expectedEndings.some((ending) => ending.test(path));
  });
}

/** Paths at which two JSON values differ, with both values; lists of mounts are compared without regard to order. */
export function differences(a: unknown, b: unknown, path = ''): string[] {
  if (isDeepStrictEqual(a, b)) return [];
  if (isObject(a) && isObject(b)) {
    const keys = [...new Set([...Object.keys(a), ...Object.keys(b)])];
    return keys.flatMap((key) => differences(a[key], b[key], path === '' ? key : `${path}.${key}`));
  }
  if (Array.isArray(a) && Array.isArray(b)) {
    const sorted = (list: unknown[]) => list.map((item) => JSON.stringify(item, sortedKeys)).sort();
    if (isDeepStrictEqual(sorted(a), sorted(b))) return [];
  }
  return [`${path}: ${JSON.stringify(a)} became ${JSON.stringify(b)}`];
}

function isObject(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

function sortedKeys(_key: string, value: unknown): unknown {
  return isObject(value) ? Object.fromEntries(Object.entries(value).sort()) : value;
}
