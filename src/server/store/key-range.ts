/**
 * The keys that begin with a prefix, as a range in the order of their UTF-8 bytes: from `from` up to, but without, `to`
 * (null: no end).
 */
export function keyRange(prefix: string): { from: string; to: string | null } {
  const points = [...prefix];
  for (let last = points.pop(); last !== undefined; last = points.pop()) {
    const next = nextCodePoint(last.codePointAt(0) ?? 0);
    if (next !== null) return { from: prefix, to: points.join('') + String.fromCodePoint(next) };
  }
  return { from: prefix, to: null };
}

/** Surrogates (0xD800 to 0xDFFF) have no UTF-8 form. */
function nextCodePoint(point: number): number | null {
  if (point === 0xd7ff) return 0xe000;
  return point === 0x10ffff ? null : point + 1;
}
