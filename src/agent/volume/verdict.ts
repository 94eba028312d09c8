import { DIFFERING_SHOWN } from '../../api/migration.ts';
import { showName } from '../../linux/libc.ts';
import type { BlockHash } from './block-hash.ts';
import type { BlockListReader } from './block-list.ts';
import { Comparison, type DirectoryPair, NONE } from './comparison.ts';
import { BLOCK_BYTES, DIRECTORY, FILE } from './format.ts';
import type { Manifest } from './manifest.ts';
import { LINK, type RecordView, STALE } from './record.ts';
import { ROOT } from './tree.ts';
import type { VerifyStats } from './worker-messages.ts';

/** Both with hashes under the same key. */
type Compared = { sent: Manifest; found: Manifest; hash: BlockHash };

/**
 * Compares the tree found at the target with the manifest of what was sent. In what was found STALE means that somebody
 * there has changed the entry since: that it differs then is no wonder, and neither is what came or went in a directory
 * that is STALE.
 */
export function compareWithSent(compared: Compared, poll: () => void): VerifyStats {
  return new VerdictMaker(compared, poll).make();
}

class VerdictMaker {
  readonly #sent: Manifest;
  readonly #found: Manifest;
  readonly #hash: BlockHash;
  readonly #poll: () => void;
  readonly #comparison: Comparison;
  readonly #verdict: VerifyStats = { files: 0, bytes: 0, changed: 0, differences: 0, differing: [] };
  readonly #path: string[] = [];
  /** Records of directories that are missing and whose absence is explained. */
  readonly #explained = new Set<number>();

  constructor({ sent, found, hash }: Compared, poll: () => void) {
    this.#sent = sent;
    this.#found = found;
    this.#hash = hash;
    this.#poll = poll;
    this.#comparison = new Comparison(found.tree, sent.tree, { byName: true, trustSignatures: false });
  }

  make(): VerifyStats {
    this.#comparison.prepare(this.#poll);
    this.#compareRoots();
    this.#comparison.walkAfter({ enter: (pair) => this.#enter(pair), leave: () => this.#path.pop() });
    return this.#verdict;
  }

  #compareRoots(): void {
    const [found, sent] = [this.#comparison.viewBefore(ROOT), this.#comparison.viewAfter(ROOT)];
    if (found.has(STALE)) this.#verdict.changed += 1;
    else this.#count(hasSameAttributes(found, sent), '', 0);
  }

  #enter(pair: DirectoryPair): void {
    const directory = this.#comparison.viewAfter(pair.after);
    this.#path.push(showName(directory.name));
    const isExplained =
      pair.before === NONE ? this.#explained.has(pair.after) : this.#comparison.viewBefore(pair.before).has(STALE);
    this.#comparison.mergeEntries(pair, (found, sent) => {
      this.#poll();
      if (found !== null && sent !== null) this.#compareEntry(found, sent);
      else if (isExplained || found?.has(STALE) === true) this.#explain(sent);
      else this.#count(false, nameOf(found ?? sent), 0);
    });
  }

  #explain(missing: RecordView | null): void {
    this.#verdict.changed += 1;
    if (missing?.type === DIRECTORY) this.#explained.add(missing.offset);
  }

  #compareEntry(found: RecordView, sent: RecordView): void {
    if (this.#inodeOf(found).has(STALE)) {
      this.#explain(this.#comparison.isKept(found, sent) ? null : sent);
      return;
    }
    const isSame = this.#comparison.isKept(found, sent) && (sent.has(LINK) || this.#isSameInode(found, sent));
    this.#count(isSame, nameOf(sent), sent.type === FILE && !sent.has(LINK) ? sent.size : 0);
  }

  /** What is known of the inode stands at the first of its names. */
  #inodeOf(found: RecordView): RecordView {
    if (!found.has(LINK)) return found;
    return this.#comparison.viewBefore(this.#found.tree.index.offsetAt(this.#comparison.slotBefore(found)));
  }

  #isSameInode(found: RecordView, sent: RecordView): boolean {
    if (found.has(LINK) || !hasSameAttributes(found, sent)) return false;
    if (sent.type !== FILE) return true;
    return found.size === sent.size && this.#hasSameContent(found, sent);
  }

  /** A hole and zeros are the same to whoever reads them. */
  #hasSameContent(found: RecordView, sent: RecordView): boolean {
    const [foundBlocks, sentBlocks] = [this.#found.blocks, this.#sent.blocks];
    foundBlocks.begin(found);
    sentBlocks.begin(sent);
    for (let offset = 0; offset < sent.size; offset += BLOCK_BYTES) {
      const zerosHash = this.#hash.ofZeros(Math.min(BLOCK_BYTES, sent.size - offset));
      const foundHash = hashOrNull(foundBlocks) ?? zerosHash;
      const sentHash = hashOrNull(sentBlocks) ?? zerosHash;
      if (!foundHash.equals(sentHash)) return false;
    }
    return true;
  }

  #count(isSame: boolean, name: string, bytes: number): void {
    const verdict = this.#verdict;
    if (isSame) {
      verdict.files += 1;
      verdict.bytes += bytes;
      return;
    }
    verdict.differences += 1;
    if (verdict.differing.length < DIFFERING_SHOWN) verdict.differing.push([...this.#path.slice(1), name].join('/'));
  }
}

function nameOf(record: RecordView | null): string {
  return record === null ? '' : showName(record.name);
}

function hasSameAttributes(found: RecordView, sent: RecordView): boolean {
  return found.hasSameMetadata(sent) && found.xattrDigest.equals(sent.xattrDigest);
}

/** Of the list's next block; null for a hole, and beyond the end. */
function hashOrNull(blocks: BlockListReader): Buffer | null {
  return blocks.next() && blocks.pageBits !== 0 ? blocks.hash : null;
}
