/**
 * Two clients of a gateway without an interface, in one process: what they have of each other, and what becomes of a connection when its client has to
 * come back. `nat-peers-program.ts TARGETS GATEWAY PIN PASSWORD yes|no`; bob is restricted to tcp(443). One JSON value a line. Read first: outside-program.ts.
 */
import { createHash, randomBytes } from 'node:crypto';
import { once } from 'node:events';
import type { Duplex } from 'node:stream';
import { connect, type Vpn } from 'sallyport';

const [, , targetText = '{}', gateway = '', pin = '', password = '', comesBack = ''] = process.argv;
const { ipv4: outside = '' } = JSON.parse(targetText) as Record<string, string>;

const say = (value: Record<string, unknown>) => process.stdout.write(`${JSON.stringify(value)}\n`);
const codeOf = (error: unknown) => (error instanceof Error && 'code' in error ? error.code : String(error));
const open = (user: string) => connect(gateway, { device: 'userspace', pins: [pin], user, password });
const ipv4Of = (vpn: Vpn) => vpn.status().addresses[0]?.split('/')[0] ?? '';

/** Offers an echo to the other client. */
async function serve(vpn: Vpn, port: number): Promise<void> {
  const server = vpn.createServer({ allowHalfOpen: true }, (socket) => socket.on('error', () => undefined).pipe(socket));
  server.listen({ port });
  await once(server, 'listening');
}

async function outcome(vpn: Vpn, host: string, port: number): Promise<unknown> {
  const socket = vpn.createConnection({ host, port, connectTimeout: 5_000, allowHalfOpen: true });
  try {
    return await said(socket, 'hello');
  } catch (error) {
    return codeOf(error);
  } finally {
    socket.destroy();
  }
}

/** Much at once: packets are joined on their way in, and cut again on their way out. */
async function echoed(socket: Duplex): Promise<boolean> {
  const bytes = randomBytes(5_000_000);
  socket.end(bytes);
  const hash = createHash('sha256');
  for await (const chunk of socket) hash.update(chunk as Buffer);
  return hash.digest('hex') === createHash('sha256').update(bytes).digest('hex');
}

async function said(socket: Duplex, text: string): Promise<string> {
  socket.write(text);
  return String((await once(socket, 'data'))[0]);
}

const alice = await open('alice');
const bob = await open('bob');
const [a, b] = [ipv4Of(alice), ipv4Of(bob)];
for (const port of [443, 8000]) {
  await serve(alice, port);
  await serve(bob, port);
}
say({ ping: (await alice.ping(b)).length });
say({ toBob: await outcome(alice, b, 8000) });
say({ bulk: await echoed(alice.createConnection({ host: b, port: 8000, allowHalfOpen: true })) });
say({ toAlice: await outcome(bob, a, 443), toAliceElsewhere: await outcome(bob, a, 8000) });
say({ bobOutside: await outcome(bob, outside, 7007) });

if (comesBack === 'yes') await comeBack();
await alice.close();
await bob.close();

async function comeBack(): Promise<void> {
  const kept = alice.createConnection({ host: outside, port: 7007 });
  say({ before: await said(kept, 'before') });
  const back = new Promise<void>((resolve) => alice.on('state', (state) => state === 'up' && resolve()));
  alice.reconnect();
  await back;
  say({ after: await said(kept, 'after') });
  kept.destroy();
}
