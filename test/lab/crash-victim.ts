/** A test that does not live to clean up: opens a lab, starts what tests start, says what there is, and waits to be killed. */
import { Lab } from '../support/lab.ts';
import { Ocserv } from '../support/ocserv.ts';

const lab = await Lab.open();
await Ocserv.start(lab);
await (await lab.client.start('sh', ['-c', 'setsid sleep 600 & sleep 0.01'])).finish();
const pids = lab.namespaces.flatMap((namespace) => [namespace.holderPid, ...namespace.processes().map(({ pid }) => pid)]);
console.log(JSON.stringify({ folder: lab.folder, pids }));
setInterval(() => undefined, 60_000);
