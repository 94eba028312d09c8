import { once } from 'node:events';
import { connect, type Socket } from 'node:net';

/**
 * Just enough of the MariaDB client protocol to insert and read rows as an account without a password:
 * https://mariadb.com/kb/en/clientserver-protocol/. A client of its own, and not the command line client, since a lost
 * connection must be noticed, timed and replaced within milliseconds.
 */
const CAPABILITIES = {
  longPassword: 0x1,
  connectWithDatabase: 0x8,
  protocol41: 0x200,
  secureConnection: 0x8000,
  pluginAuth: 0x80000,
} as const;
const UTF8MB4 = 45;
const LARGEST_PACKET = 0xffffff;
const QUERY = 0x03;
const REPLY = { ok: 0x00, null: 0xfb, end: 0xfe, error: 0xff } as const;

export type Account = { host: string; port: number; user: string; database: string };
export type Row = (string | null)[];

/** The server refused a statement; `errno` is MariaDB's own number. */
export class StatementError extends Error {
  readonly errno: number;

  constructor(errno: number, message: string) {
    super(message);
    this.name = 'StatementError';
    this.errno = errno;
  }
}

/** One connection, one statement at a time. Any error but StatementError means that it is lost. */
export class Connection implements Disposable {
  readonly #socket: Socket;
  readonly #packets: AsyncGenerator<Buffer, void>;

  private constructor(socket: Socket) {
    this.#socket = socket;
    this.#packets = packetsOf(socket);
  }

  /** @throws StatementError when the account is refused, Error when nobody answers within the limit */
  static async open(account: Account, limitMs: number): Promise<Connection> {
    const socket = connect({ host: account.host, port: account.port, noDelay: true });
    try {
      return await within(socket, limitMs, async () => {
        await once(socket, 'connect');
        const connection = new Connection(socket);
        await connection.#authenticate(account);
        return connection;
      });
    } catch (error) {
      socket.destroy();
      throw error;
    }
  }

  async query(sql: string, limitMs: number): Promise<Row[]> {
    return within(this.#socket, limitMs, async () => {
      this.#send(0, Buffer.concat([Buffer.of(QUERY), Buffer.from(sql)]));
      const head = await this.#receive();
      return head[0] === REPLY.ok ? [] : this.#rows();
    });
  }

  async #authenticate({ user, database }: Account): Promise<void> {
    await this.#receive();
    const capabilities = Object.values(CAPABILITIES).reduce((all, bit) => all | bit, 0);
    const fixed = Buffer.alloc(32);
    fixed.writeUInt32LE(capabilities, 0);
    fixed.writeUInt32LE(LARGEST_PACKET, 4);
    fixed.writeUInt8(UTF8MB4, 8);
    this.#send(1, Buffer.concat([fixed, Buffer.from(`${user}\0\0${database}\0mysql_native_password\0`)]));
    const reply = await this.#receive();
    if (reply[0] === REPLY.ok) return;
    // the server asks for another method: without a password the answer to all of them is empty
    this.#send(3, Buffer.alloc(0));
    await this.#receive();
  }

  /** After the column definitions, which end as the rows do. */
  async #rows(): Promise<Row[]> {
    while (!isEnd(await this.#receive()));
    const rows: Row[] = [];
    for (let packet = await this.#receive(); !isEnd(packet); packet = await this.#receive())
      rows.push(parseRow(packet));
    return rows;
  }

  #send(sequence: number, payload: Buffer): void {
    const header = Buffer.alloc(4);
    header.writeUIntLE(payload.length, 0, 3);
    header.writeUInt8(sequence, 3);
    this.#socket.write(Buffer.concat([header, payload]));
  }

  async #receive(): Promise<Buffer> {
    const { value } = await this.#packets.next();
    if (value === undefined) throw new Error('the server closed the connection');
    if (value[0] === REPLY.error) throw new StatementError(value.readUInt16LE(1), value.toString('utf8', 3));
    return value;
  }

  [Symbol.dispose](): void {
    this.#socket.destroy();
  }
}

async function within<T>(socket: Socket, limitMs: number, work: () => Promise<T>): Promise<T> {
  const timer = setTimeout(() => socket.destroy(new Error(`no answer within ${limitMs} ms`)), limitMs);
  try {
    return await work();
  } finally {
    clearTimeout(timer);
  }
}

async function* packetsOf(socket: Socket): AsyncGenerator<Buffer, void> {
  let buffered = Buffer.alloc(0);
  for await (const chunk of socket as AsyncIterable<Buffer>) {
    buffered = Buffer.concat([buffered, chunk]);
    let at = 0;
    while (buffered.length - at >= 4) {
      const end = at + 4 + buffered.readUIntLE(at, 3);
      if (buffered.length < end) break;
      yield buffered.subarray(at + 4, end);
      at = end;
    }
    buffered = buffered.subarray(at);
  }
}

function isEnd(packet: Buffer): boolean {
  return packet[0] === REPLY.end && packet.length < 9;
}

/** Text protocol: each value is a length-encoded string. */
function parseRow(packet: Buffer): Row {
  const row: Row = [];
  for (let at = 0; at < packet.length; ) {
    if (packet[at] === REPLY.null) {
      row.push(null);
      at += 1;
      continue;
    }
    const { length, start } = lengthAt(packet, at);
    row.push(packet.toString('utf8', start, start + length));
    at = start + length;
  }
  return row;
}

function lengthAt(packet: Buffer, at: number): { length: number; start: number } {
  const first = packet.readUInt8(at);
  const bytes = { 252: 2, 253: 3 }[first];
  return bytes === undefined
    ? { length: first, start: at + 1 }
    : { length: packet.readUIntLE(at + 1, bytes), start: at + 1 + bytes };
}
