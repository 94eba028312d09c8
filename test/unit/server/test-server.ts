import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { pino } from 'pino';
import { Agent, type Dispatcher, request } from 'undici';
import { startServer } from '../../../src/server/start.ts';
import { temporaryDir } from './temporary-dir.ts';

export type Answer = { status: number; body: unknown; headers: Record<string, unknown> };
export type Call = {
  method?: Dispatcher.HttpMethod;
  body?: unknown;
  /** Sent as it is, instead of `body`. */
  raw?: string | Buffer;
  token?: string | null;
  headers?: Record<string, string>;
  through?: Dispatcher;
};

/** A server as an operator starts it, on loopback, with a data directory of its own. Ends with the scope. */
export class TestServer implements AsyncDisposable {
  readonly dir: string;
  readonly url: string;
  readonly plainUrl: string;
  readonly ca: string;
  readonly adminToken: string;
  readonly readToken: string;
  readonly joinToken: string;
  readonly #client: Agent;
  readonly #close: () => Promise<void>;

  private constructor(parts: {
    dir: string;
    ports: { tls: number; plain: number };
    files: { ca: string; admin: string; read: string; join: string };
    close: () => Promise<void>;
  }) {
    this.dir = parts.dir;
    this.url = `https://127.0.0.1:${parts.ports.tls}`;
    this.plainUrl = `http://127.0.0.1:${parts.ports.plain}`;
    this.ca = parts.files.ca;
    this.adminToken = parts.files.admin;
    this.readToken = parts.files.read;
    this.joinToken = parts.files.join;
    this.#client = new Agent({ connect: { ca: parts.files.ca, minVersion: 'TLSv1.3' } });
    this.#close = parts.close;
  }

  static async start(options: { dir?: string } = {}): Promise<TestServer> {
    await using undo = new AsyncDisposableStack();
    const dir = options.dir ?? undo.use(await temporaryDir()).path;
    const loopback = { host: '127.0.0.1', port: 0 };
    const log = pino({ level: 'silent' });
    const server = await startServer({ listen: loopback, plainHttp: loopback, dataDir: dir, names: [], log });
    undo.defer(() => server.close());
    const read = async (name: string): Promise<string> => (await readFile(join(dir, name), 'utf8')).trim();
    const files = {
      ca: await read('ca.pem'),
      admin: await read('admin-token'),
      read: await read('read-token'),
      join: await read('join-token'),
    };
    const ports = { tls: server.address.port, plain: server.plainAddress?.port ?? 0 };
    const open = undo.move();
    return new TestServer({ dir, ports, files, close: () => open.disposeAsync() });
  }

  /** Over TLS, with the admin token unless another (or, with null, none) is given. */
  call(path: string, call: Call = {}): Promise<Answer> {
    const token = call.token === undefined ? this.adminToken : call.token;
    const authorization = token === null ? {} : { authorization: `Bearer ${token}` };
    return exchange(this.url + path, { ...call, headers: { ...authorization, ...call.headers } }, this.#client);
  }

  callPlain(path: string, call: Call = {}): Promise<Answer> {
    return exchange(this.plainUrl + path, call, this.#client);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#client.destroy();
    await this.#close();
  }
}

async function exchange(url: string, call: Call, client: Dispatcher): Promise<Answer> {
  const body = call.raw ?? (call.body === undefined ? null : JSON.stringify(call.body));
  const type = body === null ? {} : { 'content-type': 'application/json' };
  const response = await request(url, {
    method: call.method ?? (body === null ? 'GET' : 'POST'),
    headers: { ...type, ...call.headers },
    body,
    dispatcher: call.through ?? client,
  });
  const text = await response.body.text();
  const isJson = text !== '' && String(response.headers['content-type']).startsWith('application/json');
  return { status: response.statusCode, body: isJson ? JSON.parse(text) : text, headers: response.headers };
}
