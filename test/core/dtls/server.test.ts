import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import type { DtlsClient } from '../../../src/core/dtls/client.ts';
import { readFirstHello } from '../../../src/core/dtls/first-hello.ts';
import { DtlsServer } from '../../../src/core/dtls/server.ts';
import { MisuseError, UnsupportedError } from '../../../src/core/errors.ts';
import { encodeHandshakeMessage } from '../../../src/core/tls-messages/handshake-fragment.ts';
import { type ClientHello, encodeClientHello, HANDSHAKE_TYPES } from '../../../src/core/tls-messages/handshake-messages.ts';
import { ByteWriter } from '../../../src/core/wire/byte-writer.ts';
import { fromHex, toHex, utf8 } from '../../../src/core/wire/text.ts';
import { DatagramSink } from '../../support/datagram-sink.ts';
import { LayerPair } from '../../support/layer-pair.ts';
import { LossyLink } from '../../support/lossy-link.ts';
import { SeededCrypto } from '../../support/scripted-crypto.ts';
import { bothUp, clientOf, kindNamed, MASTER_SECRET, PSK, pskOptions, pskServerOptions, SESSION_ID, serverOf } from './associations.ts';
import { PSK_CAPTURE } from './captures.ts';

const PSK_KIND = kindNamed('PSK, AES-256-GCM');
const RESUMED_KIND = kindNamed('resumed, AES-256-GCM');

const HELLO: ClientHello = {
  version: 0xfefd,
  random: new Uint8Array(32).fill(6),
  sessionId: SESSION_ID,
  cookie: new Uint8Array(0),
  suites: [0x00a8, 0x00a9],
  extensions: [],
};

/** A datagram with a hello. */
function helloOf(parts: Partial<ClientHello>, sequence = 0): Uint8Array {
  const body = encodeHandshakeMessage({ type: HANDSHAKE_TYPES.clientHello, sequence, body: encodeClientHello({ ...HELLO, ...parts }) });
  return new ByteWriter()
    .u8(22)
    .u16(0xfeff)
    .u16(0)
    .u48(sequence)
    .prefixed(2, (record) => record.bytes(body))
    .finish();
}

const firstFlightOf = (client: DtlsClient) => {
  const sink = new DatagramSink();
  client.handleTimeout(0, sink);
  return sink.takeBytes();
};

/** The suite and extensions in the datagram of a server's first flight. */
function chosen(datagram: Uint8Array): { readonly suite: string; readonly extensions: string } {
  const sessionIdLength = datagram[59] ?? 0;
  const at = 60 + sessionIdLength;
  const messageLength = ((datagram[15] ?? 0) << 8) | (datagram[16] ?? 0) | ((datagram[14] ?? 0) << 16);
  return { suite: toHex(datagram.subarray(at, at + 2)), extensions: toHex(datagram.subarray(at + 3, 25 + messageLength)) };
}

describe('DtlsServer before it knows whose a hello is', () => {
  it('has nothing to do', () => {
    const server = serverOf(PSK_KIND);
    assert.deepEqual(server.state, { name: 'idle' });
    assert.equal(server.nextTimeout(), undefined);
    const sink = new DatagramSink();
    server.handleTimeout(5_000, sink);
    server.close(5_000, sink);
    assert.deepEqual(sink.records, []);
  });

  it('does not answer strangers, broken hellos, hellos without randomness, and what is no hello', () => {
    const sink = new DatagramSink();
    const server = serverOf(PSK_KIND, 2, { credentials: { ...pskServerOptions, findKey: () => undefined } });
    server.receive(helloOf({}), 0, sink);
    assert.equal(server.counters.unknownHellos, 1);

    const resuming = serverOf(RESUMED_KIND);
    resuming.receive(helloOf({ sessionId: new Uint8Array(32) }), 0, sink);
    resuming.receive(helloOf({ sessionId: SESSION_ID.subarray(1) }), 0, sink);
    assert.equal(resuming.counters.unknownHellos, 2);

    const open = serverOf(PSK_KIND);
    open.receive(helloOf({ random: new Uint8Array(32) }), 0, sink);
    assert.equal(open.counters.unknownHellos, 1);
    open.receive(helloOf({ extensions: [{ type: 0xff01, data: fromHex('0155') }] }), 0, sink);
    open.receive(helloOf({}).subarray(0, 60), 0, sink);
    assert.equal(open.counters.malformed, 2);
    open.receive(fromHex('15fefd000000000000000000020228'), 0, sink);
    open.receive(fromHex('14fefd0000000000000000000101'), 0, sink);
    open.receive(fromHex('17fefd00000000000000000001ff'), 0, sink);
    open.receive(helloOf({}, 8), 0, sink);
    assert.equal(open.counters.unexpected, 4, 'no client needs eight messages to say hello');

    assert.deepEqual(sink.records, []);
    for (const each of [server, resuming, open]) assert.deepEqual(each.state, { name: 'idle' });
    open.receive(helloOf({}), 0, sink);
    assert.equal(open.state.name, 'handshaking', 'none of that was in the way');
  });

  it('asks for the key by the id in the extension, or else by the session id', () => {
    const ids: string[] = [];
    const server = serverOf(PSK_KIND, 2, { credentials: { ...pskServerOptions, findKey: (id) => void ids.push(toHex(id)) } });
    const sink = new DatagramSink();
    server.receive(helloOf({}), 0, sink);
    server.receive(helloOf({ extensions: [{ type: 48018, data: fromHex('03010203') }] }), 0, sink);
    assert.deepEqual(ids, [toHex(SESSION_ID), '010203']);
  });
});

describe('DtlsServer that was said hello', () => {
  const flight = (
    hello: Partial<ClientHello>,
    server = new DtlsServer({ crypto: new SeededCrypto(1), version: '1.2', credentials: pskServerOptions }),
  ) => {
    const sink = new DatagramSink();
    server.receive(helloOf(hello), 0, sink);
    return { server, sent: sink.takeBytes() };
  };

  it('takes the suite that it likes best of those offered', () => {
    assert.equal(chosen(flight({}).sent).suite, '00a9');
    assert.equal(chosen(flight({ suites: [0x008c, 0xccab, 0x00a8] }).sent).suite, 'ccab');
  });

  it('answers extensions that were offered and no others', () => {
    assert.equal(chosen(flight({}).sent).extensions, '');
    assert.equal(
      chosen(flight({ suites: [0x00ff, 0x00a9] }).sent).extensions,
      '0005ff01000100',
      'the signalling suite counts as the extension',
    );
    const all = [
      { type: 0x17, data: fromHex('') },
      { type: 0x1234, data: fromHex('00') },
      { type: 0x1c, data: fromHex('0200') },
      { type: 0xff01, data: fromHex('00') },
    ];
    assert.equal(chosen(flight({ extensions: all }).sent).extensions, '000f' + 'ff01000100' + '001c00024000' + '00170000');
  });

  it('gives each full session an id of its own', () => {
    const { sent } = flight({});
    assert.equal(sent[59], 32);
    assert.notDeepEqual(sent.slice(60, 92), SESSION_ID);
  });

  it('says why it refuses one whose id it knows', () => {
    const { server, sent } = flight({ suites: [0xc0a5, 0x0035] });
    assert.ok(server.state.name === 'failed' && server.state.error instanceof UnsupportedError);
    assert.match(server.state.error.message, /no cipher suite that we take/);
    assert.equal(toHex(sent.subarray(13)), '0228');

    const old = flight({ version: 0xfeff });
    assert.ok(old.server.state.name === 'failed');
    assert.match(old.server.state.error.message, /offers version 0xfeff at most; this association takes only DTLS 1\.2/);
    assert.equal(toHex(old.sent.subarray(13)), '0246');
  });

  it('speaks its own version to a client that can do more', () => {
    const server = new DtlsServer({ crypto: new SeededCrypto(1), version: '1.0', credentials: pskServerOptions });
    const { sent } = flight({ suites: [0x00a9, 0x008c] }, server);
    assert.equal(toHex(sent.subarray(25, 27)), 'feff');
    assert.equal(chosen(sent).suite, '008c');
  });

  it('repeats its flight when its timer or the client asks for it, but not at every copy of the hello', () => {
    const server = serverOf(PSK_KIND, 2, { retransmitTimeout: 400 });
    const sink = new DatagramSink();
    const hello = firstFlightOf(clientOf(PSK_KIND));
    server.receive(hello.slice(), 0, sink);
    const sent = () => sink.take().length;
    assert.equal(sent(), 1);
    for (let copy = 0; copy < 50; copy++) server.receive(hello.slice(), 100, sink);
    assert.equal(sent(), 0);
    server.receive(hello.slice(), 260, sink);
    assert.equal(sent(), 1);
    assert.equal(server.nextTimeout(), 400);
    server.handleTimeout(400, sink);
    assert.equal(sent(), 1);
    assert.equal(server.nextTimeout(), 1_200);
  });

  it('repeats its last flight for a client that lost it, and stops when the client sends data', () => {
    const [client, server] = [clientOf(PSK_KIND), serverOf(PSK_KIND)];
    const [toServer, toClient] = [new DatagramSink(), new DatagramSink()];
    client.handleTimeout(0, toServer);
    server.receive(toServer.takeBytes(), 0, toClient);
    client.receive(toClient.takeBytes(), 0, toServer);
    server.receive(toServer.takeBytes(), 0, toClient);
    assert.ok(server.state.name === 'up' && !server.state.confirmed);
    toClient.take(); // lost
    client.handleTimeout(1_000, toServer);
    server.receive(toServer.takeBytes(), 1_000, toClient);
    client.receive(toClient.takeBytes(), 1_000, toServer);
    assert.ok(client.state.name === 'up' && client.state.confirmed);
    client.send({ buffer: utf8('data'), start: 0, end: 4 }, 1_000, toServer);
    server.receive(toServer.takeBytes(), 1_000, toClient);
    assert.ok(server.state.confirmed);
  });

  it('refuses messages out of turn', () => {
    const server = serverOf(PSK_KIND);
    const sink = new DatagramSink();
    server.receive(helloOf({}), 0, sink);
    server.receive(helloOf({}, 1), 0, sink);
    assert.ok(server.state.name === 'failed');
    assert.match(server.state.error.message, /expected ClientKeyExchange, got clientHello/i);
  });

  it('does without extended master secret if either side does', () => {
    for (const [offers, takes] of [
      [false, true],
      [true, false],
    ]) {
      const client = clientOf(PSK_KIND, 1, { credentials: { ...pskOptions, extendedMasterSecret: offers === true } });
      const server = serverOf(PSK_KIND, 2, { credentials: { ...pskServerOptions, extendedMasterSecret: takes === true } });
      const pair = new LayerPair(client, server, new LossyLink({}, 1));
      assert.ok(pair.run(bothUp(pair), 1_000));
      assert.ok(client.state.name === 'up' && !client.state.session.hasExtendedMasterSecret);
    }
  });

  it('does not overwrite the key that it was given', () => {
    const key = Buffer.from(PSK);
    const server = serverOf(PSK_KIND, 2, { credentials: { ...pskServerOptions, findKey: () => key } });
    const pair = new LayerPair(clientOf(PSK_KIND), server, new LossyLink({}, 1));
    assert.ok(pair.run(bothUp(pair), 1_000));
    assert.deepEqual(key, Buffer.from(PSK));
  });

  it('is made with options that can be', () => {
    const resumption = { kind: 'resumption', masterSecret: MASTER_SECRET, sessionId: SESSION_ID, suite: 0x00a9 } as const;
    assert.throws(() => serverOf(PSK_KIND, 1, { version: '0.9' }), MisuseError);
    assert.throws(() => serverOf(RESUMED_KIND, 1, { credentials: { ...resumption, suite: 0x1301 } }), MisuseError);
    assert.throws(() => serverOf(PSK_KIND, 1, { credentials: { ...pskServerOptions, suites: [] } }), MisuseError);
    assert.throws(() => serverOf(PSK_KIND, 1, { cookie: { secret: new Uint8Array(15), peer: utf8('x') } }), MisuseError);
  });
});

describe('DtlsServer with cookies', () => {
  const cookie = { secret: new Uint8Array(16).fill(1), peer: utf8('192.0.2.1:4444') };

  it('keeps nothing until the cookie has come back: any server with the secret goes on', () => {
    const client = clientOf(PSK_KIND);
    const [toServer, toClient] = [new DatagramSink(), new DatagramSink()];
    client.handleTimeout(0, toServer);
    const asker = serverOf(PSK_KIND, 2, { cookie });
    asker.receive(toServer.takeBytes(), 0, toClient);
    assert.deepEqual(asker.state, { name: 'idle' });
    assert.equal(asker.nextTimeout(), undefined);

    const request = toClient.takeBytes();
    assert.equal(toHex(request.subarray(0, 3)), '16feff');
    assert.equal(toHex(request.subarray(13, 14)), '03');
    client.receive(request, 0, toServer);
    const another = serverOf(PSK_KIND, 3, { cookie });
    another.receive(toServer.takeBytes(), 0, toClient);
    assert.equal(another.state.name, 'handshaking');
    client.receive(toClient.takeBytes(), 0, toServer);
    another.receive(toServer.takeBytes(), 0, toClient);
    client.receive(toClient.takeBytes(), 0, toServer);
    assert.equal(client.state.name, 'up');
  });

  it('asks again for a cookie of another address, of another hello, or of nobody', () => {
    const sink = new DatagramSink();
    const cookieFor = (peer: string, hello: Partial<ClientHello>) => {
      serverOf(PSK_KIND, 2, { cookie: { ...cookie, peer: utf8(peer) } }).receive(helloOf(hello), 0, sink);
      return sink.takeBytes().slice(28);
    };
    const right = cookieFor('192.0.2.1:4444', {});
    assert.equal(right.length, 32);
    const refused = [cookieFor('192.0.2.1:4445', {}), cookieFor('192.0.2.1:4444', { suites: [0x00a9] }), new Uint8Array(32)];
    for (const wrong of refused) {
      const server = serverOf(PSK_KIND, 2, { cookie });
      server.receive(helloOf({ cookie: wrong }, 1), 0, sink);
      assert.deepEqual(server.state, { name: 'idle' });
      assert.equal(toHex(sink.takeBytes().slice(28)), toHex(right));
    }
    const server = serverOf(PSK_KIND, 2, { cookie });
    server.receive(helloOf({ cookie: right }, 1), 0, sink);
    assert.equal(server.state.name, 'handshaking');
  });

  it('answers with the record number of the hello, so that a client can tell answers apart', () => {
    const server = serverOf(PSK_KIND, 2, { cookie });
    const sink = new DatagramSink();
    const hello = helloOf({});
    hello[10] = 7;
    server.receive(hello, 0, sink);
    assert.equal(sink.takeBytes()[10], 7);
  });
});

describe('readFirstHello', () => {
  it('reads the hello of a datagram, as captured', () => {
    const hello = readFirstHello(PSK_CAPTURE.clientHello);
    assert.equal(toHex(hello?.sessionId ?? fromHex('')), '1a843d4b2822082ee0f9287cec83174ca748a65b51a20fd74b2cf52b476703f3');
  });

  it('is nothing for other datagrams, parts of hellos, and hellos without randomness', () => {
    const hello = PSK_CAPTURE.clientHello;
    const with_ = (at: number, value: number) => {
      const changed = hello.slice();
      changed[at] = value;
      return changed;
    };
    assert.equal(readFirstHello(fromHex('')), undefined);
    assert.equal(readFirstHello(with_(0, 23)), undefined, 'data');
    assert.equal(readFirstHello(with_(4, 1)), undefined, 'epoch 1');
    assert.equal(readFirstHello(with_(13, 2)), undefined, 'another message');
    assert.equal(readFirstHello(with_(59, 255)), undefined, 'a session id too long');
    assert.equal(readFirstHello(helloOf({ random: new Uint8Array(32) })), undefined);
    for (let length = 0; length < hello.length; length++) assert.equal(readFirstHello(hello.subarray(0, length)), undefined);
  });
});
