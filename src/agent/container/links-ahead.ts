import { linkTo, type SourceAddress, type SourceLink } from '../lazy/index.ts';

/** From the end of the last round to its list: longer, and nobody will ask for it. */
const KEPT_MS = 10_000;

/** Links to the source that are made while the server writes down that all is copied: what they take would be downtime after that. */
export class LinksAhead {
  /** By state directory. */
  readonly #links = new Map<string, { link: SourceLink; limit: NodeJS.Timeout }>();

  connect(stateDir: string, source: SourceAddress): void {
    this.close(stateDir);
    const link = linkTo(source);
    link.connect();
    this.#links.set(stateDir, { link, limit: setTimeout(() => this.close(stateDir), KEPT_MS).unref() });
  }

  /** The link is the caller's, connected or about to be. */
  take(stateDir: string): SourceLink | null {
    const known = this.#links.get(stateDir);
    clearTimeout(known?.limit);
    this.#links.delete(stateDir);
    return known?.link ?? null;
  }

  close(stateDir: string): void {
    this.take(stateDir)?.close();
  }
}
