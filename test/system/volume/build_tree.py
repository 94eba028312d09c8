"""Builds a tree that holds one of everything a file system can hold. Usage: build_tree.py DIRECTORY [huge]"""
import os, random, stat, struct, subprocess, sys

root = os.fsencode(sys.argv[1])
rnd = random.Random('cargo')
filesystem = subprocess.check_output(['stat', '-f', '-c', '%T', root]).strip()
os.umask(0)


def at(*parts):
    return os.path.join(root, *[p if isinstance(p, bytes) else os.fsencode(p) for p in parts])


def write(path, data, mode=0o644):
    with open(path, 'wb') as f:
        f.write(data)
    os.chmod(path, mode)


def acl(*entries):
    return struct.pack('<I', 2) + b''.join(struct.pack('<HHI', *e) for e in entries)


NONE = 0xFFFFFFFF
for d in ('plain', 'modes', 'xattrs', 'names', 'links', 'nodes', 'sparse', 'times', 'empty', 'acl', 'a/b/c/d/e'):
    os.makedirs(at(d))

for size in (0, 1, 4095, 4096, 4097, 65535, 65536, 65537, 131072, 1000000):
    write(at('plain', 'f%d' % size), rnd.randbytes(size))
write(at('plain', 'zeros'), bytes(300000))
write(at('a/b/c/d/e', 'leaf'), b'leaf')

for mode in (0o000, 0o444, 0o755, 0o4755, 0o2755, 0o6711, 0o1644):
    write(at('modes', 'm%04o' % mode), b'#!/bin/sh\n')
    os.chown(at('modes', 'm%04o' % mode), 1000 + mode, 2000 + mode)
    os.chmod(at('modes', 'm%04o' % mode), mode)
os.mkdir(at('modes', 'sticky')); os.chmod(at('modes', 'sticky'), 0o1777)
os.mkdir(at('modes', 'setgid')); os.chown(at('modes', 'setgid'), 5, 6); os.chmod(at('modes', 'setgid'), 0o2775)
write(at('modes', 'setgid', 'inside'), b'x'); os.chown(at('modes', 'setgid', 'inside'), 7, 8)
os.mkdir(at('modes', 'closed')); write(at('modes', 'closed', 'in'), b'y'); os.chmod(at('modes', 'closed'), 0o000)

write(at('xattrs', 'file'), b'x' * 100000)
os.setxattr(at('xattrs', 'file'), 'user.text', b'value')
os.setxattr(at('xattrs', 'file'), 'user.empty', b'')
os.setxattr(at('xattrs', 'file'), 'user.binary', bytes(range(256)))
os.setxattr(at('xattrs', 'file'), 'trusted.mine', b'root only')
write(at('xattrs', 'big'), b'small file')
os.setxattr(at('xattrs', 'big'), 'user.big', rnd.randbytes(3000))
write(at('xattrs', 'ping'), b'#!/bin/true\n', 0o4755)
os.setxattr(at('xattrs', 'ping'), 'security.capability', struct.pack('<IIIII', 0x02000001, 1 << 13, 0, 0, 0))
os.setxattr(at('xattrs'), 'user.dir', b'on a directory')
os.symlink('nowhere', at('xattrs', 'symlink'))
os.setxattr(at('xattrs', 'symlink'), 'trusted.on-a-symlink', b'yes', follow_symlinks=False)
os.mkfifo(at('xattrs', 'fifo')); os.setxattr(at('xattrs', 'fifo'), 'trusted.fifo', b'1')

write(at('acl', 'file'), b'acl', 0o640)
os.setxattr(at('acl', 'file'), 'system.posix_acl_access',
            acl((1, 6, NONE), (2, 4, 1234), (4, 4, NONE), (16, 6, NONE), (32, 0, NONE)))
os.mkdir(at('acl', 'default'))
write(at('acl', 'default', 'without'), b'made before the default ACL')
os.mkdir(at('acl', 'default', 'dir-without'))
os.setxattr(at('acl', 'default'), 'system.posix_acl_default',
            acl((1, 7, NONE), (2, 7, 4321), (4, 5, NONE), (16, 7, NONE), (32, 0, NONE)))
write(at('acl', 'default', 'inherited'), b'made after it')

names = [b'n' * 255, b'with\nnewline', b'\xff\xfe not utf-8', b' ', b'-rf', b'*', b'..more', b'...', b'"quoted\'', b'a\\b',
         b'\x01', b'tab\t', 'umlaut-ä'.encode(), b'%s%n', b'content', b'.cargo-stash-0']
for name in names:
    write(at('names', name), name)
for i in range(3):
    os.mkdir(at('names', b'dir\n%d\xff' % i)); write(at('names', b'dir\n%d\xff' % i, b'\xfe'), b'deep')

write(at('links', 'one'), rnd.randbytes(70000))
for n in ('two', 'three'):
    os.link(at('links', 'one'), at('links', n))
os.link(at('links', 'one'), at('a', 'four'))
os.link(at('links', 'one'), at('a/b/c', 'five'))
os.symlink(b'target\xff\n' + b'x' * 200, at('links', 'strange'))
os.symlink('/etc/passwd', at('links', 'absolute'))
os.symlink('../../../../..', at('links', 'up'))
os.symlink('x' * (1023 if filesystem == b'xfs' else 4095), at('links', 'longest'))
os.link(at('links', 'up'), at('links', 'up-hard'), follow_symlinks=False)
os.lchown(at('links', 'strange'), 11, 12)

os.mkfifo(at('nodes', 'fifo'), 0o600); os.link(at('nodes', 'fifo'), at('nodes', 'fifo-hard'))
os.mknod(at('nodes', 'null'), stat.S_IFCHR | 0o666, os.makedev(1, 3))
os.mknod(at('nodes', 'wide'), stat.S_IFCHR | 0o600, os.makedev(511, 262143 if filesystem == b'xfs' else 1000000))
os.mknod(at('nodes', 'loop'), stat.S_IFBLK | 0o660, os.makedev(7, 200))
os.mknod(at('nodes', 'socket'), stat.S_IFSOCK | 0o777)
os.chown(at('nodes', 'socket'), 21, 22); os.chmod(at('nodes', 'socket'), 0o4711)

def sparse(name, size, *writes):
    with open(at('sparse', name), 'wb') as f:
        f.truncate(size)
        for offset, data in writes:
            f.seek(offset); f.write(data)

sparse('hole', 1 << 20)
if 'huge' in sys.argv[2:]:
    sparse('six-gib', 6 << 30, (0, b'first'), ((3 << 30) + 12345, b'middle'), ((6 << 30) - 1, b'z'))
sparse('ends-in-hole', 200000, (65536, b'd' * 10))
sparse('pages', 40 * 4096, *[(i * 8192, bytes([65 + i]) * 4096) for i in range(20)])
sparse('small-hole', 8192, (4096, b'second page'))
sparse('tiny', 100)
fd = os.open(at('sparse', 'preallocated'), os.O_CREAT | os.O_RDWR)
os.posix_fallocate(fd, 0, 507904); os.pwrite(fd, b'used', 100000); os.close(fd)

def allocate(name, size, ranges, data=(), keep=False):
    path = at('sparse', name)
    with open(path, 'wb') as f:
        f.truncate(size)
    for offset, length in ranges:
        subprocess.run(['fallocate'] + (['-n'] if keep else []) + ['-o', str(offset), '-l', str(length), path], check=True)
    with open(path, 'r+b') as f:
        for offset, bytes_ in data:
            f.seek(offset); f.write(bytes_)

allocate('reserved-and-holes', 1 << 20, [(0, 8192), (200704, 100 * 4096)], [(204800, b'd' * 5000), (900000, b'e')])
allocate('reserved-in-one-block', 65536, [(8192, 8192)], [(20480, b'x')])
allocate('reserved-small', 16384, [(4096, 4096)])
if 'huge' in sys.argv[2:]:
    allocate('reserved-big', 3 << 30, [(1 << 30, 1 << 30)], [(5, b'start')])
# XFS takes such room back by itself.
if filesystem != b'xfs':
    allocate('reserved-beyond', 10000, [(0, 300000)], [(0, b'y' * 10000)], keep=True)

for name, ns in (('before-1970', -1234567890123456789), ('epoch', 0), ('nanosecond', 1700000000000000001),
                 ('after-2106', 5000000000999999999), ('minus-half', -500000000)):
    write(at('times', name), b't'); os.utime(at('times', name), ns=(ns, ns))
    os.mkdir(at('times', name + '-dir')); write(at('times', name + '-dir', 'in'), b'')
    os.utime(at('times', name + '-dir'), ns=(ns, ns))
    os.symlink('t', at('times', name + '-link')); os.utime(at('times', name + '-link'), ns=(ns, ns), follow_symlinks=False)
os.mkfifo(at('times', 'fifo')); os.utime(at('times', 'fifo'), ns=(42, 43))
os.makedirs(at('flags', 'nodump-dir', 'in'))
for name, flags in (('immutable', '+i'), ('append', '+a'), ('nodump', '+d'), ('noatime', '+A'), ('all', '+iadAS'),
                    ('linked', '+i'), ('sealed', '+i'), ('growing', '+a'), ('nodump-dir', '+dA')):
    path = at('flags', name)
    if name in ('sealed', 'growing'):
        os.makedirs(path); write(os.path.join(path, b'inside'), b'in')
        os.utime(path, ns=(1, 1234567890123456789))
    elif name != 'nodump-dir':
        write(path, name.encode())
    if name == 'linked':
        os.link(path, at('flags', 'linked-too'))
    subprocess.run(['chattr', flags, path], check=True)
write(at('flags', 'nodump-dir', 'inherits'), b'i')
write(at('flags', 'nodump-dir', 'does-not'), b'n')
subprocess.run(['chattr', '-dA', at('flags', 'nodump-dir', 'does-not')], check=True)
os.chown(root, 999, 998); os.chmod(root, 0o2751)
os.setxattr(root, 'user.root', b'the root itself')
os.utime(root, ns=(1, 1600000000123456789))
