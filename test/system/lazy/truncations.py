"""Shortens files in all ways while another process writes into them and the engine fills them.

usage: truncations.py DIR     the files hold nothing but 'S'; prints how many showed an 'S' above the point of truncation"""
import os, random, sys, multiprocessing, ctypes, fcntl

libc = ctypes.CDLL(None, use_errno=True)
root = sys.argv[1]
names = sorted(os.listdir(root))


def shorten(path, r):
    """Returns the point above which nothing of the source may ever be seen again."""
    how = r.randrange(5)
    to = r.choice([0, 4096, 5000, 65536, 70001, 300000])
    if how == 0:
        os.close(os.open(path, os.O_WRONLY | os.O_TRUNC))
        return 0
    if how == 1:
        os.close(libc.creat(path.encode(), 0o644))
        return 0
    if how == 2:
        os.truncate(path, to)
        return to
    fd = os.open(path, os.O_RDWR)
    if how == 4: os.pread(fd, 100, 900000)
    os.ftruncate(fd, to)
    os.close(fd)
    return to


def shortener(seed, queue, shared):
    r = random.Random(seed)
    while (i := queue.get()) is not None:
        path = f'{root}/{names[i]}'
        shared[i] = 1 + shorten(path, r)
        if stale(path, shared[i] - 1): shared[i] = -1


def writer(seed, queue):
    r = random.Random(seed)
    while (i := queue.get()) is not None:
        fd = os.open(f'{root}/{names[i]}', os.O_RDWR)
        for _ in range(r.randrange(1, 4)):
            how = r.randrange(3)
            if how == 0: os.pwrite(fd, b'w' * r.randrange(1, 9000), r.randrange(1_200_000))
            elif how == 1: os.pwrite(fd, b'w', 1_150_000)
            else: libc.fallocate(fd, 0, ctypes.c_long(r.randrange(1_000_000)), ctypes.c_long(100_000))
        os.close(fd)


def stale(path, above):
    with open(path, 'rb') as f:
        f.seek(above)
        return b'S' in f.read()


queues = [multiprocessing.Queue(), multiprocessing.Queue()]
shared = multiprocessing.Array('q', len(names))
order = list(range(len(names)))
random.Random(3).shuffle(order)
for i in order:
    for q in queues: q.put(i)
for q in queues: q.put(None)
a = multiprocessing.Process(target=shortener, args=(1, queues[0], shared))
b = multiprocessing.Process(target=writer, args=(2, queues[1]))
a.start(); b.start(); a.join(); b.join()
if a.exitcode or b.exitcode: sys.exit('a process failed')
if len(sys.argv) > 2: open(sys.argv[2], 'w').write('shortened')
sys.stdin.read()
print(sum(shared[i] < 0 or stale(f'{root}/{names[i]}', shared[i] - 1) for i in range(len(names))))
