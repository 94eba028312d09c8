import { once } from 'node:events';
import { rmSync } from 'node:fs';
import { connect, createServer, type Server } from 'node:net';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { CargoError, ErrorBody } from '../../api/cargo-error.ts';
import { isErrno } from '../../linux/libc.ts';
import { ControlRequest, LazyStatus } from './status.ts';

const ANSWER_LIMIT_MS = 10_000;
const socketPath = (stateDir: string): string => join(stateDir, 'control');

/** Serves requests to this process's volume, from processes that may write to its state directory. */
export async function serveControl(
  stateDir: string,
  handle: (request: ControlRequest) => Promise<LazyStatus>,
): Promise<Server> {
  rmSync(socketPath(stateDir), { force: true });
  const server = createServer((socket) => {
    socket.on('error', () => {});
    createInterface({ input: socket }).on('line', async (line) => {
      try {
        socket.write(`${JSON.stringify(await handle(ControlRequest.parse(JSON.parse(line))))}\n`);
      } catch (error) {
        socket.write(`${JSON.stringify(CargoError.from(error).toBody())}\n`);
      }
    });
  });
  server.listen(socketPath(stateDir));
  await once(server, 'listening');
  server.unref();
  return server;
}

/** Null when no hydrator runs. @throws CargoError of the hydrator; INTERNAL when it does not answer */
export async function askHydrator(stateDir: string, request: ControlRequest): Promise<LazyStatus | null> {
  const socket = connect(socketPath(stateDir));
  try {
    const signal = AbortSignal.timeout(ANSWER_LIMIT_MS);
    await once(socket, 'connect', { signal });
    socket.write(`${JSON.stringify(request)}\n`);
    // Its end without an answer: the hydrator was through, or was killed, just now.
    const closed = once(socket, 'close', { signal }).then(() => [null]);
    const [line] = await Promise.race([once(createInterface({ input: socket }), 'line', { signal }), closed]);
    if (line === null) return null;
    const answer: unknown = JSON.parse(line);
    const failure = ErrorBody.safeParse(answer);
    if (failure.success) throw CargoError.fromBody(failure.data);
    return LazyStatus.parse(answer);
  } catch (error) {
    if (isErrno(error, 'ENOENT', 'ECONNREFUSED', 'ECONNRESET', 'EPIPE')) return null;
    throw error;
  } finally {
    socket.destroy();
  }
}
