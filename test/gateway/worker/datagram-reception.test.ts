/** Clients that come by UDP alone, at the real door of loopback: a cookie first, then a handshake, then whose session it is. */
import assert from 'node:assert/strict';
import { createSocket, type Socket } from 'node:dgram';
import { describe, it } from 'node:test';
import { DtlsClient } from '../../../src/core/dtls/client.ts';
import type { DtlsVersion } from '../../../src/core/dtls/dialect.ts';
import { answerStranger } from '../../../src/core/dtls/hello-cookie.ts';
import { MovedServer } from '../../../src/core/dtls/moved-association.ts';
import { arrayGateway } from '../../../src/core/protocols/array/gateway.ts';
import { renderHello } from '../../../src/core/protocols/array/speed-tunnel.ts';
import { parseServerHello, renderClientHello } from '../../../src/core/protocols/fortinet/dtls-hello.ts';
import { datagramFront } from '../../../src/core/protocols/fortinet/gateway-tunnel.ts';
import type { Visitor } from '../../../src/core/protocols/gateway-protocol.ts';
import { Secret } from '../../../src/core/secret.ts';
import { packetBytes, packetOf } from '../../../src/core/tunnel/packet.ts';
import { utf8 } from '../../../src/core/wire/text.ts';
import { type Flow, UdpDoor } from '../../../src/gateway/main/udp-door.ts';
import { helloCookieOf } from '../../../src/gateway/processes/hello-cookie.ts';
import { datagramIdentity, type Received, receiveStranger } from '../../../src/gateway/worker/datagram-reception.ts';
import { NodeCrypto } from '../../../src/node/crypto/node-crypto.ts';
import { PortableUdpSocket } from '../../../src/node/udp-socket.ts';
import { RecordedLog } from '../../support/forms.ts';
import { PLAIN_TERMS, PlayedVisitor } from '../../support/gateway-visitor.ts';
import { missing } from '../../support/requirements.ts';
import { HANG_LIMIT } from '../../support/size.ts';
import { throwawayCertificate } from '../../support/throwaway-certificate.ts';

const KNOWN = 'k'.repeat(43);
const crypto = new NodeCrypto();
const now = () => performance.now();

describe('a client that comes by UDP alone', { skip: missing('openssl'), timeout: HANG_LIMIT }, () => {
  const certificate = throwawayCertificate();
  const log = new RecordedLog();
  const fronts = [datagramFront, arrayGateway.datagrams ?? assert.fail()];
  const identity = datagramIdentity(
    { certificates: [{ certificate: certificate.certificatePem, key: new Secret(certificate.keyPem) }] },
    log,
  );

  /** Plays a client with this cookie to a gateway that knows one. */
  async function visit({
    hello,
    version = '1.2',
    allowsLegacy = false,
  }: Visit): Promise<{ received: Received | undefined; answers: (string | undefined)[]; flows: number }> {
    const helloSecret = crypto.randomBytes(32);
    const came = Promise.withResolvers<Flow>();
    let flows = 0;
    const door = await UdpDoor.open({
      ...{ port: 0, host: '127.0.0.1', now, onFlow: () => assert.fail('a tunnel that is not there') },
      strangers: {
        answer: (datagram, remote) => answerStranger(crypto, helloCookieOf(helloSecret, remote), datagram),
        onFlow: (flow) => {
          flows++;
          came.resolve(flow);
        },
      },
    });
    const answers: (string | undefined)[] = [];
    const client = new Client(door.port, { hello, version }, certificate.der, (record) => answers.push(parseServerHello(record)));
    try {
      const { socket, remote, first } = await came.promise;
      const path = await PortableUdpSocket.adopt(socket, remote, first, () => undefined);
      const received = await receiveStranger(path, first, {
        ...{
          crypto,
          log,
          now,
          helloSecret,
          identity: identity ?? assert.fail(),
          fronts,
          allowsLegacy,
          visitor: visitorWith(KNOWN),
        },
      });
      if (received === undefined) await client.settled;
      await path.close();
      return { received, answers, flows };
    } finally {
      client.close();
      door.close();
    }
  }

  it('is known by its cookie, and gets its lease when its tunnel begins', async () => {
    const { received, answers, flows } = await visit({ hello: renderClientHello(KNOWN) });
    assert.deepEqual([received?.kind === 'tunnel' && received.lease.tunnel, flows], [7, 1]);
    assert.equal(answers[0], 'ok');
  });

  it('is refused where its cookie is nobody’s', async () => {
    const { received, answers } = await visit({ hello: renderClientHello('x'.repeat(43)) });
    assert.equal(received, undefined);
    assert.deepEqual(answers, ['fail']);
  });

  it('is let go, with all that its association is, where it names a tunnel that runs somewhere', async () => {
    const hello = renderHello('86C74593-AA49-B019-6F32-125E464018A5');
    for (const version of ['1.0', '1.2'] as const) {
      const { received } = await visit({ hello, version, allowsLegacy: true });
      assert.ok(received?.kind === 'flow');
      assert.deepEqual(received.greetingId, crypto.hash('sha256', hello.subarray(0, -2)), 'the id itself stays here');
      const moved = new MovedServer(crypto, received.dtls);
      assert.equal(moved.state.name === 'up' && moved.state.session.version, version);
    }
  });

  it('is not heard in DTLS 1.0 by a gateway that does not want it', async () => {
    const hello = renderHello('86C74593-AA49-B019-6F32-125E464018A5');
    assert.equal((await visit({ hello, version: '1.0' })).received, undefined);
  });
});

/** A client, and what the gateway allows. */
interface Visit {
  readonly hello: Uint8Array;
  readonly version?: DtlsVersion;
  readonly allowsLegacy?: boolean;
}

function visitorWith(known: string): Visitor {
  const visitor = new PlayedVisitor();
  const terms = PLAIN_TERMS;
  const session = {
    ...{ user: 'alice', rebind: async () => undefined, preview: async () => terms, lease: async () => terms, end: async () => undefined },
    expect: async () => false,
    lastLease: { tunnel: 7, terms, limits: {} },
  };
  visitor.session = async (cookie) => (cookie.reveal().startsWith(known) ? session : undefined);
  return visitor;
}

/** Shakes hands, says hello, and begins its tunnel when that is accepted. */
class Client {
  /** An answer that is no yes has come, or the end. */
  readonly settled: Promise<void>;
  readonly #socket: Socket = createSocket('udp4');
  readonly #port: number;
  readonly #dtls: DtlsClient;
  readonly #timer: NodeJS.Timeout;
  readonly #room = new Uint8Array(16_384);

  constructor(port: number, { hello, version = '1.2' }: Visit, expected: Uint8Array, onRecord: (record: Uint8Array) => void) {
    this.#port = port;
    const faultOf = ([leaf]: readonly Uint8Array[]) =>
      leaf !== undefined && Buffer.compare(leaf, expected) === 0 ? undefined : 'another one';
    this.#dtls = new DtlsClient({ crypto, version, credentials: { kind: 'certificate', faultOf } });
    const { promise, resolve } = Promise.withResolvers<void>();
    this.settled = promise;
    let hasGreeted = false;
    const send = (bytes: Uint8Array) => this.#dtls.send(packetOf(bytes), now(), sink);
    const opened: Uint8Array[] = [];
    const sink = {
      reserve: (length: number) => this.#room.subarray(0, length),
      commit: (length: number) => this.#socket.send(this.#room.slice(0, length), this.#port, '127.0.0.1'),
      packet: (packet: Parameters<typeof packetBytes>[0]) => void opened.push(packetBytes(packet).slice()),
    };
    const follow = () => {
      if (this.#dtls.state.name === 'failed') resolve();
      if (this.#dtls.state.name === 'up' && !hasGreeted) {
        hasGreeted = true;
        send(hello);
      }
      for (const record of opened.splice(0)) {
        onRecord(record);
        if (parseServerHello(record) === 'ok') send(utf8('the first frame'));
        else resolve();
      }
    };
    this.#socket.on('message', (bytes) => {
      this.#dtls.receive(bytes, now(), sink);
      follow();
    });
    this.#dtls.handleTimeout(now(), sink);
    this.#timer = setInterval(() => {
      const due = this.#dtls.nextTimeout();
      if (due !== undefined && due <= now()) this.#dtls.handleTimeout(now(), sink);
    }, 50);
  }

  close(): void {
    clearInterval(this.#timer);
    this.#socket.close();
  }
}
