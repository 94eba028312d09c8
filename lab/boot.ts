import { agentsReady, startAgent, stopAgent } from './agent.ts';
import { callServer } from './call-server.ts';
import { bootHost } from './host.ts';
import { linkIsUp } from './network.ts';
import type { Lab, LabHost } from './state.ts';

/** Whether it makes sense to wait until the agent has joined: in a fault test server or link may be away on purpose. */
async function canJoin(lab: Lab, host: LabHost): Promise<boolean> {
  if (!(await linkIsUp(host))) return false;
  return await callServer(lab, 'GET', '/healthz').then(
    () => true,
    () => false,
  );
}

/** Ends the host's agent where it runs, starts it, and waits until it is ready where that is possible. */
export async function restartAgent(lab: Lab, host: LabHost): Promise<void> {
  await stopAgent(lab, host);
  const since = new Date();
  await startAgent(lab, host);
  if (await canJoin(lab, host)) await agentsReady(lab, [host], since);
  else process.stderr.write(`cargo-lab: the agent of ${host.name} is started, the server is out of its reach\n`);
}

/** Gives a host its power back, with Docker, and with its agent unless the lab is bare. */
export async function bootMachine(lab: Lab, host: LabHost): Promise<void> {
  await bootHost(lab, host);
  if (!lab.bare) await restartAgent(lab, host);
}
