import { z } from 'zod';
import { HostFacts, HostId, HostName } from '../../api/host.ts';

/** A host as the Store keeps it, at `hosts/<id>`. */
export const HostRecord = z.object({
  id: HostId,
  name: HostName,
  facts: HostFacts,
  joinedAt: z.iso.datetime(),
  lastSeenAt: z.iso.datetime().describe('Written now and then, not with every heartbeat.'),
  keySha256: z.string().describe('SHA-256 of the public key in the agent’s last certificate.'),
  joinedWith: z.string().describe('Id of the join token of its last join.'),
});
export type HostRecord = z.infer<typeof HostRecord>;

export function hostKey(hostId: string): string {
  return `hosts/${hostId}`;
}
