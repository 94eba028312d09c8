/** Sizes that both sides of a round must agree on. */

/** Files are compared and sent in blocks of this many bytes. */
export const BLOCK_BYTES = 65536;

/** Holes are known to this granularity: each block has one bit per page that holds data. */
export const PAGE_BYTES = 4096;

/** Of a block: see BlockHash. Of extended attributes: SHA-256, cut to 128 bits. */
export const HASH_BYTES = 16;

/** NAME_MAX of linux/limits.h. */
export const NAME_MAX_BYTES = 255;

/** Named abilities would differ here; two agents that don't share this can't transfer. */
export const DATA_PROTOCOL = 'cargo-data/2';

/** Types of entries, in records and in ops. */
export const FILE = 1;
export const DIRECTORY = 2;
export const SYMLINK = 3;
export const FIFO = 4;
export const SOCKET = 5;
export const CHARACTER_DEVICE = 6;
export const BLOCK_DEVICE = 7;
