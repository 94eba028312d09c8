import { close } from '../../linux/open.ts';

const NONE = -1;

/**
 * Descriptors that a thread holds and Node does not know, known to who started it: they are the process’s, and would outlive the thread if it were
 * lost. A message between the two carries `slots`.
 */
export class DescriptorLedger {
  readonly slots: Int32Array<SharedArrayBuffer>;

  /** Of `most` at once. */
  static ofSize(most: number): DescriptorLedger {
    const slots = new Int32Array(new SharedArrayBuffer(most * Int32Array.BYTES_PER_ELEMENT));
    return new DescriptorLedger(slots.fill(NONE));
  }

  constructor(slots: Int32Array<SharedArrayBuffer>) {
    this.slots = slots;
  }

  add(fd: number): void {
    this.slots[this.slots.indexOf(NONE)] = fd;
  }

  close(fd: number): void {
    this.slots[this.slots.indexOf(fd)] = NONE;
    close(fd);
  }

  /** Once the thread is gone: what it had no time to close. */
  closeAll(): void {
    for (const fd of this.slots) if (fd !== NONE) this.close(fd);
  }
}
