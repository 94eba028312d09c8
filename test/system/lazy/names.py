"""Opens a file by two names, takes both away, closes one, and prints what it reads by the other.

usage: names.py FILE linked|relinked [wait]
  linked: both names are there from the first open on; relinked: one after the other
  wait: before it reads it prints a line, and waits for one"""
import os, sys

first, second = sys.argv[1], sys.argv[1] + '.second'
if sys.argv[2] == 'linked': os.link(first, second)
kept = os.open(first, os.O_RDONLY)
if sys.argv[2] == 'relinked':
    os.link(first, second)
    os.unlink(first)
other = os.open(second, os.O_RDONLY)
if sys.argv[2] == 'linked': os.unlink(first)
os.unlink(second)
os.close(other)
if len(sys.argv) > 3:
    print('closed', flush=True)
    sys.stdin.readline()
print(os.pread(kept, 8, 1_000_000).hex())
