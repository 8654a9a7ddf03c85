/** Pulse's client against its gateway in memory: a cookie, the configuration, packets both ways, and the ends of tunnels. */
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { NetworkError } from '../../../../src/core/errors.ts';
import type { HttpResponse } from '../../../../src/core/http/message.ts';
import { renderResponse } from '../../../../src/core/http/render.ts';
import { RequestParser } from '../../../../src/core/http/request-parser.ts';
import { silentLogger } from '../../../../src/core/log.ts';
import { cookieOnWire } from '../../../../src/core/protocols/base64url-cookie.ts';
import type {
  ClientFacts,
  GatewayConnection,
  GatewaySession,
  TunnelPlan,
  UpgradedStream,
} from '../../../../src/core/protocols/gateway-protocol.ts';
import { ClientTunnel } from '../../../../src/core/protocols/pulse/client-tunnel.ts';
import { pulseGateway } from '../../../../src/core/protocols/pulse/gateway.ts';
import { GatewayTunnel } from '../../../../src/core/protocols/pulse/gateway-tunnel.ts';
import { IftWriter } from '../../../../src/core/protocols/pulse/ift-packet.ts';
import { upgradeHeaders } from '../../../../src/core/protocols/pulse/upgrade.ts';
import { Secret } from '../../../../src/core/secret.ts';
import type { CloseReason, TunnelEvent, TunnelMachine, TunnelSink } from '../../../../src/core/tunnel/machine.ts';
import { packetBytes, packetOf } from '../../../../src/core/tunnel/packet.ts';
import { toHex } from '../../../../src/core/wire/text.ts';
import { RecordedLog } from '../../../support/forms.ts';
import { FACTS } from '../../../support/gateway-door.ts';
import { PlayedVisitor } from '../../../support/gateway-visitor.ts';
import { PAIR_TERMS } from '../../../support/ppp-tunnel-pair.ts';

const PATH = { kind: 'stream' } as const;
const ENDS = { local: FACTS.remote, remote: FACTS.local, engine: false };

/** A machine, what it writes and what comes of it. */
class End {
  readonly machine: TunnelMachine;
  readonly events: TunnelEvent[] = [];
  readonly packets: string[] = [];
  readonly #write: (bytes: Uint8Array) => void;
  #written: Uint8Array[] = [];

  constructor(machine: TunnelMachine, write: (bytes: Uint8Array) => void) {
    this.machine = machine;
    this.#write = write;
  }

  turn(input: (machine: TunnelMachine, out: TunnelSink) => void): void {
    let room = new Uint8Array(0);
    const sink = {
      reserve: (length: number) => {
        room = new Uint8Array(length);
        return room;
      },
      commit: (length: number) => {
        this.#written.push(room.slice(0, length));
      },
      packet: (packet: Parameters<typeof packetBytes>[0]) => {
        this.packets.push(toHex(packetBytes(packet)));
      },
    };
    input(this.machine, { on: () => sink, event: (event) => this.events.push(event) });
    const written = this.#written;
    this.#written = [];
    for (const bytes of written) this.#write(bytes);
  }

  get closed(): CloseReason | undefined {
    return this.events.flatMap((event) => (event.type === 'closed' ? [event.reason] : []))[0];
  }
}

/** A client with a cookie at our front; every connection's bytes come in slices of `size`. */
async function pair(cookie: string | undefined, size: number) {
  const visitor = new PlayedVisitor();
  const step = visitor.admit('alice', {});
  const known = step.type === 'admitted' ? step.cookie : assert.fail();
  const inbox: Uint8Array[] = [];
  let wake = () => {};
  let gateway: End | undefined;
  const toGateway = (bytes: Uint8Array) => {
    for (let at = 0; at < bytes.length; at += size) {
      const slice = bytes.slice(at, at + size);
      if (gateway === undefined) inbox.push(slice);
      else gateway.turn((machine, out) => machine.receive(PATH, slice, 0, out));
    }
    wake();
  };
  const client = new End(
    new ClientTunnel({
      ...{ log: silentLogger, userAgent: 'test', hostname: 'box', wantsIpv6: true, cookie: new Secret(cookie ?? cookieOnWire(known)) },
      request: { method: 'GET', target: '/', version: '1.1', headers: upgradeHeaders('vpn.example', 'test'), body: new Uint8Array(0) },
    }),
    toGateway,
  );
  const toClient = (bytes: Uint8Array) => {
    for (let at = 0; at < bytes.length; at += size)
      client.turn((machine, out) => machine.receive(PATH, bytes.slice(at, at + size), 0, out));
  };
  const parser = new RequestParser();
  const ran = Promise.withResolvers<void>();
  const read = async (): Promise<Uint8Array> => {
    for (;;) {
      const bytes = inbox.shift();
      if (bytes !== undefined) return bytes;
      await new Promise<void>((resolve) => {
        wake = resolve;
      });
    }
  };
  const connection: GatewayConnection = {
    facts: FACTS satisfies ClientFacts,
    request: async () => {
      for (let received = parser.next(); ; received = parser.next()) {
        if (received !== undefined) return received.message;
        parser.push(await read());
      }
    },
    allowBody: () => assert.fail(),
    respond: async () => assert.fail('HTTP is answered'),
    upgrade: (response: HttpResponse): UpgradedStream => {
      toClient(renderResponse(response));
      return { read, unread: (bytes) => inbox.unshift(bytes), write: toClient };
    },
    run: (_: GatewaySession, { machine }: TunnelPlan) => {
      gateway = new End(machine, toClient);
      gateway.turn((running, out) => running.opened(PATH, { ...ENDS, local: FACTS.local, remote: FACTS.remote }, 0, out));
      ran.resolve();
    },
  };
  client.turn((machine, out) => machine.handleTimeout(0, out));
  client.turn((machine, out) => machine.opened(PATH, ENDS, 0, out));
  const end = await pulseGateway.serve(connection, visitor);
  return { client, gateway: () => gateway ?? assert.fail('there is no tunnel'), end };
}

/** 20 bytes of IPv4 from there. */
function packetFrom(source: string): Uint8Array {
  const bytes = new Uint8Array(20);
  bytes.set([0x45, 0, 0, 20]);
  bytes.set(source.split('.').map(Number), 12);
  return bytes;
}

describe('a Pulse tunnel in memory', () => {
  for (const size of [1, 7, 16_384]) {
    it(`is configured and carries packets both ways, in slices of ${size}`, async () => {
      const { client, gateway, end } = await pair(undefined, size);
      assert.equal(end, 'tunnel');
      assert.deepEqual(
        client.events.map(({ type }) => type),
        ['open', 'config', 'up'],
      );
      const [own, foreign] = [packetFrom('10.77.0.50'), packetFrom('10.77.0.51')];
      for (const packet of [own, foreign]) client.turn((machine, out) => machine.send(packetOf(packet), 0, out));
      assert.deepEqual(gateway().packets, [toHex(own)], 'what is not from its address is dropped');
      gateway().turn((machine, out) => machine.send(packetOf(foreign), 0, out));
      assert.deepEqual(client.packets, [toHex(foreign)]);
    });
  }

  it('carries 255 routes of IPv4, and says how many it has left out', () => {
    const log = new RecordedLog();
    const include = Array.from(
      { length: 300 },
      (_, i) => ({ address: { family: 4, bytes: Uint8Array.of(10, i >>> 8, i, 0) }, prefix: 24 }) as const,
    );
    const terms = { ...PAIR_TERMS, config: { ...PAIR_TERMS.config, include } };
    const end = new End(new GatewayTunnel({ log, terms, writer: new IftWriter() }), () => undefined);
    end.turn((machine, out) => machine.opened(PATH, ENDS, 0, out));
    assert.ok(log.lines.includes('warn routes left out count=45'), log.lines.join('\n'));
  });

  it('ends when the user leaves, with the session', async () => {
    const { client, gateway } = await pair(undefined, 100);
    client.turn((machine, out) => machine.close({ kind: 'log-off', message: 'Bye.' }, 0, out));
    assert.deepEqual([client.closed?.kind, gateway().closed?.kind], ['log-off', 'log-off']);
  });

  it('ends when the gateway says so, and the client hears why', async () => {
    const { client, gateway } = await pair(undefined, 100);
    gateway().turn((machine, out) => machine.close({ kind: 'expired', message: 'It is late.' }, 0, out));
    assert.deepEqual([client.closed?.kind, client.closed?.message], ['ended-by-peer', 'The gateway ended the session: It is late.']);
  });

  it('is lost with its connection, and keeps the cookie', async () => {
    const { client, gateway } = await pair(undefined, 100);
    for (const side of [client, gateway()]) side.turn((machine, out) => machine.lost(PATH, new NetworkError('Gone.'), 0, out));
    assert.deepEqual([client.closed?.kind, gateway().closed?.kind], ['path-lost', 'path-lost']);
  });
});
