"""One process that does each operation first in a lazy directory, then in a plain copy of it, and compares what it saw.

usage: lockstep.py LAZY PLAIN   reads one JSON array of operations a line, and answers with an array of the differences
       lockstep.py noise LAZY   reads pieces of all files, again and again, until its standard input ends
Operations are integers that mean something together with the state of the plain copy: op = [what, file, other, a, b]."""
import ctypes, errno, hashlib, json, mmap, os, random, select, stat, struct, sys, time

libc = ctypes.CDLL(None, use_errno=True)
libc.mmap.restype = libc.mremap.restype = ctypes.c_void_p
PAGE, MB = 4096, 1 << 20
OLD_NS = 1_700_000_000 * 10**9
"""Above the times that the files have at first, below those that operations set."""
FIRST_NS = 1_600_000_000 * 10**9
MAX_SIZE = 3 * MB
CAPABILITY = struct.pack('<IIIII', 0x02000001, 1 << 10, 0, 0, 0)
METADATA = ('user.one', 'user.two', 'security.capability')
SET_AT = 'user.set_at'
long = ctypes.c_long


KEPT = []


def digest(data):
    KEPT.append(bytes(data))
    return [len(data), hashlib.blake2b(data, digest_size=6).hexdigest()]


def check(result):
    if result in (-1, 2**64 - 1, None):
        raise OSError(ctypes.get_errno(), 'libc')
    return result


def fill(seed, length):
    return (bytes([seed & 255, 1 + (seed >> 8) % 255, 0x5A]) * (length // 3 + 1))[:length]


def read_all(fd):
    parts, at = [], 0
    while part := os.pread(fd, MB, at):
        parts.append(part)
        at += len(part)
    return b''.join(parts)


class Side:
    """The same state on both sides: kept descriptors and mappings, by slot."""

    def __init__(self, root):
        self.root, self.fds, self.maps = root, {}, {}
        self.page = mmap.mmap(-1, 32 * PAGE)

    def path(self, index):
        return f'{self.root}/{index}'

    def opened(self, index, flags=os.O_RDWR):
        """A kept descriptor for every third file, a new one for the others."""
        if index % 3 == 0 and flags == os.O_RDWR and (known := self.fds.get(index)) is not None:
            return Borrowed(known)
        return Opened(os.open(self.path(index), flags))


def set_time(file, ns):
    os.setxattr(file, SET_AT, str(time.time_ns()).encode())
    os.utime(file, ns=(1, ns))


def set_at(path):
    """When its time was set last, ns; whoever of the processes did it."""
    return int(os.getxattr(path, SET_AT)) if SET_AT in os.listxattr(path) else 0


class Opened:
    def __init__(self, fd): self.fd = fd
    def __enter__(self): return self.fd
    def __exit__(self, *_): os.close(self.fd)


class Borrowed(Opened):
    def __exit__(self, *_): pass


OPS = []


def op(times=1):
    def add(f):
        OPS.extend([f] * times)
        return f
    return add


def size_of(fd): return os.fstat(fd).st_size


def where(a, size):
    """Often inside, sometimes at the end of a page or of a chunk, at the end of the file, or beyond it."""
    kind = a % 8
    if kind < 5: return a % max(1, size)
    if kind == 5: return a % max(1, size) // 16384 * 16384
    if kind == 6: return max(0, size - a % 9000)
    return min(MAX_SIZE, size + a % 70_000)


def length_of(b): return 1 + (b % 5000 if b % 4 else b % 300_000)


@op(8)
def read(s, i, o, a, b):
    with s.opened(i) as fd: return digest(os.pread(fd, length_of(b), where(a, size_of(fd))))
@op(2)
def read_only(s, i, o, a, b):
    with Opened(os.open(s.path(i), os.O_RDONLY)) as fd: return digest(os.pread(fd, length_of(b), where(a, size_of(fd))))
@op()
def whole(s, i, o, a, b):
    with s.opened(i) as fd: return digest(read_all(fd))
@op()
def read_vector(s, i, o, a, b):
    with s.opened(i) as fd:
        x, y = bytearray(100), bytearray(length_of(b))
        return os.preadv(fd, [x, y], where(a, size_of(fd))), digest(x + y)
@op(2)
def read_direct(s, i, o, a, b):
    with Opened(os.open(s.path(i), os.O_RDONLY | os.O_DIRECT)) as fd:
        s.page[:] = bytes(len(s.page))
        span, start = memoryview(s.page)[:PAGE * (1 + b % 32)], where(a, size_of(fd)) // PAGE * PAGE
        try: got = os.preadv(fd, [span], start)
        except OSError as error:
            if error.errno != errno.EIO: raise
            # XFS knows no better beside pages that were mapped and written to ("Direct I/O collision", fs/iomap/direct-io.c).
            with s.opened(i) as cached: got = os.preadv(cached, [span], start)
        return digest(s.page[:got])
@op(2)
def keep(s, i, o, a, b):
    if i in s.fds: os.close(s.fds.pop(i))
    s.fds[i] = os.open(s.path(i), os.O_RDWR)
@op(6)
def write(s, i, o, a, b):
    with s.opened(i) as fd: return os.pwrite(fd, fill(b, length_of(b)), where(a, size_of(fd)))
@op()
def write_direct(s, i, o, a, b):
    with Opened(os.open(s.path(i), os.O_RDWR | os.O_DIRECT)) as fd:
        n = PAGE * (1 + b % 32)
        s.page[:n] = fill(b, n)
        return os.pwritev(fd, [memoryview(s.page)[:n]], where(a, size_of(fd)) // PAGE * PAGE)
@op(3)
def append(s, i, o, a, b):
    if os.stat(s.path(i)).st_size > MAX_SIZE: return None
    with Opened(os.open(s.path(i), os.O_WRONLY | os.O_APPEND)) as fd: return os.write(fd, fill(b, length_of(b)))
@op()
def append_flag(s, i, o, a, b):
    with s.opened(i) as fd:
        if size_of(fd) > MAX_SIZE: return None
        return os.pwritev(fd, [fill(b, length_of(b))], 0, 16)
@op()
def open_truncated(s, i, o, a, b):
    with Opened(os.open(s.path(i), os.O_RDWR | os.O_TRUNC)) as fd: return os.pwrite(fd, fill(b, 10), a % 100_000)
@op()
def create(s, i, o, a, b):
    with Opened(os.open(s.path(i), os.O_RDWR | os.O_CREAT | os.O_TRUNC, 0o600)) as fd: return os.write(fd, fill(b, length_of(b)))
@op()
def create_exclusive(s, i, o, a, b):
    with Opened(os.open(s.path(i), os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o640)) as fd: return os.write(fd, fill(b, length_of(b)))
@op(2)
def truncate(s, i, o, a, b): os.truncate(s.path(i), where(a, os.stat(s.path(i)).st_size))
@op(2)
def ftruncate(s, i, o, a, b):
    with s.opened(i) as fd: os.ftruncate(fd, where(a, size_of(fd)))
@op()
def shorten_and_lengthen(s, i, o, a, b):
    with s.opened(i) as fd:
        size = size_of(fd)
        os.ftruncate(fd, a % max(1, size))
        os.ftruncate(fd, size)
        return digest(read_all(fd))


def allocate(s, i, mode, offset, length):
    with s.opened(i) as fd: check(libc.fallocate(fd, mode, long(offset(fd)), long(length)))


@op()
def reserve(s, i, o, a, b): allocate(s, i, a % 2, lambda fd: where(a, size_of(fd)), length_of(b))
@op(2)
def punch(s, i, o, a, b): allocate(s, i, 3, lambda fd: where(a, size_of(fd)), length_of(b))
@op()
def zero(s, i, o, a, b): allocate(s, i, 0x10 + a % 2, lambda fd: where(a, size_of(fd)), length_of(b))
@op()
def collapse(s, i, o, a, b): allocate(s, i, 8, lambda fd: where(a, size_of(fd)) // PAGE * PAGE, PAGE * (1 + b % 30))
@op()
def insert(s, i, o, a, b):
    if os.stat(s.path(i)).st_size < MAX_SIZE:
        allocate(s, i, 0x20, lambda fd: where(a, size_of(fd)) // PAGE * PAGE, PAGE * (1 + b % 30))


def mapped(fd, length, prot, flags):
    return check(libc.mmap(None, ctypes.c_size_t(length), prot, flags, fd, long(0)))


def seen(address, start, end): return digest(ctypes.string_at(address + start, end - start)) if end > start else None


@op(2)
def map_private(s, i, o, a, b):
    with Opened(os.open(s.path(i), os.O_RDONLY)) as fd:
        if (size := size_of(fd)) == 0: return None
        at = mapped(fd, size, 3, 2)
        ctypes.memset(at + a % size, 0x77, 1)
        result = seen(at, b % size, min(size, b % size + 70_000))
        libc.munmap(ctypes.c_void_p(at), ctypes.c_size_t(size))
        return result
@op()
def map_write(s, i, o, a, b):
    with s.opened(i) as fd:
        if (size := size_of(fd)) == 0: return None
        at = mapped(fd, size, 3, 1)
        ctypes.memset(at + a % size, b & 255, min(3000, size - a % size))
        check(libc.msync(ctypes.c_void_p(at), ctypes.c_size_t(size), 4))
        libc.munmap(ctypes.c_void_p(at), ctypes.c_size_t(size))
        set_time(fd, OLD_NS - b)
@op()
def map_keep(s, i, o, a, b):
    """A mapping of the first page, which stays, and grows when it is used next."""
    with s.opened(i) as fd:
        if size_of(fd) == 0: return None
        if (old := s.maps.pop(i % 4, None)) is not None:
            os.close(old[2])
            libc.munmap(ctypes.c_void_p(old[0]), ctypes.c_size_t(old[1]))
        s.maps[i % 4] = (mapped(fd, PAGE, 1 + 2 * (a % 2), 1), PAGE, os.dup(fd))
@op(2)
def map_and_grow(s, i, o, a, b):
    with s.opened(i) as fd:
        if (size := size_of(fd)) == 0: return None
        at = check(libc.mremap(ctypes.c_void_p(mapped(fd, 1, 1, 1)), ctypes.c_size_t(1), ctypes.c_size_t(size), 1))
        result = seen(at, a % size, min(size, a % size + length_of(b)))
        libc.munmap(ctypes.c_void_p(at), ctypes.c_size_t(size))
        return result
@op(2)
def map_grow(s, i, o, a, b):
    if (known := s.maps.get(i % 4)) is None: return None
    at, length, fd = known
    size = size_of(fd)
    if size > length:
        at = check(libc.mremap(ctypes.c_void_p(at), ctypes.c_size_t(length), ctypes.c_size_t(size), 1))
        s.maps[i % 4] = (at, size, fd)
    return seen(at, 0, min(size, s.maps[i % 4][1]))
@op(2)
def rename(s, i, o, a, b): os.rename(s.path(i), s.path(o))
@op()
def link(s, i, o, a, b): os.link(s.path(i), s.path(o))
@op()
def unlink(s, i, o, a, b): os.unlink(s.path(i))
@op()
def unlink_and_read(s, i, o, a, b):
    with Opened(os.open(s.path(i), os.O_RDWR)) as fd:
        os.unlink(s.path(i))
        os.pwrite(fd, b'late', a % MAX_SIZE)
        return digest(read_all(fd))
@op()
def replace(s, i, o, a, b):
    """As editors save."""
    with Opened(os.open(s.path(i), os.O_RDONLY)) as fd: data = read_all(fd)
    with Opened(os.open(s.path(999), os.O_RDWR | os.O_CREAT | os.O_TRUNC, 0o644)) as fd:
        os.write(fd, data[:a % 200_000])
        os.fsync(fd)
    os.rename(s.path(999), s.path(i))
@op(2)
def copy_range(s, i, o, a, b):
    with s.opened(i) as f, Opened(os.open(s.path(o), os.O_RDWR)) as t:
        return os.copy_file_range(f, t, length_of(b), where(a, size_of(f)), b % MAX_SIZE) if os.fstat(f).st_ino != os.fstat(t).st_ino else None
@op()
def send(s, i, o, a, b):
    with s.opened(i) as f, Opened(os.open(s.path(o), os.O_RDWR)) as t:
        if os.fstat(f).st_ino == os.fstat(t).st_ino: return None
        os.lseek(t, a % MAX_SIZE, 0)
        return os.sendfile(t, f, where(a, size_of(f)), length_of(b))
@op()
def splice(s, i, o, a, b):
    with s.opened(i) as f:
        r, w = os.pipe()
        try:
            size = size_of(f)
            got = os.splice(f, w, 8192, offset_src=a % max(1, size)) if size else 0
            data = os.read(r, 9000) if got else b''
            if b % 2 and data:
                os.write(w, data[:100])
                os.splice(r, f, len(data[:100]), offset_dst=b % MAX_SIZE)
            return digest(data)
        finally:
            os.close(r)
            os.close(w)
@op()
def chmod(s, i, o, a, b): os.chmod(s.path(i), 0o600 | a % 0o7777)
@op()
def chown(s, i, o, a, b): os.chown(s.path(i), a % 5000, b % 5000)
@op(2)
def utimes(s, i, o, a, b): set_time(s.path(i), OLD_NS - a)
@op()
def set_attribute(s, i, o, a, b): os.setxattr(s.path(i), METADATA[a % 2], fill(b, b % 900))
@op()
def remove_attribute(s, i, o, a, b): os.removexattr(s.path(i), METADATA[a % 3])
@op()
def set_capability(s, i, o, a, b): os.setxattr(s.path(i), 'security.capability', CAPABILITY)
@op()
def sync(s, i, o, a, b):
    with s.opened(i) as fd: (os.fsync if a % 2 else os.fdatasync)(fd)
@op(2)
def names(s, i, o, a, b): return sorted(os.listdir(s.root))
@op(4)
def metadata(s, i, o, a, b):
    st = os.lstat(s.path(i))
    return [st.st_mode, st.st_uid, st.st_gid, st.st_size, st.st_nlink, attributes(s.path(i))]


def attributes(path):
    return {n: digest(os.getxattr(path, n)) for n in sorted(os.listxattr(path)) if n in METADATA}


def attempt(f, side, args):
    try: return f(side, *args)
    except OSError as e: return f'errno {e.errno}'


UNDONE_MAX = 1
undone = 0


def times_differ(lazy, plain, index):
    """While the engine writes into a file it shows a new time, until the next hydrator if this one is killed. A time that was set in the
    very microseconds between the engine's last look at the time and its putting it back is lost, as is that of a write that lands then and
    was allowed long before (a machine under load): that may happen, and not more than once in a run."""
    global undone
    limit = time.monotonic() + 30
    while (late := times_differ_now(lazy, plain, index)) and time.monotonic() < limit:
        try: was_undone = undone < UNDONE_MAX and is_undone(lazy, plain, index)
        except OSError: break
        if was_undone:
            undone += 1
            print(f'a time that was set is undone: file {index} of {lazy.root}', file=sys.stderr)
            os.utime(lazy.path(index), ns=(1, times(plain, index)))
        time.sleep(0.01)
    return late


def is_undone(lazy, plain, index):
    """The plain copy shows a time that was set, or a new one, and the lazy file one of before that; a time that the engine's own write left
    behind is of after it."""
    a, b = times(lazy, index), times(plain, index)
    return a < FIRST_NS < b or a < set_at(lazy.path(index)) and FIRST_NS < b <= OLD_NS


def times(side, index): return os.stat(side.path(index)).st_mtime_ns


def times_differ_now(lazy, plain, index):
    """Times that were set are old, and equal; all others are new on both sides, and come about together."""
    try: a, b = times(lazy, index), times(plain, index)
    except OSError: return None
    return f'mtime {a} for {b}, set at {set_at(lazy.path(index))}' if a != b and (a <= OLD_NS or b <= OLD_NS) else None


def where_different(a, b):
    """The ranges in which what was read last differs, and what begins there."""
    for x, y in zip(a, b):
        if x == y: continue
        at = [i for i in range(min(len(x), len(y))) if x[i] != y[i]]
        return f'{len(at)} bytes, {at[0]} to {at[-1]}: {x[at[0]:][:8].hex()} for {y[at[0]:][:8].hex()}' if at else 'the end'
    return 'elsewhere'


def run(lazy, plain, operation):
    what, *args = operation
    if what == 'end': return end(lazy, plain)
    f = OPS[what % len(OPS)]
    KEPT.clear()
    a = attempt(f, lazy, args)
    seen_lazy = KEPT[:]
    KEPT.clear()
    b = attempt(f, plain, args)
    if a != b: return [f'{f.__name__} {args}: {a} for {b} ({where_different(seen_lazy, KEPT)})']
    late = times_differ(lazy, plain, args[0])
    return [f'{f.__name__} {args}: {late}'] if late else []


def end(lazy, plain):
    """Every file as a whole, and those that only a kept descriptor holds."""
    different = []
    for name in sorted(set(os.listdir(lazy.root)) | set(os.listdir(plain.root))):
        KEPT.clear()
        for f in (whole_by_path, metadata):
            a, b = attempt(f, lazy, [name, 0, 0, 0]), attempt(f, plain, [name, 0, 0, 0])
            if a != b: different.append(f'at the end {f.__name__} {name}: {a} for {b}')
        if late := times_differ(lazy, plain, name): different.append(f'at the end {name}: {late}')
    for index, fd in lazy.fds.items():
        KEPT.clear()
        a, b = digest(read_all(fd)), digest(read_all(plain.fds[index]))
        if a != b: different.append(f'at the end kept {index}: {a} for {b}')
    return different


def whole_by_path(s, name, *_):
    with Opened(os.open(f'{s.root}/{name}', os.O_RDONLY)) as fd: return digest(read_all(fd))


def noise(root):
    r = random.Random(1)
    while not select.select([sys.stdin], [], [], 0.001)[0]:
        try:
            path = f'{root}/{r.choice(os.listdir(root))}'
            with Opened(os.open(path, os.O_RDONLY)) as fd: os.pread(fd, 100, r.randrange(MAX_SIZE))
        except OSError: pass


if sys.argv[1] == 'noise':
    noise(sys.argv[2])
    sys.exit()
lazy, plain = Side(sys.argv[1]), Side(sys.argv[2])
print(len(OPS), flush=True)
for line in sys.stdin:
    print(json.dumps([d for operation in json.loads(line) for d in run(lazy, plain, operation)]), flush=True)
