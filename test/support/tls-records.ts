/** A relay on loopback that counts the TLS records that either side sends (RFC 8446 §5.1): type, version, length, contents. */
import { once } from 'node:events';
import net, { type AddressInfo } from 'node:net';

const HEADER = 5;
const APPLICATION_DATA = 23;

export class RecordCounter {
  /** Of the type application data, from all clients; in TLS 1.3 the end of the handshake is among them. */
  applicationRecords = 0;
  /** The same from the server. */
  serverRecords = 0;
  readonly #server: net.Server;
  readonly #clients = new Set<net.Socket>();

  private constructor(server: net.Server) {
    this.#server = server;
  }

  /** Relays to this port of loopback. */
  static async start(to: number): Promise<RecordCounter> {
    const server = net.createServer({ allowHalfOpen: true });
    const counter = new RecordCounter(server);
    server.on('connection', (client) => {
      const peer = net.connect({ port: to, host: '127.0.0.1', allowHalfOpen: true });
      for (const [one, other] of [
        [client, peer],
        [peer, client],
      ] as const) {
        one.on('error', () => other.resetAndDestroy()).on('close', () => other.destroy());
        one.pipe(other);
      }
      client.on(
        'data',
        reader(() => counter.applicationRecords++),
      );
      peer.on(
        'data',
        reader(() => counter.serverRecords++),
      );
      counter.#clients.add(client);
      client.on('close', () => counter.#clients.delete(client));
    });
    server.listen(0, '127.0.0.1');
    await once(server, 'listening');
    return counter;
  }

  get port(): number {
    return (this.#server.address() as AddressInfo).port;
  }

  /** Resets the connections of all clients. */
  reset(): void {
    for (const client of this.#clients) client.resetAndDestroy();
  }

  close(): void {
    this.#server.close();
  }
}

/** Tells of each record of application data. */
function reader(onRecord: () => void): (bytes: Buffer) => void {
  let held = Buffer.alloc(0);
  return (bytes) => {
    held = Buffer.concat([held, bytes]);
    while (held.length >= HEADER) {
      const end = HEADER + held.readUInt16BE(3);
      if (held.length < end) return;
      if (held[0] === APPLICATION_DATA) onRecord();
      held = held.subarray(end);
    }
  };
}
