/** What a TLS client says it can do: a server on loopback that takes one ClientHello, reads it and hangs up. */
import net from 'node:net';
import { ByteReader } from '../../../src/core/wire/byte-reader.ts';

export interface ClientHello {
  readonly suites: readonly number[];
  readonly groups: readonly number[];
  readonly signatures: readonly number[];
  /** The newest: 0x0304 is TLS 1.3. */
  readonly maxVersion: number;
}

const RECORD_HEADER = 5;
const HANDSHAKE_RECORD = 22;
const EXTENSIONS = { groups: 10, signatures: 13, versions: 43 };

/** `connect` starts a client for the port; undefined if it sends none. */
export async function captureClientHello(connect: (port: number) => Promise<unknown>): Promise<ClientHello | undefined> {
  let hello: ClientHello | undefined;
  const server = net.createServer((socket) => {
    let received = Buffer.alloc(0);
    socket.on('error', () => undefined); // the client is hung up on
    socket.on('data', (chunk) => {
      received = Buffer.concat([received, chunk]);
      if (received.length < RECORD_HEADER || received.length < RECORD_HEADER + received.readUInt16BE(3)) return;
      // A client that has nothing to offer may send an alert instead.
      if (received[0] === HANDSHAKE_RECORD) hello ??= parseClientHello(received.subarray(RECORD_HEADER));
      socket.destroy();
    });
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const { port } = server.address() as net.AddressInfo;
  try {
    await connect(port);
  } finally {
    await new Promise((resolve) => server.close(resolve));
  }
  return hello;
}

function parseClientHello(bytes: Uint8Array): ClientHello {
  const reader = new ByteReader(bytes);
  reader.bytes(4, 'handshake header');
  const legacyVersion = reader.u16('version');
  reader.bytes(32, 'random');
  reader.bytes(reader.u8('session id length'), 'session id');
  const suites = numbers(reader.bytes(reader.u16('suites length'), 'suites'));
  reader.bytes(reader.u8('compression length'), 'compression');
  const extensions = new Map<number, Uint8Array>();
  const all = new ByteReader(reader.bytes(reader.u16('extensions length'), 'extensions'));
  while (all.remaining > 0) extensions.set(all.u16('type'), all.bytes(all.u16('length'), 'extension'));
  const list = (type: number) => numbers((extensions.get(type) ?? new Uint8Array(2)).subarray(2));
  const versions = numbers((extensions.get(EXTENSIONS.versions) ?? new Uint8Array(1)).subarray(1));
  return {
    suites,
    groups: list(EXTENSIONS.groups),
    signatures: list(EXTENSIONS.signatures),
    maxVersion: Math.max(legacyVersion, ...versions),
  };
}

function numbers(bytes: Uint8Array): number[] {
  const reader = new ByteReader(bytes);
  const values: number[] = [];
  while (reader.remaining >= 2) values.push(reader.u16('value'));
  return values;
}
