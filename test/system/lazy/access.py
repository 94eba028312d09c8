"""Every way to touch a file that the engine has to know about, each on a file of its own.

usage: access.py DIR            prints one JSON line for each file: its name, what the operation saw, the content afterwards
The files are DIR/<operation>.<shape>; access.py --list prints the operations."""
import ctypes, ctypes.util, errno, fcntl, hashlib, json, mmap, os, struct, subprocess, sys, time

libc = ctypes.CDLL(None, use_errno=True)
libc.mmap.restype = ctypes.c_void_p
libc.mremap.restype = ctypes.c_void_p
OPS = {}
DIRECT = os.O_DIRECT


def op(f):
    OPS[f.__name__.replace('_', '-')] = f
    return f


def digest(data):
    return hashlib.sha256(bytes(data)).hexdigest()[:16]


def size(p):
    return os.stat(p).st_size


def sc(nr, *args):
    r = libc.syscall(ctypes.c_long(nr), *[ctypes.c_long(a) if isinstance(a, int) else a for a in args])
    return r if r >= 0 else -ctypes.get_errno()


def opened(p, flags=os.O_RDONLY):
    return os.open(p, flags)


def aligned(n):
    m = mmap.mmap(-1, n)
    return m


def addr(m):
    return ctypes.addressof(ctypes.c_char.from_buffer(m))


def mapped(p, length, prot, flags, offset=0, mode=os.O_RDONLY):
    fd = opened(p, mode)
    a = libc.mmap(None, ctypes.c_size_t(length), prot, flags, fd, ctypes.c_long(offset))
    os.close(fd)
    assert a != ctypes.c_void_p(-1).value, ctypes.get_errno()
    return a


def at(a, n):
    return digest(ctypes.string_at(a, n))


def middle(p):
    return size(p) // 2 // 4096 * 4096


@op
def read(p): return digest(open(p, 'rb').read())
@op
def read_one_byte(p):
    fd = opened(p); return os.pread(fd, 1, middle(p) + 77).hex()
@op
def read_tail(p):
    fd = opened(p); return digest(os.pread(fd, 9000, size(p) - 5000))
@op
def preadv(p):
    fd = opened(p); a, b = bytearray(5000), bytearray(70000); n = os.preadv(fd, [a, b], 3); return n, digest(a + b)
@op
def preadv2_nowait(p):
    fd = opened(p); b = bytearray(4096)
    try: os.preadv(fd, [b], 8192, os.RWF_NOWAIT)
    except BlockingIOError: os.preadv(fd, [b], 8192)
    return digest(b)
@op
def read_direct(p):
    fd = opened(p, os.O_RDONLY | DIRECT); m = aligned(16384); n = os.preadv(fd, [m], 4096); return n, digest(m)
@op
def read_backwards(p):
    fd = opened(p); return digest(b''.join(os.pread(fd, 4096, o) for o in range(size(p) // 4096 * 4096, -1, -4096)))
@op
def readahead(p):
    fd = opened(p); sc(187, fd, 0, 65536); time.sleep(0.02); return digest(os.pread(fd, 65536, 0))
@op
def fadvise(p):
    fd = opened(p); os.posix_fadvise(fd, 0, 0, os.POSIX_FADV_WILLNEED); time.sleep(0.02); return digest(os.pread(fd, 65536, 0))
@op
def map_shared(p): return at(mapped(p, size(p), 1, 1), size(p))
@op
def map_private(p): return at(mapped(p, 8192, 1, 2, 4096), 8192)
@op
def map_private_write(p):
    a = mapped(p, 65536, 3, 2); ctypes.memset(a + 100, 0x77, 5); return at(a, 65536)
@op
def map_exec(p): return at(mapped(p, 4096, 5, 2), 4096)
@op
def map_populate(p): return at(mapped(p, 65536, 1, 1 | 0x8000), 65536)
@op
def map_none_mprotect(p):
    a = mapped(p, 65536, 0, 2); libc.mprotect(ctypes.c_void_p(a), ctypes.c_size_t(65536), 1); return at(a, 65536)
@op
def map_grow(p):
    a = mapped(p, 4096, 1, 1); a = libc.mremap(ctypes.c_void_p(a), ctypes.c_size_t(4096), ctypes.c_size_t(131072), 1); return at(a, 131072)
@op
def map_remap_pages(p):
    a = mapped(p, 4096, 3, 1, 0, os.O_RDWR); r = sc(216, ctypes.c_void_p(a), 4096, 0, 16, 0); return r, at(a, 4096)
@op
def map_write(p):
    a = mapped(p, size(p), 3, 1, 0, os.O_RDWR); ctypes.memset(a + 70000, 0x77, 10)
    libc.msync(ctypes.c_void_p(a), ctypes.c_size_t(size(p)), 4); return at(a, size(p))
@op
def process_vm(p):
    a = mapped(p, 8192, 1, 2); b = ctypes.create_string_buffer(8192)
    l = struct.pack('QQ', ctypes.addressof(b), 8192); r = struct.pack('QQ', a, 8192)
    return sc(310, os.getpid(), l, 1, r, 1, 0), digest(b.raw)
@op
def sendfile(p):
    fd = opened(p); r, w = os.pipe(); n = os.sendfile(w, fd, 4096, 8192); return n, digest(os.read(r, 9000))
@op
def splice_from(p):
    fd = opened(p); r, w = os.pipe(); n = os.splice(fd, w, 4096, offset_src=4096); return n, digest(os.read(r, 9000))
@op
def splice_to(p):
    fd = opened(p, os.O_RDWR); r, w = os.pipe(); os.write(w, b'w' * 3000); return os.splice(r, fd, 3000, offset_dst=5000)
@op
def copy_range_from(p):
    fd = opened(p); o = opened(p + '.b', os.O_RDWR | os.O_CREAT); n = os.copy_file_range(fd, o, 20000, 1000, 0); return digest(os.pread(o, n, 0))
@op
def copy_range_to(p):
    o = opened(p, os.O_RDWR); f = opened('/bin/sh'); return os.copy_file_range(f, o, 3000, 0, 9000) > 0
@op
def clone_from(p):
    o = opened(p + '.b', os.O_RDWR | os.O_CREAT)
    try: fcntl.ioctl(o, 0x40049409, opened(p))
    except OSError as e: return e.errno
    return digest(open(p + '.b', 'rb').read())
@op
def clone_range_to(p):
    o = opened(p + '.b', os.O_RDWR | os.O_CREAT); os.write(o, b'c' * 65536)
    try: fcntl.ioctl(opened(p, os.O_RDWR), 0x4020940d, struct.pack('qQQQ', o, 0, 65536, 65536))
    except OSError as e: return e.errno
@op
def dedupe(p):
    o = opened(p + '.b', os.O_RDWR | os.O_CREAT); os.write(o, bytes(65536)); os.fsync(o)
    b = bytearray(struct.pack('QQHHI', 0, 65536, 1, 0, 0) + struct.pack('qQQii', o, 0, 0, 0, 0))
    try: fcntl.ioctl(opened(p), 0xc0189436, b, True)
    except OSError as e: return e.errno
    return struct.unpack_from('i', b, 24 + 24)[0]
@op
def cp(p): subprocess.run(['cp', p, p + '.b'], check=True); return digest(open(p + '.b', 'rb').read())
@op
def cp_sparse_always(p): subprocess.run(['cp', '--sparse=always', '--reflink=never', p, p + '.b'], check=True); return digest(open(p + '.b', 'rb').read())
@op
def cp_reflink(p): subprocess.run(['cp', '--reflink=auto', p, p + '.b'], check=True); return digest(open(p + '.b', 'rb').read())
@op
def tar_sparse(p):
    d, n = os.path.split(p); t = subprocess.run(['tar', '-C', d, '-S', '-cf', '-', n], check=True, stdout=subprocess.PIPE).stdout
    return digest(subprocess.run(['tar', '-xO'], input=t, check=True, stdout=subprocess.PIPE).stdout)
@op
def bsdtar(p):
    d, n = os.path.split(p); t = subprocess.run(['bsdtar', '-C', d, '-cf', '-', n], check=True, stdout=subprocess.PIPE).stdout
    return digest(subprocess.run(['bsdtar', '-xOf', '-'], input=t, check=True, stdout=subprocess.PIPE).stdout)
@op
def move_to_other_file_system(p):
    o = f'/dev/shm/access-{os.getpid()}'; subprocess.run(['mv', p, o], check=True); r = digest(open(o, 'rb').read()); subprocess.run(['mv', o, p], check=True); return r
@op
def dd(p): return digest(subprocess.run(['dd', 'if=' + p, 'bs=7777', 'status=none'], stdout=subprocess.PIPE).stdout)
@op
def rsync(p): subprocess.run(['rsync', '-aS', p, p + '.b'], check=True); return digest(open(p + '.b', 'rb').read())
@op
def move_then_read(p):
    d = p + '.dir'; os.mkdir(d); subprocess.run(['mv', p, d + '/x'], check=True); r = digest(open(d + '/x', 'rb').read()); os.rename(d + '/x', p); return r
@op
def rename_over(p):
    open(p + '.b', 'wb').write(b'new'); os.rename(p + '.b', p); return digest(open(p, 'rb').read())
@op
def unlink_while_open(p):
    fd = opened(p); os.unlink(p); r = digest(os.pread(fd, size(p + '/../.') if 0 else 10**7, 0)); os.close(fd); open(p, 'wb').write(b'again'); return r
@op
def unlink(p): os.unlink(p); open(p, 'wb').write(b'again')
@op
def hardlink(p): os.link(p, p + '.b'); return digest(open(p + '.b', 'rb').read())
@op
def write_middle(p):
    fd = opened(p, os.O_RDWR); return os.pwrite(fd, b'w' * 100, middle(p) + 50), digest(os.pread(fd, 9000, middle(p) - 4000))
@op
def write_start(p): return os.write(opened(p, os.O_WRONLY), b'w' * 10)
@op
def write_across_end(p): return os.pwrite(opened(p, os.O_WRONLY), b'w' * 5000, size(p) - 100)
@op
def write_direct(p):
    fd = opened(p, os.O_RDWR | DIRECT); m = aligned(4096); m[:] = b'w' * 4096; return os.pwritev(fd, [m], 8192)
@op
def append(p): return os.write(opened(p, os.O_WRONLY | os.O_APPEND), b'a' * 5000)
@op
def append_flag(p): return os.pwritev(opened(p, os.O_WRONLY), [b'a' * 5000], 0, getattr(os, 'RWF_APPEND', 16))
@op
def write_far_beyond(p): return os.pwrite(opened(p, os.O_WRONLY), b'x', 5_000_000)
@op
def open_trunc(p): os.close(opened(p, os.O_WRONLY | os.O_TRUNC))
@op
def open_trunc_write(p):
    fd = opened(p, os.O_RDWR | os.O_TRUNC); os.pwrite(fd, b'z', 70000); return digest(os.pread(fd, 80000, 0))
@op
def creat(p): return sc(85, p.encode(), 0o644) >= 0
@op
def openat2_trunc(p): return sc(437, -100, p.encode(), struct.pack('QQQ', os.O_RDWR | os.O_TRUNC, 0, 0), 24) >= 0
@op
def truncate_down(p): os.truncate(p, 70001); os.truncate(p, 200000); return digest(open(p, 'rb').read())
@op
def truncate_aligned(p): os.truncate(p, 65536)
@op
def truncate_same(p): os.truncate(p, size(p))
@op
def ftruncate_down(p):
    fd = opened(p, os.O_RDWR); os.ftruncate(fd, 5000); os.ftruncate(fd, 100000); return digest(os.pread(fd, 100000, 0))
@op
def truncate_up(p): os.truncate(p, 4_000_000); return digest(open(p, 'rb').read())


def falloc(p, mode, offset, length):
    fd = opened(p, os.O_RDWR)
    r = libc.fallocate(fd, mode, ctypes.c_long(offset), ctypes.c_long(length))
    return r if r == 0 else ctypes.get_errno(), digest(os.pread(fd, 10**7, 0))


@op
def fallocate(p): return falloc(p, 0, 4096, 8192)
@op
def fallocate_extend(p): return falloc(p, 0, size(p), 10000)
@op
def fallocate_keep(p): return falloc(p, 1, size(p), 8192)
@op
def fallocate_punch(p): return falloc(p, 3, 8192, 70000)
@op
def fallocate_zero(p): return falloc(p, 0x10, 8192, 70000)
@op
def fallocate_collapse(p): return falloc(p, 8, 0, 65536)
@op
def fallocate_insert(p): return falloc(p, 0x20, 65536, 65536)
@op
def fallocate_unshare(p): return falloc(p, 0x40, 0, 65536)
@op
def metadata(p):
    os.chmod(p, 0o640); os.utime(p, ns=(1, 123456789)); return oct(os.stat(p).st_mode)
@op
def xattr(p): os.setxattr(p, 'user.t', b'v'); return os.getxattr(p, 'user.t').decode()
@op
def fsync(p): os.fsync(opened(p, os.O_RDWR))
@op
def path_reopen(p):
    fd = os.open(p, os.O_PATH); return digest(open(f'/proc/self/fd/{fd}', 'rb').read())
@op
def handle(p):
    h = ctypes.create_string_buffer(struct.pack('Ii', 128, 0), 136); m = ctypes.c_int()
    sc(303, -100, p.encode(), h, ctypes.byref(m), 0); d = os.open(os.path.dirname(p), os.O_RDONLY)
    fd = sc(304, d, h, os.O_RDONLY); return digest(os.pread(fd, 10**7, 0))
@op
def execute(p):
    r = subprocess.run([p], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL) if open(p, 'rb').read(2) == b'#!' else None
    return r and (r.returncode, digest(r.stdout))
@op
def two_readers(p):
    a = subprocess.Popen(['sha256sum'], stdin=open(p, 'rb'), stdout=subprocess.PIPE)
    b = subprocess.Popen(['sha256sum'], stdin=open(p, 'rb'), stdout=subprocess.PIPE)
    return a.communicate()[0] == b.communicate()[0], digest(open(p, 'rb').read())
@op
def namespace(p): return digest(subprocess.run(['unshare', '-m', 'cat', p], stdout=subprocess.PIPE).stdout)
@op
def read_only_bind(p):
    d = p + '.mnt'; os.mkdir(d); script = 'mount --bind "$1" "$2" && mount -o remount,ro,bind "$2" && cat "$2/$3"'
    r = subprocess.run(['unshare', '-m', 'sh', '-c', script, 'sh', os.path.dirname(p), d, os.path.basename(p)], stdout=subprocess.PIPE)
    os.rmdir(d); return r.returncode, digest(r.stdout)
@op
def overlay_lower(p):
    d = p + '.ov'; os.mkdir(d); t = '/var/tmp/' + os.path.basename(os.path.dirname(p)) + str(os.getpid()); os.mkdir(t)
    script = 'mount -t tmpfs none "$3" && mkdir "$3/u" "$3/w" && mount -t overlay overlay -o "lowerdir=$1,upperdir=$3/u,workdir=$3/w" "$2" && cat "$2/$4" && printf x >> "$2/$4" && cat "$2/$4"'
    r = subprocess.run(['unshare', '-m', 'sh', '-c', script, 'sh', os.path.dirname(p), d, t, os.path.basename(p)], stdout=subprocess.PIPE)
    os.rmdir(d); os.rmdir(t); return r.returncode, digest(r.stdout)

def overlaid(p, code):
    """Runs `code` on the file as the lower layer of an overlay."""
    d = p + '.ov'; os.mkdir(d); t = '/var/tmp/' + os.path.basename(os.path.dirname(p)) + str(os.getpid()); os.mkdir(t)
    script = 'mount -t tmpfs none "$3" && mkdir "$3/u" "$3/w" && mount -t overlay overlay -o "lowerdir=$1,upperdir=$3/u,workdir=$3/w" "$2" && exec python3 -c "$5" "$2/$4"'
    r = subprocess.run(['unshare', '-m', 'sh', '-c', script, 'sh', os.path.dirname(p), d, t, os.path.basename(p), code], stdout=subprocess.PIPE)
    os.rmdir(d); os.rmdir(t); return r.returncode, digest(r.stdout)
@op
def overlay_lower_mapped(p):
    return overlaid(p, 'import mmap, sys\nf = open(sys.argv[1], "rb")\nm = mmap.mmap(f.fileno(), 0, prot=mmap.PROT_READ)\nsys.stdout.buffer.write(m[4096:12288] + m[-4096:])')


def looped(p, script, *flags):
    device = subprocess.run(['losetup', '--find', '--show', *flags, p], stdout=subprocess.PIPE, check=True).stdout.decode().strip()
    r = subprocess.run(['sh', '-c', script, 'sh', device], stdout=subprocess.PIPE)
    subprocess.run(['losetup', '--detach', device], check=True)
    return r.returncode, digest(r.stdout)
@op
def loop_read(p): return looped(p, 'dd if="$1" bs=4096 skip=1 count=8 status=none', '--read-only')
@op
def loop_write(p): return looped(p, 'head -c 4096 /dev/zero | tr "\\0" w | dd of="$1" bs=4096 seek=3 conv=notrunc,fsync status=none')


def aio(p, code, direct):
    ctx = ctypes.c_ulong(0)
    sc(206, 4, ctypes.byref(ctx))
    fd = opened(p, os.O_RDWR | direct)
    m = aligned(8192)
    if code: m[:] = b'w' * 8192
    cb = ctypes.create_string_buffer(struct.pack('QIIHhIQQqQII', 0, 0, 0, code, 0, fd, addr(m), 8192, 4096, 0, 0, 0))
    ptr = ctypes.c_void_p(ctypes.addressof(cb))
    n = sc(209, ctypes.c_ulong(ctx.value), 1, ctypes.byref(ptr))
    ev = ctypes.create_string_buffer(32)
    sc(208, ctypes.c_ulong(ctx.value), 1, 1, ev, 0)
    return n, struct.unpack('QQqq', ev.raw)[2], digest(m[:])


@op
def aio_read(p): return aio(p, 0, DIRECT)
@op
def aio_write(p): return aio(p, 1, DIRECT)
@op
def aio_buffered(p): return aio(p, 0, 0)


class Ring:
    def __init__(self):
        self.params = ctypes.create_string_buffer(120)
        self.fd = sc(425, 4, self.params)
        assert self.fd >= 0, self.fd
        u = lambda o: struct.unpack_from('I', self.params.raw, o)[0]
        self.sq = mmap.mmap(self.fd, 4096 * 4, flags=mmap.MAP_SHARED, offset=0)
        self.sqes = mmap.mmap(self.fd, 4096, flags=mmap.MAP_SHARED, offset=0x10000000)
        self.o = dict(tail=u(44), array=u(64), cqes=u(100))

    def run(self, opcode, flags=0, fd=0, off=0, a=0, length=0, opflags=0, splice_in=0):
        self.sqes[0:64] = struct.pack('BBHiQQIIQHHi', opcode, flags, 0, fd, off & (2**64 - 1), a, length, opflags, 7, 0, 0, splice_in).ljust(64, b'\0')
        struct.pack_into('I', self.sq, self.o['array'], 0)
        struct.pack_into('I', self.sq, self.o['tail'], struct.unpack_from('I', self.sq, self.o['tail'])[0] + 1)
        n = sc(426, self.fd, 1, 1, 1, 0, 0)
        assert n == 1, n
        return struct.unpack_from('Qi', self.sq, self.o['cqes'])[1]


def ring_rw(p, opcode, flags, direct=0):
    fd = opened(p, os.O_RDWR | direct)
    m = aligned(8192)
    if opcode == 23: m[:] = b'w' * 8192
    r = Ring().run(opcode, flags, fd, 4096, addr(m), 8192)
    return r, digest(m[:])


ASYNC = 16
@op
def ring_read(p): return ring_rw(p, 22, 0)
@op
def ring_read_async(p): return ring_rw(p, 22, ASYNC)
@op
def ring_read_direct(p): return ring_rw(p, 22, 0, DIRECT)
@op
def ring_write(p): return ring_rw(p, 23, 0)
@op
def ring_write_async(p): return ring_rw(p, 23, ASYNC)


def ring_open(p, flags):
    n = ctypes.create_string_buffer(p.encode())
    return Ring().run(18, flags, -100, 0, ctypes.addressof(n), 0o644, os.O_RDWR | os.O_TRUNC) >= 0, size(p)


@op
def ring_open_trunc(p): return ring_open(p, 0)
@op
def ring_open_trunc_async(p): return ring_open(p, ASYNC)
@op
def ring_ftruncate(p):
    fd = opened(p, os.O_RDWR); r = Ring().run(55, 0, fd, 5000); os.ftruncate(fd, 80000); return r, digest(os.pread(fd, 80000, 0))
@op
def ring_fallocate(p):
    fd = opened(p, os.O_RDWR); return Ring().run(17, 0, fd, 0, 65536, 8), digest(os.pread(fd, 10**7, 0))
@op
def ring_fadvise(p):
    fd = opened(p); Ring().run(24, 0, fd, 0, 0, 65536, 3); return digest(os.pread(fd, 65536, 0))
@op
def ring_splice(p):
    fd = opened(p); r, w = os.pipe(); n = Ring().run(30, 0, w, -1, 4096, 4096, 0, fd); return n, digest(os.read(r, 9000))


def i386(p, flags, truncate):
    """A static 32-bit program: openat(AT_FDCWD, path, flags), [ftruncate(fd, 5000)], read 8000 bytes at 65536, write them."""
    code = bytearray()
    base, data = 0x8048000, 0x8048200
    movs = lambda *v: b''.join(bytes([b]) + struct.pack('<I', x & 0xffffffff) for b, x in v)
    A, C, D, B, SI = 0xb8, 0xb9, 0xba, 0xbb, 0xbe
    code += movs((A, 295), (B, -100), (C, data), (D, flags), (SI, 0)) + b'\xcd\x80\x89\xc5'
    if truncate: code += movs((A, 93), (C, 5000)) + b'\x89\xeb\xcd\x80'
    code += movs((A, 180), (C, data + 4096), (D, 8000), (SI, 65536)) + b'\x89\xeb\xbf\0\0\0\0\xcd\x80'
    code += b'\x89\xc2' + movs((A, 4), (B, 1), (C, data + 4096)) + b'\xcd\x80' + movs((A, 1), (B, 0)) + b'\xcd\x80'
    body = bytes(code).ljust(0x200 - 84, b'\0') + p.encode().ljust(4096 + 9000, b'\0')
    total = 84 + len(body)
    elf = b'\x7fELF\1\1\1'.ljust(16, b'\0') + struct.pack('<HHIIIIIHHHHHH', 2, 3, 1, base + 84, 52, 0, 0, 52, 32, 1, 0, 0, 0)
    elf += struct.pack('<IIIIIIII', 1, 0, base, base, total, total, 7, 4096) + body
    exe = '/var/tmp/i386-%d' % os.getpid()
    with open(exe, 'wb') as f: f.write(elf)
    os.chmod(exe, 0o755)
    try: r = subprocess.run([exe], stdout=subprocess.PIPE)
    except OSError as e: return e.errno
    finally: os.unlink(exe)
    return r.returncode, digest(r.stdout)


@op
def i386_read(p): return i386(p, 0, False)
@op
def i386_open_trunc(p): return i386(p, os.O_RDWR | os.O_TRUNC, False)
@op
def i386_ftruncate(p): return i386(p, os.O_RDWR, True)
@op
def seek_data(p):
    fd = opened(p)
    if not p.endswith('.dense'): os.pread(fd, 10**7, 0)
    return os.lseek(fd, 0, os.SEEK_DATA)

@op
def map_of_holes(p):
    fd = opened(p); size = os.fstat(fd).st_size; os.pread(fd, size, 0); at, edges = 0, []
    while at < size:
        try: at = os.lseek(fd, at, os.SEEK_DATA)
        except OSError: break
        edges.append(at); at = os.lseek(fd, at, os.SEEK_HOLE); edges.append(at)
    return edges


def content(p):
    return digest(open(p, 'rb').read())


if sys.argv[1] == '--list':
    print('\n'.join(OPS))
    sys.exit()
root = sys.argv[1]
shapes = sorted({n.rsplit('.', 1)[1] for n in os.listdir(root)})
only = sys.argv[2:] or list(OPS)
for name in only:
    for shape in shapes:
        p = f'{root}/{name}.{shape}'
        pid = os.fork()
        if pid:
            os.waitpid(pid, 0)
            continue
        try: saw = OPS[name](p)
        except Exception as e: saw = repr(e).replace(root, '')
        print(json.dumps([f'{name}.{shape}', saw, content(p), size(p)]), flush=True)
        os._exit(0)
