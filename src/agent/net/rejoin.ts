import { readFile } from 'node:fs/promises';
import { CargoError } from '../../api/cargo-error.ts';
import type { Credentials } from './identity.ts';
import { type JoinOptions, joinWith } from './join.ts';

/**
 * For a host that has no valid certificate any more, or that the server doesn't know: joins with what an operator has put
 * into the token file. A token that was refused is not tried again, another one is.
 */
export class Rejoin {
  readonly #options: JoinOptions;
  #refused: string | null = null;

  constructor(options: JoinOptions) {
    this.#options = options;
  }

  /** The new credentials, or null as long as there is no token that the server takes. */
  async attempt(): Promise<Credentials | null> {
    const { tokenFile, log } = this.#options;
    const token = tokenFile === undefined ? '' : await readFile(tokenFile, 'utf8').catch(() => '');
    if (token === '' || token === this.#refused) return null;
    try {
      const credentials = await joinWith(this.#options, token);
      log.info({ hostId: this.#options.identity.hostId }, 'joined the server again');
      return credentials;
    } catch (thrown) {
      const error = CargoError.from(thrown);
      if (!error.handling.retry) this.#refused = token;
      log.warn({ code: error.code, reason: error.message }, 'joining again failed');
      return null;
    }
  }
}
