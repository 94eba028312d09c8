import { once } from 'node:events';
import fs from 'node:fs';
import { setTimeout as delay } from 'node:timers/promises';
import { connect, createServer, type TLSSocket } from 'node:tls';
import { leaveTlsAsSource, leaveTlsAsTarget } from '../src/agent/net/leave-tls.ts';
import { measureTree, type RoundConnection, receiveRound, sendRound } from '../src/agent/volume/index.ts';

/**
 * One side of a round as agents do it (authenticated by TLS 1.3, sealed frames) as a process of its own: `listen` sends (as a source's agent does), `connect`
 * receives. Prints the port, then as JSON the seconds from the connection to the acknowledgement, and the peak RSS.
 */
const [role, port, path = '', stateDir = '', pem = ''] = process.argv.slice(2);
const credentials = { key: fs.readFileSync(pem), cert: fs.readFileSync(pem), ca: fs.readFileSync(pem) };
const mutual = { ...credentials, minVersion: 'TLSv1.3', requestCert: true, rejectUnauthorized: true } as const;

async function accept(): Promise<RoundConnection> {
  const server = createServer(mutual).listen(0, '127.0.0.1');
  await once(server, 'listening');
  const address = server.address();
  console.log(typeof address === 'object' ? address?.port : address);
  const [socket]: TLSSocket[] = await once(server, 'secureConnection');
  server.close();
  if (socket === undefined) throw new Error('no connection');
  return await leaveTlsAsSource(socket, 'go on without TLS');
}

function dial(): Promise<RoundConnection> {
  const socket = connect({ ...mutual, host: '127.0.0.1', port: Number(port), checkServerIdentity: () => undefined });
  return new Promise((resolve) => socket.once('data', () => resolve(leaveTlsAsTarget(socket))));
}

// An agent that runs has a worker ready; so has this one.
await measureTree({ path, isFile: false }, AbortSignal.timeout(600_000));
await delay(2000);

const connection = role === 'listen' ? await accept() : await dial();
const began = performance.now();
const before = process.resourceUsage();
const common = {
  ...connection,
  root: { path, isFile: false },
  stateDir,
  round: 1,
  signal: AbortSignal.timeout(3_600_000),
};
const stats = await (role === 'listen' ? sendRound({ ...common, final: true, bwlimit: null }) : receiveRound(common));
const seconds = (performance.now() - began) / 1000;
connection.socket.destroy();
const { maxRSS, userCPUTime, systemCPUTime } = process.resourceUsage();
const cpuSeconds = (userCPUTime + systemCPUTime - before.userCPUTime - before.systemCPUTime) / 1e6;
console.log(JSON.stringify({ seconds, cpuSeconds, peakMiB: Math.round(maxRSS / 1024), stats }));
