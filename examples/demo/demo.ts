/**
 * The main job on any machine, with nothing to configure and no rights: a gateway, a client, a file through the tunnel, and nothing left behind.
 *
 *   this process: a web server with a file ◄─ TCP ─ gateway, its own process ◄─ DTLS, TLS ─ road ─ client, its own process
 *
 * Everything is on the loopback address. Neither end has an interface or root: the VPN is inside the two processes.
 */
import { type ChildProcess, spawn } from 'node:child_process';
import { createHash, randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { mkdtempSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { createInterface } from 'node:readline';
import { makeCertificate } from './certificate.ts';
import type { Order, Report } from './client.ts';
import { Road } from './road.ts';

const HERE = import.meta.dirname;
const BIN = path.resolve(HERE, '../../bin');

/** The gateway, inside the VPN. */
const INSIDE = '10.78.0.1';
const USER = 'alice';
const FILE_BYTES = 5_000_000;

/** Where the gateway is, and where the road to it begins. Linux has all of 127.0.0.0/8. */
const GATEWAY = '127.0.0.1';
const ROAD = process.platform === 'linux' ? '127.0.0.2' : '::1';

/** A demo that takes longer is broken. */
const PATIENCE = 60_000;
/** So long an end may take, before it is made short. */
const END_LIMIT = 5_000;
/** Another program may take a port between two looks at it. */
const ATTEMPTS = 5;

/** Something that the person who runs the demo should read, without our stack. */
class DemoError extends Error {}

/** What is to be taken back, the last thing first. */
const undo: (() => unknown)[] = [];
const stop = new AbortController();

async function main(): Promise<void> {
  const folder = mkdtempSync(path.join(tmpdir(), 'sallyport-demo-'));
  undo.push(() => rmSync(folder, { recursive: true, force: true }));
  const { port: webPort, sha256 } = await serveFile();
  const password = randomBytes(12).toString('base64url');
  const files = { certificate: path.join(folder, 'vpn.pem'), key: path.join(folder, 'vpn.key'), passwords: path.join(folder, 'passwords') };
  const user = makeUser(files.passwords, password);
  const certificate = makeCertificate(ROAD);
  writeFileSync(files.certificate, certificate.certificate);
  writeFileSync(files.key, certificate.key, { mode: 0o600 });
  await user;

  say('Starting a gateway, as you: no root, no interface. This is all of its configuration:');
  const { road, config } = await startGateway(folder, files, webPort);
  console.log(config.trimEnd().replace(/^/gm, '    '));

  say(`Starting a client, as you, which connects to ${at(ROAD, road.port)} as ${USER}.`);
  const client = await startClient(`https://${at(ROAD, road.port)}`, certificate.pin, password);
  const { address, millis } = await client.hears('connected');
  console.log(`    Connected after ${Math.round(millis)} ms. Inside the VPN the client is ${address}, the gateway ${INSIDE}.`);

  client.tell({ await: 'dtls' });
  await client.hears('transport');
  await fetchFile(client, 'dtls', sha256);

  say('Now the road lets no UDP pass any more, as in many a hotel.');
  road.cutUdp();
  client.tell({ await: 'tls' });
  const { millis: noticed } = await client.hears('transport');
  console.log(`    The client has noticed after ${(noticed / 1000).toFixed(1)} s, and goes on over TLS: same address, same session.`);
  await fetchFile(client, 'tls', sha256);
  if (road.stopped === 0) throw new DemoError('No datagram came to the barrier: the demo proves nothing.');

  say('Ending both.');
  await takeBack();
  if (readdirSync(tmpdir()).includes(path.basename(folder))) throw new DemoError(`${folder} is still there.`);
  say(`Nothing is left. It works, and took ${(performance.now() / 1000).toFixed(1)} s.`);
}

/** A file that only the gateway's service leads to, as far as the client knows. */
async function serveFile(): Promise<{ readonly port: number; readonly sha256: string }> {
  const file = randomBytes(FILE_BYTES);
  const server = createServer((_request, response) => {
    response.writeHead(200, { 'Content-Type': 'application/octet-stream', 'Content-Length': file.length });
    response.end(file);
  });
  server.listen(0, GATEWAY);
  await once(server, 'listening');
  undo.push(() => {
    server.close();
    server.closeAllConnections();
  });
  return { port: (server.address() as AddressInfo).port, sha256: createHash('sha256').update(file).digest('hex') };
}

async function makeUser(file: string, password: string): Promise<void> {
  const ocpasswd = run('ocpasswd', [path.join(BIN, 'sallyport-ocpasswd.js'), '--passwd', file, USER], 'pipe');
  ocpasswd.child.stdin?.end(`${password}\n${password}\n`);
  const status = await ocpasswd.ended;
  if (status !== 'exit status 0') throw new DemoError(`The user could not be made (${status}): ${ocpasswd.said()}`);
}

interface Files {
  readonly certificate: string;
  readonly key: string;
  readonly passwords: string;
}

/** Both have the same port, the road on its own address; so it has to be free twice. */
async function startGateway(folder: string, files: Files, webPort: number): Promise<{ readonly road: Road; readonly config: string }> {
  for (let attempt = 1; ; attempt++) {
    const road = await Road.open(ROAD, GATEWAY).catch((error: NodeJS.ErrnoException) => {
      if (error.code !== 'EADDRINUSE' || attempt === ATTEMPTS) throw error;
    });
    if (road === undefined) continue;
    undo.push(() => road.close());
    const config = configuration(folder, files, road.port, webPort);
    const file = path.join(folder, 'gateway.toml');
    writeFileSync(file, config);
    const gateway = run('gateway', [path.join(BIN, 'sallyport.js'), 'gateway', '--config', file], 'ignore');
    const isUp = await Promise.race([gateway.says(/\blistening\b/), gateway.ended.then(() => false)]);
    if (isUp) return { road, config };
    if (attempt === ATTEMPTS || !/Address already in use/.test(gateway.said())) {
      throw new DemoError(`The gateway did not start:\n${gateway.said()}`);
    }
  }
}

function configuration(folder: string, files: Files, port: number, webPort: number): string {
  return `[network]
device = "userspace"   # no interface, no root: the gateway makes its clients' connections itself

[nat]
services = ["80:${GATEWAY}:${webPort}"]   # port 80 inside leads to the web server of this demo

[listen]
host = "${GATEWAY}"
tcp-port = ${port}

[tls]
certificates = [{ certificate = "${files.certificate}", key = "${files.key}" }]

[auth]
required = [{ method = "plain", passwords = "${files.passwords}" }]

[pool]
ipv4 = "10.78.0.0/24"

[policy]
dpd = "1s"             # both ask each other that often whether they are there

[process]
state = "${folder}/state"

[control]
enabled = false
`;
}

interface Client {
  tell(order: Order): void;
  hears<Event extends Report['event']>(event: Event): Promise<Extract<Report, { event: Event }>>;
}

async function startClient(url: string, pin: string, password: string): Promise<Client> {
  const program = run('client', [path.join(HERE, 'client.ts'), url, pin, USER], 'pipe', true);
  const { child } = program;
  child.stdin?.end(`${password}\n`);
  const reports: Report[] = [];
  let arrived = Promise.withResolvers<void>();
  child.on('message', (report: Report) => {
    reports.push(report);
    arrived.resolve();
  });
  return {
    tell: (order) => void child.send(order),
    hears: async (event) => {
      while (reports.length === 0) {
        const outcome = await Promise.race([arrived.promise, program.ended]);
        arrived = Promise.withResolvers();
        if (reports.length === 0) throw new DemoError(`The client has ended (${outcome}): ${program.said()}`);
      }
      const report = reports.shift();
      if (report?.event === event) return report as Extract<Report, { event: typeof event }>;
      throw new DemoError(
        report?.event === 'failed' ? `The client failed: ${report.reason}` : `The client said ${report?.event}, not ${event}.`,
      );
    },
  };
}

async function fetchFile(client: Client, transport: 'dtls' | 'tls', sha256: string): Promise<void> {
  say(`Fetching ${FILE_BYTES / 1e6} MB from http://${INSIDE}/file over ${transport.toUpperCase()}.`);
  client.tell({ fetch: `http://${INSIDE}/file` });
  const fetched = await client.hears('fetched');
  if (fetched.transport !== transport) throw new DemoError(`It went over ${fetched.transport}, not ${transport}.`);
  if (fetched.bytes !== FILE_BYTES || fetched.sha256 !== sha256) {
    throw new DemoError(`The file came out different: ${fetched.bytes} bytes with SHA-256 ${fetched.sha256}, at the server ${sha256}.`);
  }
  const rate = (8 * fetched.bytes) / fetched.millis / 1000;
  console.log(`    ${Math.round(fetched.millis)} ms, ${Math.round(rate)} Mbit/s. SHA-256 at both ends: ${sha256}`);
}

interface Running {
  readonly child: ChildProcess;
  /** Resolves when it has ended, with how. */
  readonly ended: Promise<string>;
  /** Standard error so far. */
  said(): string;
  /** Resolves with true when it has said that. */
  says(words: RegExp): Promise<boolean>;
}

/** Runs a program of ours by the same Node. Ctrl-C at the terminal is for this process to answer: the program is in a group of its own. */
function run(name: string, words: readonly string[], input: 'pipe' | 'ignore', hasChannel = false): Running {
  stop.signal.throwIfAborted();
  const child = spawn(process.execPath, words, {
    stdio: [input, 'ignore', 'pipe', ...(hasChannel ? (['ipc'] as const) : [])],
    detached: true,
  });
  const { promise: ended, resolve } = Promise.withResolvers<string>();
  child.once('error', (error) => resolve(error.message));
  child.once('exit', (code, signal) => resolve(signal === null ? `exit status ${code}` : `signal ${signal}`));
  child.stdin?.on('error', () => undefined); // it has ended, which is said elsewhere
  let text = '';
  const waiting: { readonly words: RegExp; readonly resolve: (isSaid: true) => void }[] = [];
  if (child.stderr !== null) {
    createInterface(child.stderr).on('line', (line) => {
      text += `${name}: ${line}\n`;
      for (const { words: wanted, resolve: tell } of waiting) if (wanted.test(line)) tell(true);
    });
  }
  const running: Running = {
    ...{ child, ended, said: () => text },
    says: (wanted) => new Promise((tell) => waiting.push({ words: wanted, resolve: tell })),
  };
  undo.push(() => end(name, running));
  return running;
}

/** Asks it to end, and sees to it. */
async function end(name: string, { child, ended, said }: Running): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return; // by itself: whoever waited for it has said so
  if (child.connected) child.send({ leave: true } satisfies Order);
  else child.kill('SIGINT');
  const timer = setTimeout(() => child.kill('SIGKILL'), END_LIMIT);
  const how = await ended;
  clearTimeout(timer);
  if (how !== 'exit status 0') throw new DemoError(`The ${name} ended with ${how}:\n${said()}`);
}

/** Every step, whatever becomes of the others; then the first that failed. */
async function takeBack(): Promise<void> {
  const failures: unknown[] = [];
  for (let step = undo.pop(); step !== undefined; step = undo.pop()) {
    try {
      await step();
    } catch (error) {
      failures.push(error);
    }
  }
  if (failures.length > 0) throw failures[0];
}

function at(host: string, port: number): string {
  return host.includes(':') ? `[${host}]:${port}` : `${host}:${port}`;
}

function say(text: string): void {
  console.log(`\n» ${text}`);
}

/** Rejects when somebody wants the demo to end, or it takes too long. */
function interrupted(): Promise<never> {
  return new Promise((_, reject) => {
    const timer = setTimeout(() => reject(new DemoError(`It took longer than ${PATIENCE / 1000} s.`)), PATIENCE);
    timer.unref();
    for (const [signal, status] of [
      ['SIGINT', 130],
      ['SIGTERM', 143],
      ['SIGHUP', 129],
    ] as const) {
      process.once(signal, () => {
        process.exitCode = status;
        stop.abort();
        reject(new DemoError(`${signal} came.`));
      });
    }
  });
}

try {
  await Promise.race([main(), interrupted()]);
} catch (error) {
  await takeBack().catch(() => undefined); // why it failed says more
  if (stop.signal.aborted) console.error('\nInterrupted. Both ends are gone, and nothing is left.');
  else {
    console.error(`\nThe demo failed. ${error instanceof DemoError ? error.message : (error as Error).stack}`);
    process.exitCode = 1;
  }
}
process.exit();
