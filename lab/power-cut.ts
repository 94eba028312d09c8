import { closeSync, openSync } from 'node:fs';
import koffi from 'koffi';
import { CargoError } from '../src/api/cargo-error.ts';
import { run } from './run.ts';
import type { FileSystem } from './state.ts';

const ioctl = koffi.load('libc.so.6').func('int ioctl(int fd, unsigned long request, void *argument)');

/** _IOR('X', 125, __u32): EXT4_IOC_SHUTDOWN of fs/ext4/ext4.h and XFS_IOC_GOINGDOWN of fs/xfs/libxfs/xfs_fs.h alike. */
const SHUTDOWN = 0x8004587d;
/** EXT4_GOING_FLAGS_NOLOGFLUSH, XFS_FSOP_GOING_FLAGS_NOLOGFLUSH: neither data nor journal is written any more. */
const NO_LOG_FLUSH = 2;

const LOOP_SET_STATUS64 = 0x4c04; // <linux/loop.h>
const LOOP_GET_STATUS64 = 0x4c05;
const LOOP_INFO64_BYTES = 232;
const SIZE_LIMIT_OFFSET = 32;

function control(path: string, request: number, argument: Buffer): void {
  const fd = openSync(path, 'r');
  try {
    if (ioctl(fd, request, argument) !== 0) {
      throw new CargoError('INTERNAL', `ioctl ${request.toString(16)} of ${path} failed: errno ${koffi.errno()}`);
    }
  } finally {
    closeSync(fd);
  }
}

/** Btrfs can't be told to stop, so its disk shrinks to one sector: every later write fails before it reaches the image. */
async function shrinkDisk(image: string): Promise<void> {
  const device = (await run('losetup', ['--noheadings', '--output', 'NAME', '--associated', image])).trim();
  const info = Buffer.alloc(LOOP_INFO64_BYTES);
  control(device, LOOP_GET_STATUS64, info);
  info.writeBigUInt64LE(512n, SIZE_LIMIT_OFFSET);
  control(device, LOOP_SET_STATUS64, info);
}

/** Stops a mounted file system as a power cut would: what is dirty never reaches the disk image. */
export async function stopFileSystem(fs: FileSystem, pathOnIt: string, image: string): Promise<void> {
  if (fs === 'btrfs') {
    await shrinkDisk(image);
    return;
  }
  const flags = Buffer.alloc(4);
  flags.writeUInt32LE(NO_LOG_FLUSH);
  control(pathOnIt, SHUTDOWN, flags);
}
