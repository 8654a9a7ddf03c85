/**
 * A program that uses a VPN without root: `userspace-program.ts GATEWAY PIN PASSWORD CA-FILE TRANSPORT`. It does one thing after the other and says
 * what came of it, one JSON value a line.
 */
import { createHash, randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import { connect as tlsConnect } from 'node:tls';
import { connect, type IpSocket } from 'sallyport';

const [, , gateway = '', pin = '', password = '', caFile = '', transport = ''] = process.argv;
const SIZE = 3_000_000;

function say(value: Record<string, unknown>): void {
  process.stdout.write(`${JSON.stringify(value)}\n`);
}

const codeOf = (error: unknown) => (error instanceof Error && 'code' in error ? error.code : String(error));

async function echoed(socket: IpSocket): Promise<boolean> {
  const bytes = randomBytes(SIZE);
  const hash = createHash('sha256');
  socket.end(bytes);
  for await (const chunk of socket) hash.update(chunk as Buffer);
  return hash.digest('hex') === createHash('sha256').update(bytes).digest('hex');
}

{
  await using vpn = await connect(`https://${gateway}`, {
    device: 'userspace',
    pins: [pin],
    user: 'alice',
    password,
    udp: transport === 'dtls',
  });
  const status = readFileSync('/proc/self/status', 'latin1');
  say({ user: process.getuid?.(), capabilities: /^CapEff:\s*(\w+)$/m.exec(status)?.[1] });
  if (transport === 'dtls' && vpn.status().transport !== 'dtls') await once(vpn, 'transport');
  say({ transport: vpn.status().transport, device: vpn.status().device ?? null });
  say({ ping: (await vpn.ping('10.77.0.1')).length });
  say({ lookup: await vpn.lookup('web.corp.test') });
  say({ searched: await vpn.lookup('web') });
  say({ truncated: await vpn.lookup('big.corp.test') });
  say({ unknown: await vpn.lookup('nobody.example').catch(codeOf) });
  say({ echo: await echoed(vpn.createConnection({ host: 'web.corp.test', port: 7, allowHalfOpen: true })) });
  const refused = vpn.createConnection({ host: '10.77.0.1', port: 1 });
  say({ refused: codeOf((await once(refused, 'error'))[0]) });

  const secure = tlsConnect({
    socket: vpn.createConnection({ host: 'web.corp.test', port: 8443 }),
    ca: readFileSync(caFile),
    servername: 'inside.test',
  });
  await once(secure, 'secureConnect');
  say({ tls: secure.authorized });
  secure.destroy();

  const plain = await vpn.fetch('http://web.corp.test:8080/', { method: 'POST', body: 'over the tunnel' });
  say({ fetch: await plain.text(), host: plain.headers.get('x-host') });
  const dispatcher = await vpn.dispatcher({ tls: { rejectUnauthorized: false } });
  const https = await vpn.fetch('https://web.corp.test:8443/', { method: 'POST', body: 'with TLS', dispatcher });
  say({ https: await https.text() });
  const untrusted = await vpn.fetch('https://web.corp.test:8443/').catch((error: Error) => codeOf(error.cause));
  say({ untrusted });

  const server = vpn.createServer();
  server.listen({ port: 0 });
  await once(server, 'listening');
  const order = vpn.createConnection({ host: '10.77.0.1', port: 9999 });
  order.write(String(server.address()?.port));
  const [caller] = (await once(server, 'connection')) as [IpSocket];
  let heard = '';
  for await (const chunk of caller) heard += (chunk as Buffer).toString();
  say({ called: heard });
  server.close();
  order.destroy();

  // A connection outlives the tunnel that it was made in.
  const long = vpn.createConnection({ host: '10.77.0.1', port: 7 });
  await once(long, 'connect');
  const again = new Promise<void>((resolve) => vpn.on('state', (state) => state === 'up' && resolve()));
  vpn.reconnect();
  long.write('before ');
  await again;
  long.write('and after');
  let outlived = '';
  while (outlived !== 'before and after') outlived += ((await once(long, 'data')) as [Buffer])[0].toString();
  say({ outlived });
  long.destroy();

  const aborted = vpn.createConnection({ host: '10.77.200.200', port: 80, signal: AbortSignal.timeout(50) });
  say({ aborted: codeOf((await once(aborted, 'error'))[0]) });
}
say({ over: true });
