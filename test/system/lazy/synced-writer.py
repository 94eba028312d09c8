"""Changes files at random, each change synced before the next, and says of each when it begins and when it is on the disk.

usage: synced-writer.py DIR SEED NAME...     prints JSON lines: [name, "write", offset, length, fill], [name, "cut", size] or
                                             [name, "read", offset, length, sha256], then "synced"; ends at the first error"""
import hashlib, json, os, random, sys

root, seed, *names = sys.argv[1:]
r = random.Random(int(seed))


def say(x): print(json.dumps(x), flush=True)


while True:
    name = r.choice(names)
    fd = os.open(f'{root}/{name}', os.O_RDWR)
    size = os.fstat(fd).st_size
    what, offset, length = r.randrange(20), r.randrange(max(1, size)), r.randrange(1, 30_000)
    length = min(length, size - offset)
    if what == 0:
        say([name, 'cut', max(0, size - length)])
        os.ftruncate(fd, max(0, size - length))
    elif what < 12:
        fill = r.randrange(256)
        say([name, 'write', offset, length, fill])
        os.pwrite(fd, bytes([fill]) * length, offset)
    else:
        say([name, 'read', offset, length, hashlib.sha256(os.pread(fd, length, offset)).hexdigest()])
    os.fsync(fd)
    say('synced')
    os.close(fd)
