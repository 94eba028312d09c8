/** Rows as aligned columns, two spaces apart, no trailing blanks. Control characters are shown, not obeyed. */
export function table(headings: readonly string[], rows: readonly (readonly string[])[]): string {
  const lines = [headings, ...rows].map((cells) => cells.map(printable));
  const widths = headings.map((_, column) => Math.max(...lines.map((cells) => (cells[column] ?? '').length)));
  return lines
    .map((cells) => cells.map((cell, column) => cell.padEnd(widths[column] ?? 0)).join('  '))
    .map(trimmed)
    .join('');
}

/** `name   value` lines with the values aligned; entries with null are left out. */
export function record(entries: readonly (readonly [string, string | null])[]): string {
  const shown = entries.filter((entry): entry is readonly [string, string] => entry[1] !== null);
  const width = Math.max(...shown.map(([name]) => name.length));
  return shown.map(([name, value]) => trimmed(`${name.padEnd(width)}  ${printable(value)}`)).join('');
}

/** A container's names and messages may hold anything: what would move the cursor or clear the screen is spelled out. */
export function printable(text: string): string {
  return text.replace(/\p{Cc}/gu, (character) => `\\x${character.charCodeAt(0).toString(16).padStart(2, '0')}`);
}

function trimmed(line: string): string {
  return `${line.trimEnd()}\n`;
}
