import { fstatSync } from 'node:fs';
import { bind, check, cstring, memoryAt } from './libc.ts';

const memfdCreate = bind('int memfd_create(void *name, uint flags)');
const ftruncate = bind('int ftruncate(int fd, int64 length)');
const mmap = bind('intptr_t mmap(intptr_t address, size_t length, int protection, int flags, int fd, int64 offset)');
const mlock = bind('int mlock(intptr_t address, size_t length)');

/** linux/memfd.h, asm-generic/mman-common.h. */
const MFD_CLOEXEC = 0x1;
const PROT_READ_WRITE = 0x3;
const MAP_SHARED = 0x1;

/** Memory, all zeros, that lives as long as any process has a descriptor of it: memfd_create(2). */
export function createSharedMemory(name: string): number {
  return check(memfdCreate(cstring(name), MFD_CLOEXEC), 'memfd_create');
}

/**
 * The memory of such a descriptor, which grows to `atLeast` bytes if it is shorter. What one process writes is what all others see, and
 * stays when it is killed. The first `locked` bytes are never swapped out, if this process may ask for that.
 */
export function mapSharedMemory(fd: number, atLeast: number, locked: number): Buffer {
  const length = Math.max(atLeast, fstatSync(fd).size);
  check(ftruncate(fd, length), 'ftruncate', `fd ${fd}`);
  const address = check(mmap(0, length, PROT_READ_WRITE, MAP_SHARED, fd, 0), 'mmap', `fd ${fd}`);
  mlock(address, locked);
  return memoryAt(address, length);
}
