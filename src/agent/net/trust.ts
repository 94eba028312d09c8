import { z } from 'zod';
import { CargoError } from '../../api/cargo-error.ts';
import { type HeartbeatAnswer, HostId } from '../../api/host.ts';
import { readIfThere, replaceDurably } from '../../files/durable-file.ts';
import { Serial } from '../migrations/serial.ts';

const Known = z.object({
  term: z.int().describe('The highest of any server that was heard.'),
  revokedDigest: z.string(),
  revoked: z.array(HostId),
});
type Known = z.infer<typeof Known>;

/**
 * What this host knows of the others beside their certificates, on disk: which server is the newest (one that was restored
 * from a backup has a higher term than the one that was lost), and which hosts were removed. Both only grow.
 */
export class Trust {
  readonly #path: string;
  readonly #serial = new Serial();
  #known: Known;

  private constructor(path: string, known: Known) {
    this.#path = path;
    this.#known = known;
  }

  /** @throws CargoError INTERNAL when the file is damaged */
  static async open(path: string): Promise<Trust> {
    const text = await readIfThere(path);
    if (text === null) return new Trust(path, { term: 0, revokedDigest: '', revoked: [] });
    try {
      return new Trust(path, Known.parse(JSON.parse(text)));
    } catch (error) {
      throw new CargoError('INTERNAL', `${path} is damaged: put it back from a backup`, { cause: error });
    }
  }

  get revokedDigest(): string {
    return this.#known.revokedDigest;
  }

  isRevoked(hostId: string): boolean {
    return this.#known.revoked.includes(hostId);
  }

  /** @throws CargoError HOST_REMOVED */
  refuseRevoked(hostId: string): void {
    if (this.isRevoked(hostId)) {
      throw new CargoError('HOST_REMOVED', 'the other host was removed from Cargo: its certificate is void');
    }
  }

  /**
   * A server that calls says its term; a higher one is durable before anything is done for it.
   * @throws CargoError STALE_SERVER when a newer server is known
   */
  async obey(term: number): Promise<void> {
    if (term < this.#known.term) throw stale();
    if (term > this.#known.term) await this.#change((known) => ({ ...known, term: Math.max(known.term, term) }));
  }

  /** Takes in what the server said. @throws CargoError STALE_SERVER */
  async learn({ term, revoked }: HeartbeatAnswer): Promise<void> {
    await this.obey(term);
    if (revoked === null || revoked === undefined) return;
    await this.#change((known) => ({
      ...known,
      revokedDigest: revoked.digest,
      revoked: [...new Set([...known.revoked, ...revoked.hostIds])],
    }));
  }

  #change(change: (known: Known) => Known): Promise<void> {
    return this.#serial.run('trust', async () => {
      const known = change(this.#known);
      await replaceDurably(this.#path, JSON.stringify(known));
      this.#known = known;
    });
  }
}

function stale(): CargoError {
  return new CargoError(
    'STALE_SERVER',
    'this host obeys a cargo-server that was restored later than this one: stop the older server',
  );
}
