/** What tests, the demo and the benchmarks may use of the lab; `cargo-lab` is the same for people. */
export { agentGroup, agentProcess, agentsReady, startAgent, stopAgent } from './agent.ts';
export { bootMachine, restartAgent } from './boot.ts';
export { adminToken, caFile, callServer, serverUrl } from './call-server.ts';
export { foldersOf, signalAll } from './cgroup.ts';
export { dockerSocket, restartDocker, signalDocker } from './docker.ts';
export { downLab } from './down.ts';
export { findInit, hostGroup, hostRoot, requireInit } from './enter.ts';
export { execInHost, runInHost } from './exec.ts';
export { faultPointsOf, serverFaultPoints } from './fault-points.ts';
export { bootHost, cutPower } from './host.ts';
export { type ImageName, loadImage } from './image/load.ts';
export { linkIsUp, setLink } from './network.ts';
export { restartServer, serverGroup, serverLog, serverProcess } from './server.ts';
export { findHost, findLab, findMachine, type Lab, type LabHost, loadLab } from './state.ts';
export { type UpOptions, upLab } from './up.ts';
export { waitUntil } from './wait-until.ts';
