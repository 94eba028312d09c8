import { S_IFBLK, S_IFCHR, S_IFIFO, S_IFSOCK } from '../../linux/stat.ts';
import { BLOCK_DEVICE, CHARACTER_DEVICE, FIFO, SOCKET } from './format.ts';

const formats = new Map([
  [FIFO, S_IFIFO],
  [SOCKET, S_IFSOCK],
  [CHARACTER_DEVICE, S_IFCHR],
  [BLOCK_DEVICE, S_IFBLK],
]);

/** The file type bits of an entry that mknod makes; null for other types. */
export function nodeFormat(type: number): number | null {
  return formats.get(type) ?? null;
}
