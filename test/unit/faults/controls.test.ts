import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { controls } from '../../../faults/controls.ts';
import { lazyCells } from '../../../faults/lazy-cells.ts';
import { everyPoint } from '../../../faults/matrix.ts';
import { everyWalk } from '../../../faults/walks.ts';

test.each(controls.map((control) => [control.name, control] as const))(
  'the control "%s" finds the protection that it takes out, and its cell',
  (_, { file, edits, cell }) => {
    const code = readFileSync(join(import.meta.dirname, '../../..', file), 'utf8');
    for (const [from] of edits) expect(code.split(from), from).toHaveLength(2);
    expect([...everyPoint(), ...lazyCells(), ...everyWalk()].map(({ name }) => name)).toContain(cell);
  },
);
