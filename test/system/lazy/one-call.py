"""Waits for a line, touches one file by one system call, and prints what it saw.

usage: one-call.py CALL FILE      one-call.py --list prints the calls"""
import ctypes, hashlib, mmap, os, struct, subprocess, sys

libc = ctypes.CDLL(None, use_errno=True)
libc.mmap.restype = ctypes.c_void_p
CALLS = {}
long = ctypes.c_long


def by_descriptor(f):
    """It has the file open before."""
    CALLS[f.__name__] = (lambda path: os.open(path, os.O_RDWR), f)
    return f


def by_path(f):
    CALLS[f.__name__] = (lambda path: path, f)
    return f


def digest(data): return hashlib.sha256(bytes(data)).hexdigest()[:16]
def content(fd): return digest(os.pread(fd, 10**7, 0))


@by_descriptor
def pread(fd): return digest(os.pread(fd, 9000, 600_000))
@by_descriptor
def pwrite(fd): return os.pwrite(fd, b'w' * 100, 600_050), content(fd)
@by_descriptor
def map_private(fd):
    at = libc.mmap(None, ctypes.c_size_t(65536), 1, 2, fd, long(65536))
    return digest(ctypes.string_at(at, 65536))
@by_descriptor
def ftruncate(fd): os.ftruncate(fd, 500_001); return content(fd)
@by_descriptor
def punch(fd): return libc.fallocate(fd, 3, long(70_000), long(70_000)), content(fd)
@by_descriptor
def sendfile(fd): r, w = os.pipe(); return os.sendfile(w, fd, 600_000, 5000), digest(os.read(r, 9000))
@by_descriptor
def splice(fd): r, w = os.pipe(); return os.splice(fd, w, 4096, offset_src=600_000), digest(os.read(r, 9000))
@by_descriptor
def copy_range(fd):
    other = os.open(os.path.dirname(os.readlink(f'/proc/self/fd/{fd}')), os.O_TMPFILE | os.O_RDWR)
    return os.copy_file_range(fd, other, 20_000, 600_000, 0), content(other)
@by_path
def open_relative(path):
    os.chdir(os.path.dirname(path))
    return content(os.open(os.path.basename(path), os.O_RDONLY))
@by_path
def open_in_directory(path):
    directory = os.open(os.path.dirname(path), os.O_RDONLY)
    return content(os.open(os.path.basename(path), os.O_RDONLY, dir_fd=directory))
@by_path
def open_in_root(path):
    os.chroot(os.path.dirname(path))
    return content(os.open('/' + os.path.basename(path), os.O_RDONLY))
@by_path
def open_truncated(path): return content(os.open(path, os.O_RDWR | os.O_TRUNC))
@by_path
def openat2(path): return libc.syscall(long(437), long(-100), path.encode(), struct.pack('QQQ', os.O_RDWR | os.O_TRUNC, 0, 0), long(24)) >= 0
@by_path
def truncate(path): os.truncate(path, 70_001); return content(os.open(path, os.O_RDONLY))
@by_path
def execute(path): return digest(subprocess.run([path], stdout=subprocess.PIPE).stdout)
@by_descriptor
def submitted(fd):
    """io_submit: its files are in memory, where nobody looks."""
    context, page = ctypes.c_ulong(0), mmap.mmap(-1, 8192)
    libc.syscall(long(206), long(4), ctypes.byref(context))
    address = ctypes.addressof(ctypes.c_char.from_buffer(page))
    block = ctypes.create_string_buffer(struct.pack('QIIHhIQQqQII', 0, 0, 0, 0, 0, fd, address, 8192, 4096, 0, 0, 0))
    pointer = ctypes.c_void_p(ctypes.addressof(block))
    return libc.syscall(long(209), context, long(1), ctypes.byref(pointer)), digest(page[:])


if sys.argv[1] == '--list': sys.exit(print('\n'.join(CALLS)))
prepare, call = CALLS[sys.argv[1]]
target = prepare(sys.argv[2])
print('ready', flush=True)
sys.stdin.readline()
print(call(target), flush=True)
