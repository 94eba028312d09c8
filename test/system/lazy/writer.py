"""Reads and overwrites pieces of the files of a directory, and compares every read with what it must be.

usage: writer.py DIR COUNT         says what was wrong, and ends with 0
       writer.py DIR check SOURCE  compares the files at the end with the source's, changed as a run of 300 changes them"""
import os, random, sys

root, mode = sys.argv[1], sys.argv[2]
names = sorted(os.listdir(root))


def changes(sizes, count):
    r = random.Random(7)
    for i in range(count):
        name = r.choice(names)
        offset, length = r.randrange(sizes[name]), r.randrange(1, 20000)
        yield name, offset, min(length, sizes[name] - offset), r.random() < 0.5, bytes([i & 255])


if mode == 'check':
    model = {n: bytearray(open(f'{sys.argv[3]}/{n}', 'rb').read()) for n in names}
    for name, offset, length, writes, fill in changes({n: len(model[n]) for n in names}, 300):
        if writes:
            model[name][offset:offset + length] = fill * length
    wrong = [n for n in names if open(f'{root}/{n}', 'rb').read() != model[n]]
    sys.exit(f'different: {wrong}' if wrong else 0)

source = {n: open(f'{root}/../source/{n}', 'rb').read() for n in names}
model = {n: bytearray(source[n]) for n in names}
for name, offset, length, writes, fill in changes({n: len(model[n]) for n in names}, int(mode)):
    fd = os.open(f'{root}/{name}', os.O_RDWR)
    if writes:
        os.pwrite(fd, fill * length, offset)
        model[name][offset:offset + length] = fill * length
    elif os.pread(fd, length, offset) != model[name][offset:offset + length]:
        print(f'{name} at {offset}+{length} is wrong', flush=True)
    os.close(fd)
