import type { FaultLab } from './fault-lab.ts';
import type { HostName } from './names.ts';
import { PORT } from './names.ts';

const NODE = '/opt/cargo/node_modules/node/bin/node';
const PID_FILE = '/run/cargo-faults-doom.pid';

/** Takes the container's port on a host that found it free: what is started there fails for good. */
export async function doom(bench: FaultLab, host: HostName): Promise<void> {
  const listen = `require("node:net").createServer().listen(${PORT}, "0.0.0.0", () => require("node:fs").writeFileSync("${PID_FILE}", String(process.pid)))`;
  const wait = `for i in $(seq 200); do [ -s ${PID_FILE} ] && exit 0; sleep 0.05; done; exit 1`;
  await bench.shell(host, `setsid ${NODE} -e '${listen}' </dev/null >/dev/null 2>&1 & ${wait}`);
}

/** Gives it back; after a power cut it is free already. */
export async function undoom(bench: FaultLab, host: HostName): Promise<void> {
  await bench.shell(host, `if [ -s ${PID_FILE} ]; then kill $(cat ${PID_FILE}) || true; rm ${PID_FILE}; fi`);
}
