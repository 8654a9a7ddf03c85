/**
 * The demo's client, a process of its own: connects, and fetches what it is told to. `client.ts URL PIN USER`, the password on standard input.
 * It has no interface and no root: the VPN is inside this process.
 */
import { createHash } from 'node:crypto';
import { once } from 'node:events';
import { connect } from 'sallyport';

/** What the demo says, and hears. */
export type Order = { readonly fetch: string } | { readonly await: 'dtls' | 'tls' } | { readonly leave: true };
export type Report =
  | { readonly event: 'connected'; readonly address: string; readonly transport: string; readonly millis: number }
  | { readonly event: 'fetched'; readonly bytes: number; readonly sha256: string; readonly millis: number; readonly transport: string }
  | { readonly event: 'transport'; readonly transport: string; readonly millis: number }
  | { readonly event: 'failed'; readonly reason: string };

const [, , url = '', pin = '', user = ''] = process.argv;
const tell = (report: Report) => process.send?.(report);

let password = '';
process.stdin.setEncoding('utf8');
for await (const text of process.stdin) password += text;

const cancel = new AbortController();
process.once('disconnect', () => cancel.abort()); // the demo has gone
process.on('message', (order: Order) => 'leave' in order && cancel.abort());

const start = performance.now();
try {
  const vpn = await connect(url, { device: 'userspace', pins: [pin], user, password: password.trim(), signal: cancel.signal });
  process.on('message', (order: Order) => {
    obey(order).catch((error: unknown) => tell({ event: 'failed', reason: String(error) }));
  });
  cancel.signal.addEventListener('abort', () => {
    vpn.close().then(
      () => process.connected && process.disconnect(),
      (error: unknown) => tell({ event: 'failed', reason: String(error) }),
    );
  });
  const transport = () => vpn.status().transport ?? 'none';
  const until = async (wanted: string) => {
    while (transport() !== wanted) await once(vpn, 'transport');
  };
  tell({ event: 'connected', address: vpn.status().addresses.join(' '), transport: transport(), millis: performance.now() - start });

  async function obey(order: Order): Promise<void> {
    const since = performance.now();
    if ('fetch' in order) {
      const response = await vpn.fetch(order.fetch);
      const hash = createHash('sha256');
      let bytes = 0;
      for await (const chunk of response.body ?? []) {
        hash.update(chunk);
        bytes += chunk.length;
      }
      tell({ event: 'fetched', bytes, sha256: hash.digest('hex'), millis: performance.now() - since, transport: transport() });
    } else if ('await' in order) {
      await until(order.await);
      tell({ event: 'transport', transport: transport(), millis: performance.now() - since });
    }
  }
} catch (error) {
  tell({ event: 'failed', reason: error instanceof Error ? error.message : String(error) });
  if (process.connected) process.disconnect();
  process.exitCode = cancel.signal.aborted ? 0 : 1;
}
