import { once } from 'node:events';
import { connect } from 'node:net';
import { receiveRound, sendRound } from '../../../src/agent/volume/index.ts';
import { CargoError } from '../../../src/api/cargo-error.ts';

/** One side of a round as a process of its own, so that it can be killed. Prints its outcome as JSON. */
const [side, port, path = '', stateDir = '', round = '1'] = process.argv.slice(2);
const socket = connect(Number(port), '127.0.0.1');
await once(socket, 'connect');
const options = {
  socket,
  keys: null,
  root: { path, isFile: false },
  stateDir,
  round: Number(round),
  signal: AbortSignal.timeout(100_000),
};
try {
  const stats = await (side === 'send' ? sendRound({ ...options, final: true, bwlimit: null }) : receiveRound(options));
  console.log(JSON.stringify({ stats }));
} catch (error) {
  console.log(JSON.stringify({ code: CargoError.from(error).code, message: CargoError.from(error).message }));
}
socket.destroy();
