import { readFile } from 'node:fs/promises';
import { isMissing } from './host-paths.ts';

export type Listener = { address: string; port: number; protocol: string };

/** Socket states of /proc/net (include/net/tcp_states.h): TCP listens in 0A, UDP without a peer is in 07. */
const tables = [
  { file: '/proc/net/tcp', protocol: 'tcp', state: '0A' },
  { file: '/proc/net/tcp6', protocol: 'tcp', state: '0A' },
  { file: '/proc/net/udp', protocol: 'udp', state: '07' },
  { file: '/proc/net/udp6', protocol: 'udp', state: '07' },
] as const;

/** What listens in the network namespace of this process, which is the host's. */
export async function listeners(): Promise<Listener[]> {
  const found: Listener[] = [];
  for (const { file, protocol, state } of tables) {
    found.push(...parseTable(await readTable(file), state).map((socket) => ({ ...socket, protocol })));
  }
  return found;
}

/** Rows of a table of /proc/net (proc_net(5)): `sl local_address rem_address st …`, addresses as words of hex. */
export function parseTable(table: string, state: string): { address: string; port: number }[] {
  return table
    .split('\n')
    .slice(1)
    .map((line) => line.trim().split(/\s+/))
    .filter((fields) => fields[3] === state)
    .map((fields) => {
      const [address = '', port = ''] = (fields[1] ?? '').split(':');
      return { address: address.length === 8 ? ipv4(address) : ipv6(address), port: Number.parseInt(port, 16) };
    });
}

function ipv4(word: string): string {
  return bytesOf(word).join('.');
}

function ipv6(words: string): string {
  const bytes = (words.match(/.{8}/g) ?? []).flatMap(bytesOf);
  if (bytes.every((byte) => byte === 0)) return '::';
  const mapped = bytes.slice(0, 12).join() === '0,0,0,0,0,0,0,0,0,0,255,255';
  if (mapped) return bytes.slice(12).join('.');
  const groups = Array.from({ length: 8 }, (_, at) =>
    (((bytes[2 * at] ?? 0) << 8) | (bytes[2 * at + 1] ?? 0)).toString(16),
  );
  return new URL(`http://[${groups.join(':')}]`).hostname.slice(1, -1);
}

/** A word in the machine's byte order, which is little endian on all that Docker runs on here. */
function bytesOf(word: string): number[] {
  return (word.match(/../g) ?? []).map((byte) => Number.parseInt(byte, 16)).reverse();
}

async function readTable(file: string): Promise<string> {
  try {
    return await readFile(file, 'utf8');
  } catch (thrown) {
    // A kernel without IPv6 has no tables of it.
    if (isMissing(thrown)) return '';
    throw thrown;
  }
}
