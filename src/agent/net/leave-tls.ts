import { Socket } from 'node:net';
import type { Duplex } from 'node:stream';
import type { TLSSocket } from 'node:tls';
import { CargoError } from '../../api/cargo-error.ts';
import { duplicate } from '../../linux/duplicate.ts';
import { close } from '../../linux/open.ts';
import type { RoundConnection, SealKeys } from '../volume/index.ts';

/**
 * How a round's connection goes on without TLS once TLS has said who is at both ends. Node's TLS takes most of the time
 * of a bulk transfer (16 KiB records, each copied several times), so frames are sealed by the round itself (sealing.ts),
 * with keys that both ends export from the TLS session (RFC 8446, 7.5): nobody else has them, and no other session does.
 *
 * The two layers must not meet: the source stops reading before it sends the last bytes in TLS, its answer to the
 * upgrade; the target, on that answer, leaves TLS and says so with one byte; the source sends nothing before that.
 */
const LABEL = 'EXPORTER-cargo-data';
const KEY_BYTES = 32;
const READY = 0x2a;
const READY_LIMIT_MS = 15_000;
/** What is read at once: it fits into a core's cache, where it is copied from. */
const READ_BYTES = 256 * 1024;

type Role = 'source' | 'target';
type FirstBytes = (bytes: Uint8Array) => void;

/** What Node has no public way to: it holds for Node 24, which Cargo brings along, and a test holds it. */
type Handle = { fd: number; readStop: () => unknown };

/** At the source. `answer` goes out as the last thing in TLS. @throws CargoError PEER_UNREACHABLE, INTERNAL */
export async function leaveTlsAsSource(tls: TLSSocket, answer: string): Promise<RoundConnection> {
  handleOf(tls).readStop();
  const { promise, resolve, reject } = Promise.withResolvers<void>();
  tls.once('error', (error) => reject(gone(error))).once('close', () => reject(gone()));
  tls.write(answer, (error) => (error ? reject(gone(error)) : resolve()));
  await promise;
  const ready = Promise.withResolvers<void>();
  const connection = takeOver(tls, 'source', (bytes) => {
    if (bytes.length === 1 && bytes[0] === READY) ready.resolve();
    else ready.reject(gone());
  });
  await untilReady(connection.socket, ready);
  return connection;
}

/** At the target, in the very turn of the event loop in which the answer has come. @throws CargoError INTERNAL */
export function leaveTlsAsTarget(tls: TLSSocket): RoundConnection {
  handleOf(tls).readStop();
  const connection = takeOver(tls, 'target', null);
  connection.socket.write(Buffer.from([READY]));
  return connection;
}

function takeOver(tls: TLSSocket, role: Role, first: FirstBytes | null): RoundConnection {
  const keys = exportKeys(tls, role);
  const fd = duplicate(handleOf(tls).fd);
  tls.destroy();
  try {
    return { socket: openSocket(fd, first), keys };
  } catch (error) {
    close(fd);
    throw error;
  }
}

/**
 * A socket that reads into one buffer, again and again: the ordinary way makes garbage of 64 KiB at each read, and
 * clearing that away takes longer than reading. So its bytes come as `data` events and no other way, and only once it
 * is resumed. What comes until then goes to `first`, once.
 */
function openSocket(fd: number, first: FirstBytes | null): Socket {
  let listener = first;
  const buffer = Buffer.allocUnsafeSlow(READ_BYTES);
  const callback = (length: number): boolean => {
    const bytes = buffer.subarray(0, length);
    const isFirst = listener !== null;
    if (isFirst) listener?.(bytes);
    else socket.emit('data', bytes);
    listener = null;
    return !isFirst;
  };
  const socket = new Socket({ fd, readable: true, writable: true, onread: { buffer, callback } });
  if (first === null) socket.pause();
  // Whoever uses the socket sees a failure too; this keeps one that comes before that from ending the process.
  socket.on('error', () => {});
  return socket;
}

function exportKeys(tls: TLSSocket, role: Role): SealKeys {
  const both = tls.exportKeyingMaterial(2 * KEY_BYTES, LABEL, Buffer.alloc(0));
  const [first, second] = [both.subarray(0, KEY_BYTES), both.subarray(KEY_BYTES)];
  return role === 'source' ? { send: first, receive: second } : { send: second, receive: first };
}

async function untilReady(socket: Duplex, ready: PromiseWithResolvers<void>): Promise<void> {
  const late = setTimeout(() => ready.reject(gone()), READY_LIMIT_MS);
  const lost = (): void => ready.reject(gone());
  socket.once('end', lost).once('close', lost);
  try {
    await ready.promise;
    socket.pause();
  } catch (error) {
    socket.destroy();
    throw error;
  } finally {
    clearTimeout(late);
    socket.off('end', lost).off('close', lost);
  }
}

function gone(cause?: unknown): CargoError {
  return new CargoError('PEER_UNREACHABLE', 'the target was lost before the round began', { cause });
}

function handleOf(tls: TLSSocket): Handle {
  const handle: unknown = Reflect.get(tls, '_handle');
  if (isHandle(handle)) return handle;
  throw new CargoError(
    'INTERNAL',
    'a TLS connection has no descriptor: it is closed, or this is not the Node.js that Cargo brings along',
  );
}

function isHandle(handle: unknown): handle is Handle {
  if (typeof handle !== 'object' || handle === null) return false;
  return 'fd' in handle && typeof handle.fd === 'number' && handle.fd >= 0 && 'readStop' in handle;
}
