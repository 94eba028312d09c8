import { Readable } from 'node:stream';
import { extract, pack } from 'tar-stream';

/** In the tar of `docker save` (Docker 25 and newer) an uncompressed layer is the blob that its diff id names. */
const BLOB = /^(?:\.\/)?blobs\/sha256\/([0-9a-f]{64})$/;

/**
 * The diff ids whose blobs may stay away: those of the base that the target has. A layer that comes again above the
 * base (the empty layer does) must travel.
 */
export function layersToLeaveOut(layers: readonly string[], haveLayers: readonly string[]): Set<string> {
  const shared = commonPrefix(layers, haveLayers);
  const above = new Set(layers.slice(shared));
  return new Set(layers.slice(0, shared).filter((layer) => !above.has(layer)));
}

/** How many layers, from the base up, both chains have in common. */
export function commonPrefix(a: readonly string[], b: readonly string[]): number {
  const differs = a.findIndex((layer, index) => layer !== b[index]);
  return differs === -1 ? a.length : differs;
}

/** A tar without the blobs of these layers, streamed: no more than a few blocks are ever in memory. */
export function withoutLayers(tar: Readable, leaveOut: ReadonlySet<string>): Readable {
  const input = extract();
  const output = pack();
  input.on('entry', (header, entry, next) => {
    // It ends with the stream that it is part of, which tells why: without a listener that would be uncaught.
    entry.on('error', () => undefined);
    const digest = BLOB.exec(header.name)?.[1];
    if (digest !== undefined && leaveOut.has(`sha256:${digest}`)) {
      entry.on('end', () => next()).resume();
      return;
    }
    entry.pipe(output.entry(header, next).on('error', () => undefined));
  });
  input.on('finish', () => output.finalize());
  input.on('error', (error) => output.destroy(error));
  // It may fail before anybody reads it; who reads it then is told.
  output.on('error', () => undefined);
  tar.on('error', (error) => input.destroy(error));
  output.on('close', () => tar.destroy());
  // streamx's Writable does all that `pipe` asks for, only its type says otherwise.
  tar.pipe(input as unknown as NodeJS.WritableStream);
  return Readable.from(output, { objectMode: false });
}
