/**
 * The main job on a fresh machine, with nothing to configure: a gateway, a client, a file through the tunnel, and nothing left behind.
 *
 *   this machine: a network namespace for the client ── a router ── one for the gateway, ocserv, with a web server behind it
 *
 * Nothing of this machine's own network is touched. It needs root on Debian: the gateway is Debian's ocserv.
 */
import path from 'node:path';
import { Lab } from '../../test/support/lab.ts';
import { ALICE, Ocserv } from '../../test/support/ocserv.ts';
import type { Program } from '../../test/support/program.ts';
import { differences, takeSnapshot } from '../../test/support/snapshot.ts';
import { cannotInstall, installPackages, type Packages } from '../../tools/debian-packages.ts';

const NEEDED: Packages = {
  ocserv: 'the VPN gateway to connect to',
  iproute2: 'network namespaces: the machines of this demo',
  openssl: 'a certificate for the gateway',
  nftables: 'what the packet filter says before and after',
  procps: 'process figures',
};

/** Behind the gateway: nobody gets there without the tunnel. */
const INSIDE = '10.78.0.1';
const PORT = 8000;
const FILE_BYTES = 20_000_000;

const HERE = import.meta.dirname;
const SALLYPORT = path.resolve(HERE, '../../bin/sallyport.js');

async function main(): Promise<void> {
  const obstacle = cannotInstall();
  if (obstacle !== undefined) {
    throw new DemoError(
      `The demo installs a gateway (Debian's ocserv) and makes network namespaces: it needs root on Debian, and ${obstacle}.`,
    );
  }
  installPackages(NEEDED, 'the demo');

  say('Making three machines out of network namespaces: a client, a router, a gateway. Your own network stays as it is.');
  await using lab = await Lab.open();
  const ocserv = await Ocserv.start(lab, { settings: { route: ['10.78.0.0/16'], dns: [INSIDE] } });
  await lab.server.ip(`addr add ${INSIDE}/32 dev lo`);
  const server = await lab.server.start(process.execPath, [path.join(HERE, 'file-server.ts'), INSIDE, String(PORT), String(FILE_BYTES)]);
  const [, expected = ''] = await server.waitFor(/^serving (\w+)$/m);
  const url = `http://${INSIDE}:${PORT}/file`;
  say(`The gateway is ocserv; behind it a web server has a file of ${megabytes(FILE_BYTES)} at ${url}.`);

  const before = await takeSnapshot(lab.client);
  const refused = await lab.client.finish(process.execPath, [path.join(HERE, 'fetch-file.ts'), url]);
  if (refused.code === 0) throw new DemoError('The file could be fetched without the tunnel: the demo proves nothing.');
  say('Without the tunnel the client cannot reach it. As it should be.');

  const args = [ocserv.gateway, '--user', ALICE.name, '--password-stdin', '--pin', ocserv.pin];
  say(`Connecting: sallyport connect ${args.join(' ')}`);
  const start = performance.now();
  const client = await lab.client.start(process.execPath, [SALLYPORT, 'connect', ...args], { input: `${ALICE.password}\n` });
  await client.waitFor(/^Connected/m);
  say(`The tunnel is up after ${Math.round(performance.now() - start)} ms. Sallyport said:`);
  quote(client);

  const [bytes, actual, time] = (await lab.client.run(process.execPath, [path.join(HERE, 'fetch-file.ts'), url])).trim().split(' ');
  say(`Fetched ${megabytes(Number(bytes))} through the tunnel in ${time} ms.`);
  if (actual !== expected) throw new DemoError(`The file came out different: SHA-256 ${actual}, at the server ${expected}.`);
  say(`Its SHA-256 is the same at both ends: ${actual}.`);

  say('Disconnecting with Ctrl-C.');
  client.signal('SIGINT');
  const { code } = await client.finish();
  const left = [
    ...differences(before, await takeSnapshot(lab.client)),
    ...lab.client.processes().map(({ command }) => `process: ${command}`),
  ];
  if (code !== 0 || left.length > 0)
    throw new DemoError(`The client ended with code ${code} and left:\n${left.join('\n')}\n${client.describe()}`);
  say('Addresses, routes, DNS and processes of the client are as they were before: nothing is left.');
  await server.stop();
  say('It works.');
}

/** Something that the person who runs the demo should read, without our stack. */
class DemoError extends Error {}

function say(text: string): void {
  console.log(`\n» ${text}`);
}

function quote(program: Program): void {
  console.log(program.output.trimEnd().replace(/^/gm, '    '));
}

function megabytes(bytes: number): string {
  return `${bytes / 1e6} MB`;
}

try {
  await main();
} catch (error) {
  console.error(`\nThe demo failed. ${error instanceof DemoError ? error.message : (error as Error).stack}`);
  process.exitCode = 1;
}
