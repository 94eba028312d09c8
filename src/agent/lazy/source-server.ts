import { once } from 'node:events';
import { rmSync } from 'node:fs';
import { createServer, type Server, type Socket } from 'node:net';
import { createServer as createTlsServer, type TLSSocket } from 'node:tls';
import { CargoError } from '../../api/cargo-error.ts';
import { partyOf } from '../net/party.ts';
import { sendRound } from '../volume/index.ts';
import { BodyMemory } from './body-memory.ts';
import { ANSWER_MAX_BYTES } from './range-hash.ts';
import { type RangeSource, serveRanges } from './range-server.ts';
import { ServedFiles } from './served-files.ts';
import { type Greeting, takeGreeting } from './source-address.ts';

const LONGEST_ROUND_MS = 24 * 3600 * 1000;
const ANSWERS_KEPT = 8;

export type SourceOptions = {
  /** Root of the tree. */
  path: string;
  /** What the rounds leave here says what the target has. */
  stateDir: string;
  /** Files above this many bytes are left to be fetched when they are touched. */
  contentLimit: number;
};

export type TlsOptions = { host: string; port: number; key: Buffer; cert: Buffer; ca: Buffer; targetHostId: string };

/**
 * The source's side for cargo-lazy: rounds that bring the tree without the content of large files, and the ranges of
 * these files. Closed when disposed of.
 */
export class SourceServer implements AsyncDisposable {
  readonly #options: SourceOptions;
  readonly #sockets = new Set<Socket>();
  readonly #memory = new BodyMemory(ANSWER_MAX_BYTES, ANSWERS_KEPT);
  #files: ServedFiles | null = null;
  #server: Server | null = null;

  constructor(options: SourceOptions) {
    this.#options = options;
  }

  async listenOnUnix(path: string): Promise<void> {
    rmSync(path, { force: true });
    await this.#listen(createServer(), { path });
  }

  /** Returns the port. Only the host that is named is served. */
  async listenOnTls({ host, port, targetHostId, ...tls }: TlsOptions): Promise<number> {
    const server = createTlsServer({ ...tls, requestCert: true, rejectUnauthorized: true, minVersion: 'TLSv1.3' });
    server.on('secureConnection', (socket: TLSSocket) => {
      const caller = partyOf(socket.getPeerX509Certificate()?.subjectAltName);
      if (caller?.kind === 'host' && caller.hostId === targetHostId) void this.#serve(socket);
      else socket.destroy();
    });
    await this.#listen(server, { host, port });
    const address = server.address();
    if (address === null || typeof address === 'string') throw new CargoError('INTERNAL', 'The server has no port.');
    return address.port;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const socket of this.#sockets) socket.destroy();
    const closed = this.#server === null ? null : once(this.#server, 'close');
    this.#server?.close();
    await closed;
    this.#files?.[Symbol.dispose]();
  }

  async #listen(server: Server, where: { path: string } | { host: string; port: number }): Promise<void> {
    this.#server = server;
    const isTls = 'port' in where;
    server.on('connection', (socket: Socket) => {
      this.#sockets.add(socket);
      socket.on('close', () => this.#sockets.delete(socket)).on('error', () => {});
      if (!isTls) void this.#serve(socket);
    });
    server.listen(where);
    await once(server, 'listening');
  }

  async #serve(socket: Socket): Promise<void> {
    socket.on('error', () => {});
    socket.setNoDelay(true);
    try {
      const greeting = await takeGreeting(socket);
      if (greeting.want === 'ranges') await serveRanges({ socket, keys: null }, this.#ranges());
      else await this.#sendRound(socket, greeting);
    } catch {
      socket.destroy();
    }
  }

  #ranges(): RangeSource {
    this.#files ??= new ServedFiles(this.#options);
    const files = this.#files;
    return {
      answer: (request) => files.answer(request, this.#memory.takeWhole()),
      giveBack: (answer) => this.#memory.give(answer),
      entries: (from) => files.entries(from),
    };
  }

  async #sendRound(socket: Socket, { round, final }: Extract<Greeting, { want: 'round' }>): Promise<void> {
    const { path, stateDir, contentLimit } = this.#options;
    this.#files?.[Symbol.dispose]();
    this.#files = null;
    const signal = AbortSignal.timeout(LONGEST_ROUND_MS);
    const root = { path, isFile: false };
    await sendRound({ socket, keys: null, root, stateDir, round, final, bwlimit: null, contentLimit, signal });
    socket.end();
  }
}
