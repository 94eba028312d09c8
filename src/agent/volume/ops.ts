/**
 * The changes that make the receiver's tree what the source's is. An op is a code byte and fixed fields; names are u16
 * length, bytes, NUL. All ops act on entries of the current directory, which ENTER and LEAVE move, so no op holds a path.
 *
 *   ENTER name            LEAVE
 *   UNLINK name           RMDIR name
 *   STASH name, id        take the entry out of sight, to come back elsewhere
 *   ANCHOR name, id       keep a hard link of the entry in the stash
 *   TAKE name, id         put the stashed entry here
 *   LINK name, id         put a hard link of the stashed entry here
 *   MKDIR name
 *   SMALL name, metadata, hash, length, +data         a new file without holes or attributes, complete
 *   FILE name, metadata, new, size                    begins a file; DATA, ZERO and HOLE belong to it
 *   DATA offset, length, page bits, hash, +data
 *   ZERO offset, length, page bits                    data that is all zeros
 *   HOLE offset, length
 *   SYMLINK name, metadata, target                    begins a new symlink
 *   NODE name, metadata, type, major, minor           begins a new FIFO, socket or device
 *   TOUCH name, metadata                              begins an existing entry that is neither file nor directory
 *   DIR metadata                                      begins the current directory
 *   XATTR name, +value                                an attribute of what was begun; cargo.flags: of chattr(1), u32;
 *                                                     cargo.reserved, the first: room without data, pairs of u64
 *   DONE all                                          ends what was begun; all: attributes not named go away
 *   PROGRESS files, bytes
 *
 * Metadata: mode u32, uid u32, gid u32, mtime i64 s, u32 ns.
 */
export const ops = {
  enter: 1,
  leave: 2,
  unlink: 3,
  rmdir: 4,
  stash: 5,
  anchor: 6,
  take: 7,
  link: 8,
  mkdir: 9,
  small: 10,
  file: 11,
  data: 12,
  zero: 13,
  hole: 14,
  symlink: 15,
  node: 16,
  touch: 17,
  dir: 18,
  xattr: 19,
  done: 20,
  progress: 21,
} as const;

export type OpCode = (typeof ops)[keyof typeof ops];

export type Metadata = { mode: number; uid: number; gid: number; mtimeSeconds: number; mtimeNanoseconds: number };

/** Room that every op fits in, its name included, a symlink's target not. */
export const OP_MAX_BYTES = 512;
