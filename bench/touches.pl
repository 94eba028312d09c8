# What a process in a container waits for, in microseconds, one number a line.
#   cold COUNT SEED FILE...   open, then read 4 KiB somewhere, of what is not here yet (SEEK_DATA tells): two lines; ends early when all is here
#   somewhere COUNT SEED FILE open and read 4 KiB somewhere, whether it is here or not
#   warm COUNT SEED FILE      read 4 KiB somewhere in an open file
#   front FILE...             read all from front to back, 1 MiB at a time: one number
#   write FILE                open, write 4 KiB in the middle, close: one number
#   scan DIRECTORY            stat and read every file below: one number
use strict;
use warnings;
use Time::HiRes qw(clock_gettime CLOCK_MONOTONIC);
use constant { BLOCK => 4096, SEEK_DATA => 3, HERE_IN_A_ROW => 3000 };

sub now { clock_gettime(CLOCK_MONOTONIC) * 1e6 }
sub opened { my ($mode, $path) = @_; open(my $fh, $mode, $path) or die "$path: $!\n"; binmode $fh; $fh }
sub blocks { my ($path) = @_; my $size = -s $path; int($size / BLOCK) }
sub whole { my ($fh) = @_; my $data; while (my $got = sysread($fh, $data, 1 << 20)) { } }

my ($what, @args) = @ARGV;
if ($what eq 'cold') {
  my ($count, $seed, @files) = @args;
  srand $seed;
  for (my ($found, $here) = (0, 0); $found < $count && $here < HERE_IN_A_ROW;) {
    my $path = $files[rand @files];
    my $at = BLOCK * int rand blocks($path);
    my $before = now;
    my $fh = opened '<', $path;
    my $open = now() - $before;
    my $data = sysseek($fh, $at, SEEK_DATA);
    if (defined $data && $data == $at) { $here++; next }
    sysseek($fh, $at, 0);
    $before = now;
    sysread($fh, my $buffer, BLOCK) == BLOCK or die "$path: $!\n";
    printf "%.1f\n%.1f\n", $open, now() - $before;
    ($found, $here) = ($found + 1, 0);
  }
} elsif ($what eq 'somewhere') {
  my ($count, $seed, $path) = @args;
  srand $seed;
  my $blocks = blocks($path);
  for (1 .. $count) {
    my $at = BLOCK * int rand $blocks;
    my $before = now;
    my $fh = opened '<', $path;
    sysseek($fh, $at, 0);
    sysread($fh, my $buffer, BLOCK) == BLOCK or die "$path: $!\n";
    printf "%.1f\n", now() - $before;
  }
} elsif ($what eq 'warm') {
  my ($count, $seed, $path) = @args;
  srand $seed;
  my $blocks = blocks($path);
  my $fh = opened '<', $path;
  whole $fh;
  for (1 .. $count) {
    sysseek($fh, BLOCK * int rand $blocks, 0);
    my $before = now;
    sysread($fh, my $buffer, BLOCK) == BLOCK or die "$path: $!\n";
    printf "%.2f\n", now() - $before;
  }
} elsif ($what eq 'front') {
  my $before = now;
  whole(opened('<', $_)) for @args;
  printf "%.0f\n", now() - $before;
} elsif ($what eq 'write') {
  my $before = now;
  my $fh = opened '+<', $args[0];
  sysseek($fh, BLOCK * int(blocks($args[0]) / 2), 0);
  syswrite($fh, 'w' x BLOCK) == BLOCK or die "$args[0]: $!\n";
  close $fh or die "$args[0]: $!\n";
  printf "%.0f\n", now() - $before;
} elsif ($what eq 'scan') {
  my $before = now;
  my @left = @args;
  while (defined(my $directory = shift @left)) {
    opendir(my $dh, $directory) or die "$directory: $!\n";
    for my $name (sort grep { !/^\.\.?$/ } readdir $dh) {
      my $path = "$directory/$name";
      if (-d $path) { push @left, $path } else { whole(opened('<', $path)) }
    }
  }
  printf "%.0f\n", now() - $before;
} else {
  die "no such touch: $what\n";
}
