import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { DtlsAssociation } from '../../../../src/core/dtls/association.ts';
import { NetworkError } from '../../../../src/core/errors.ts';
import type { LogFields } from '../../../../src/core/log.ts';
import { Secret } from '../../../../src/core/secret.ts';
import { encodeHandshakeMessage } from '../../../../src/core/tls-messages/handshake-fragment.ts';
import { encodeServerHello, HANDSHAKE_TYPES } from '../../../../src/core/tls-messages/handshake-messages.ts';
import type { TunnelConfig } from '../../../../src/core/tunnel/config.ts';
import { fromHex, toHex, utf8 } from '../../../../src/core/wire/text.ts';
import { seconds, TunnelPair } from './tunnel-pair.ts';
import { MODES, type PairOptions } from './tunnel-pair-options.ts';
import { established, talk, talkOf, timeUntil } from './tunnel-talk.ts';

/** Runs until the tunnel has ended. */
function ended(options: PairOptions): TunnelPair {
  const pair = new TunnelPair(options);
  pair.clock.runUntil(() => pair.client.closed !== undefined, seconds(100));
  assert.equal(pair.client.events.at(-1)?.type, 'closed');
  return pair;
}

/** What was written on the client's streams, frame by frame: a record each. */
function recordingStreams(pair: TunnelPair): string[] {
  const records: string[] = [];
  pair.onStreamRecord = (bytes) => records.push(toHex(bytes));
  return records;
}

const BYE_SERVER_REQUEST = `535446010 00f0500b0${toHex(utf8('Server request'))}`.replace(' ', '');

describe('The answer to CONNECT', () => {
  it('401 ends the session: the cookie is refused', () => {
    const { client } = ended({ answer: () => utf8('HTTP/1.1 401 Cookie is not acceptable\r\n\r\n') });
    assert.equal(client.closed?.kind, 'refused');
    assert.equal(client.closed?.error?.code, 'ERR_COOKIE_REFUSED');
  });

  it('503 may be better the next time, and says why', () => {
    const { client } = ended({ answer: () => utf8('HTTP/1.1 503 Service Unavailable\r\nX-Reason: Server error\r\n\r\n') });
    assert.equal(client.closed?.kind, 'path-lost');
    assert.match(client.closed?.message ?? '', /503 Service Unavailable \(Server error\)/);
  });

  it('begins with DTLS in the turn that it comes in', () => {
    const pair = new TunnelPair();
    pair.clock.runUntil(() => pair.client.events.some(({ type }) => type === 'config'), seconds(1));
    assert.ok(pair.client.events.some((event) => event.type === 'open' && event.plan.to === 'udp'));
  });

  it('may be long in coming, but not for ever', () => {
    const pair = ended({ answer: () => undefined });
    assert.equal(pair.client.closed?.kind, 'path-lost');
    assert.match(pair.client.closed?.message ?? '', /did not answer .* within 60 seconds/);
    assert.ok(pair.clock.now >= seconds(60) && pair.clock.now < seconds(61));
  });

  it('is no HTTP: that is misbehaviour', () => {
    assert.equal(ended({ answer: () => utf8('SSH-2.0-OpenSSH_9.2\r\n') }).client.closed?.kind, 'misbehaved');
  });

  it('is not asked for with a cookie that no header can hold', () => {
    assert.equal(ended({ client: { cookie: new Secret('a\r\nb') } }).client.closed?.kind, 'unusable');
  });

  it('is asked for with a cookie as long as they come', () => {
    const pair = new TunnelPair({ client: { cookie: new Secret('c'.repeat(40_000)) } });
    pair.start();
    assert.equal(pair.request?.headers.find(([name]) => name === 'Cookie')?.[1].length, 'webvpn='.length + 40_000);
  });

  it('is asked for on a second connection where the first ends without one, and is lost with that', () => {
    const pair = new TunnelPair({ answer: () => undefined });
    for (const closed of [undefined, 'path-lost']) {
      pair.request = undefined;
      pair.clock.runUntil(() => pair.request !== undefined, seconds(1));
      pair.breakStream();
      assert.equal(pair.client.closed?.kind, closed);
    }
  });

  it('is lost with the connection once a byte of it has come', () => {
    const pair = new TunnelPair({ answer: () => utf8('HTTP/1.1 2') });
    pair.clock.runUntil(() => pair.request !== undefined, seconds(1));
    pair.clock.advance(seconds(1));
    pair.breakStream();
    assert.equal(pair.client.closed?.kind, 'path-lost');
  });

  it('cannot come where there is no connection', () => {
    const pair = new TunnelPair();
    pair.opensStream = false;
    pair.clock.advance(seconds(1));
    assert.equal(pair.client.closed?.kind, 'path-lost');
  });
});

describe('A reconnect', () => {
  /** The configuration of a first tunnel, and what a second one with it as `previous` comes to. */
  function reconnected(change: (config: TunnelConfig) => TunnelConfig): TunnelPair {
    const first = new TunnelPair();
    first.start();
    const event = first.client.events.find(({ type }) => type === 'config');
    assert.ok(event?.type === 'config');
    const second = new TunnelPair({ client: { previous: change(event.config) } });
    second.clock.runUntil(() => second.client.closed !== undefined || second.client.up !== undefined, seconds(5));
    return second;
  }

  it('goes on with the same address', () => {
    const pair = reconnected((config) => config);
    assert.equal(pair.client.closed, undefined);
    assert.deepEqual(
      pair.request?.headers.filter(([name]) => name === 'X-CSTP-Address'),
      [['X-CSTP-Address', '10.9.0.2']],
    );
  });

  it('goes on with another MTU, but not with another address or another network', () => {
    assert.equal(reconnected((config) => ({ ...config, mtu: 1000 })).client.closed, undefined);
    const address = (last: number, prefix: number) => ({ address: { family: 4, bytes: Uint8Array.of(10, 9, 0, last) }, prefix }) as const;
    for (const ipv4 of [address(3, 24), address(2, 16)]) {
      assert.equal(reconnected((config) => ({ ...config, ipv4 })).client.closed?.kind, 'refused');
    }
  });
});

describe('The end of a tunnel', () => {
  it('by the gateway is answered with BYE, and nothing follows', () => {
    for (const [frame, message] of [
      ['5354460100000500', /^The gateway ended the session\.$/],
      ['53544601000f05000449646c652054696d656f75740a21', /Idle Timeout\.!/],
      ['5354460100000900', /^The gateway ended the session\.$/],
    ] as const) {
      const { pair } = established();
      const records = recordingStreams(pair);
      pair.tellClient(fromHex(frame));
      assert.equal(pair.client.closed?.kind, 'ended-by-peer');
      assert.match(pair.client.closed?.message ?? '', message);
      assert.deepEqual(records, [BYE_SERVER_REQUEST]);
      pair.clock.advance(seconds(1));
      assert.equal(pair.gateway?.closed?.kind, 'log-off', 'the gateway takes it for the end of the session');
    }
  });

  it('by bytes that are no frame is misbehaviour', () => {
    const { pair } = established();
    pair.tellClient(fromHex('5354460100000301'));
    assert.equal(pair.client.closed?.kind, 'misbehaved');
  });

  it('by the user says BYE, by a detached one says nothing', () => {
    for (const kind of ['log-off', 'detach'] as const) {
      const { pair } = established();
      const records = recordingStreams(pair);
      pair.client.turn((machine, sink) => machine.close({ kind, message: 'bye' }, pair.clock.now, sink));
      assert.deepEqual(records, kind === 'log-off' ? ['5354460100120500b041626f727465642062792063616c6c6572'] : []);
      assert.equal(pair.client.closed?.kind, kind);
    }
  });

  it('comes by DPD where nothing is heard on the stream, whatever UDP does', () => {
    const { pair } = established();
    pair.clock.advance(seconds(20));
    pair.isStreamSilent = true;
    assert.ok(timeUntil(pair, () => pair.client.closed !== undefined, seconds(100)) <= seconds(61));
    assert.equal(pair.client.closed?.kind, 'path-lost');
  });

  it('wipes the keys that it was given, at both ends', () => {
    for (const mode of ['psk', 'dtls12'] as const) {
      const { pair } = established({ mode });
      assert.equal(pair.exportedKeys.length, 2);
      assert.ok(pair.exportedKeys.every((key) => key.some((byte) => byte !== 0)));
      const options = pair.gatewayMachineOptions;
      pair.breakStream();
      assert.ok(pair.exportedKeys.every((key) => key.every((byte) => byte === 0)));
      assert.ok(options?.offer.datagram?.masterSecret.every((byte) => byte === 0));
    }
  });

  it('comes once: afterwards the machine neither says nor wants anything', () => {
    const { pair } = established();
    const [path] = pair.client.paths;
    assert.ok(path !== undefined);
    pair.breakStream();
    assert.equal(pair.client.closed?.kind, 'path-lost');
    const events = pair.client.events.length;
    const now = pair.clock.now;
    const error = new NetworkError('gone');
    pair.client.turn((machine, sink) => {
      machine.receive(path, fromHex('5354460100000300'), now, sink);
      machine.lost(path, error, now, sink);
      machine.notice(path, { type: 'unreachable' }, now, sink);
      machine.handleTimeout(now + seconds(1000), sink);
      machine.close({ kind: 'log-off', message: 'again' }, now, sink);
    });
    assert.equal(pair.client.events.length, events);
    assert.equal(pair.client.machine.nextTimeout(), undefined);
  });
});

describe('A resumption that the gateway does not make', () => {
  // Spec "AnyConnect", section 7.4.
  it('may be an attack: datagrams are off for good', () => {
    for (const mode of ['dtls12', 'legacy'] as const) {
      const logged: [string, LogFields | undefined][] = [];
      const pair = new TunnelPair({ mode, log: { log: (_level, event, fields) => logged.push([event, fields]) } });
      pair.udp = 'silent';
      pair.clock.runUntil(() => pair.datagramsOpened === 1, seconds(1));
      const [path] = pair.clientFlows;
      assert.ok(path !== undefined);
      pair.client.receive(path, foreignHello(mode));
      assert.equal(pair.client.up?.kind, 'stream');
      assert.ok(logged.some(([event]) => event === 'datagram disabled'));
      pair.udp = 'open';
      pair.clock.advance(seconds(300));
      assert.equal(pair.datagramsOpened, 1);
      assert.deepEqual(pair.client.machine.status(pair.clock.now).datagram, { state: 'disabled' });
    }
  });

  /** A ServerHello with a session id of its own. */
  function foreignHello(mode: 'dtls12' | 'legacy'): Uint8Array {
    const version = mode === 'legacy' ? 0x0100 : 0xfefd;
    const suite = mode === 'legacy' ? 0x002f : 0x009d;
    const body = encodeServerHello({ version, random: new Uint8Array(32), sessionId: new Uint8Array(32).fill(7), suite, extensions: [] });
    const message = encodeHandshakeMessage({ type: HANDSHAKE_TYPES.serverHello, sequence: 0, body });
    const header = Uint8Array.of(22, version >>> 8, version & 0xff, 0, 0, 0, 0, 0, 0, 0, 0, message.length >>> 8, message.length & 0xff);
    return Buffer.concat([header, message]);
  }
});

describe('A datagram channel that cannot be', () => {
  it('is not tried again: no suite that both know, no key', () => {
    const pair = new TunnelPair({ client: { datagram: { ...MODES.psk, pskSuites: [] } } });
    pair.clock.advance(seconds(300));
    assert.equal(pair.client.up?.kind, 'stream');
    assert.equal(pair.datagramsOpened, 1);
    assert.equal(pair.client.machine.status(pair.clock.now).datagram.state, 'disabled');
  });

  it('is tried again where the gateway refuses the handshake', () => {
    const pair = new TunnelPair({ pskSuite: 0x00a8, datagram: { pskSuites: [0x00a9] } });
    pair.clock.advance(seconds(100));
    assert.equal(pair.client.up?.kind, 'stream');
    assert.equal(pair.datagramsOpened, 2);
    assert.equal(pair.client.machine.status(pair.clock.now).datagram.state, 'down');
  });
});

describe('Compression', () => {
  it('works on both channels, with every encoding that is offered and taken', () => {
    for (const [offered, stream, datagram] of [
      [['oc-lz4', 'lzs'], 'oc-lz4', 'oc-lz4'],
      [['lzs'], 'lzs', 'lzs'],
      [['deflate'], 'deflate', undefined],
    ] as const) {
      const options: PairOptions = {
        client: { encodings: offered },
        terms: { encodings: ['oc-lz4', 'lzs', 'deflate'] },
        gateway: { minLengthToCompress: 40 },
      };
      for (const udp of ['open', 'silent'] as const) {
        const pair = new TunnelPair(options);
        pair.udp = udp;
        pair.start();
        pair.clock.advance(100);
        const said = talkOf(pair);
        for (let i = 0; i < 50; i++) {
          said.up.send(24 + 25 * i);
          said.down.send(1300 - 25 * i);
        }
        talk(said, seconds(1));
        assert.deepEqual([said.up.missing, said.down.missing], [[], []]);
        const status = pair.client.machine.status(pair.clock.now);
        assert.equal(status.stream.compression, stream);
        if (udp === 'open') assert.equal(status.datagram.compression, datagram);
        assert.deepEqual(pair.gateway?.machine.status(pair.clock.now).stream.compression, stream);
      }
    }
  });

  it('makes packets smaller on the wire', () => {
    const bytesOf = (encodings: readonly 'oc-lz4'[]) => {
      const pair = new TunnelPair({ client: { encodings, datagram: undefined }, terms: { encodings } });
      pair.start();
      const { up } = talkOf(pair);
      let bytes = 0;
      pair.onStreamRecord = (record) => {
        bytes += record.length;
      };
      for (let i = 0; i < 20; i++) up.send(1300);
      pair.clock.advance(100);
      assert.deepEqual(up.missing, []);
      return bytes;
    };
    assert.ok(bytesOf(['oc-lz4']) < 0.7 * bytesOf([]));
  });
});

describe('The status of a tunnel', () => {
  it('says what each channel is doing', () => {
    const pair = new TunnelPair({ datagram: { times: { rekey: seconds(500) } }, terms: { times: { rekey: seconds(1000) } } });
    const status = () => pair.client.machine.status(pair.clock.now);
    assert.deepEqual(status(), { stream: { state: 'connecting' }, datagram: { state: 'down' } });
    pair.clock.runUntil(() => pair.request !== undefined, seconds(1));
    assert.deepEqual(status(), { stream: { state: 'connecting' }, datagram: { state: 'down' } });
    pair.udp = 'silent';
    pair.clock.runUntil(() => pair.datagramsOpened === 1, seconds(1));
    const stream = { state: 'connected', cipherSuite: 'TLSv1.3-TLS_AES_256_GCM_SHA384', rekeyAt: status().stream.rekeyAt };
    assert.ok(Math.abs((stream.rekeyAt ?? 0) - seconds(1000)) < 100);
    assert.deepEqual(status(), { stream, datagram: { state: 'connecting' } });
    pair.clock.advance(seconds(13));
    assert.deepEqual(status(), { stream, datagram: { state: 'down' } });
    pair.udp = 'open';
    pair.clock.advance(seconds(60));
    const { datagram } = status();
    assert.deepEqual(datagram, { state: 'established', cipherSuite: 'DTLSv1.2-PSK_WITH_AES_256_GCM_SHA384', rekeyAt: datagram.rekeyAt });
    pair.breakStream();
    assert.deepEqual(status(), { stream: { state: 'down' }, datagram: { state: 'down' } });
  });
});

describe('The law of sinks', () => {
  it('holds inside the machine too: no layer is called while it delivers', (context) => {
    let depth = 0;
    for (const name of ['receive', 'handleTimeout'] as const) {
      const original = DtlsAssociation.prototype[name] as (...args: unknown[]) => void;
      context.mock.method(DtlsAssociation.prototype, name, function (this: DtlsAssociation, ...args: unknown[]) {
        depth++; // DTLS calls itself for records that came before their keys
        try {
          original.apply(this, args);
        } finally {
          depth--;
        }
      });
    }
    for (const name of ['send', 'close', 'handOver'] as const) {
      const original = DtlsAssociation.prototype[name] as (...args: unknown[]) => unknown;
      context.mock.method(DtlsAssociation.prototype, name, function (this: DtlsAssociation, ...args: unknown[]) {
        assert.equal(depth, 0, `${name} while DTLS delivers`);
        return original.apply(this, args);
      });
    }
    const said = established({
      datagram: { times: { dpd: seconds(4), keepalive: seconds(3), rekey: seconds(20) } },
      link: { loss: 0.1, jitter: 20 },
    });
    talk(said, seconds(60));
    assert.ok(said.up.arrived > 0 && said.down.arrived > 0);
    assert.equal(depth, 0);
  });
});
