import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { DtlsClient, type DtlsClientOptions } from '../../../src/core/dtls/client.ts';
import { ERR_DTLS_NOT_RESUMED } from '../../../src/core/dtls/client-handshake.ts';
import { MisuseError, PeerMisbehavedError, PeerRefusedError, UnsupportedError } from '../../../src/core/errors.ts';
import { encodeHandshakeMessage } from '../../../src/core/tls-messages/handshake-fragment.ts';
import {
  encodeHelloVerifyRequest,
  encodePskIdentityHint,
  encodeServerHello,
  HANDSHAKE_TYPES,
  type HandshakeType,
  type ServerHello,
} from '../../../src/core/tls-messages/handshake-messages.ts';
import { fromHex, toHex } from '../../../src/core/wire/text.ts';
import { DatagramSink } from '../../support/datagram-sink.ts';
import { SeededCrypto } from '../../support/scripted-crypto.ts';
import { clientOf, kindNamed, MASTER_SECRET, PSK, pairOf, pskOptions, SESSION_ID, serverOf } from './associations.ts';

const PSK_KIND = kindNamed('PSK, AES-256-GCM');
const RESUMED_KIND = kindNamed('resumed, AES-256-GCM');
const LEGACY_KIND = kindNamed('resumed, DTLS 0.9');

/** A record in the clear. */
function record(type: number, sequence: number, payload: Uint8Array, version = 'fefd'): Uint8Array {
  const number = `0000${sequence.toString(16).padStart(12, '0')}`;
  const length = payload.length.toString(16).padStart(4, '0');
  return fromHex(`${type.toString(16).padStart(2, '0')}${version}${number}${length}${toHex(payload)}`);
}

function message(type: HandshakeType, sequence: number, body: Uint8Array): Uint8Array {
  return record(22, sequence, encodeHandshakeMessage({ type: HANDSHAKE_TYPES[type], sequence, body }));
}

const HELLO: ServerHello = { version: 0xfefd, random: new Uint8Array(32).fill(5), sessionId: SESSION_ID, suite: 0x00a9, extensions: [] };

const serverHello = (parts: Partial<ServerHello>) => message('serverHello', 0, encodeServerHello({ ...HELLO, ...parts }));

/** A client that has sent its hello, and the sink it writes to. */
function started(client: DtlsClient): { readonly client: DtlsClient; readonly sink: DatagramSink; readonly hello: Uint8Array } {
  const sink = new DatagramSink();
  client.handleTimeout(0, sink);
  return { client, sink, hello: sink.takeBytes() };
}

/** The error that a started client fails with after these datagrams, and the alert it sends: hex of level and description. */
function failure(client: DtlsClient, ...datagrams: Uint8Array[]): { readonly error: Error; readonly alert: string } {
  const { sink } = started(client);
  for (const datagram of datagrams) client.receive(datagram, 1, sink);
  assert.ok(client.state.name === 'failed', `state is ${client.state.name}`);
  const sent = sink.takeBytes();
  return { error: client.state.error, alert: toHex(sent.subarray(13)) };
}

describe('DtlsClient at the start', () => {
  it('wants to be called at once, and says hello only then', () => {
    const client = clientOf(PSK_KIND);
    assert.deepEqual(client.state, { name: 'idle' });
    assert.equal(client.nextTimeout(), 0);
    const { sink, hello } = started(client);
    assert.deepEqual(client.state, { name: 'handshaking', since: 0 });
    assert.deepEqual(sink.records, []);
    assert.equal(hello[0], 22);
  });

  it('says DTLS 1.0 in the record of a full hello, and the real version in one to resume', () => {
    const versions = (kind: typeof PSK_KIND) => {
      const { hello } = started(clientOf(kind));
      return [toHex(hello.subarray(1, 3)), toHex(hello.subarray(25, 27))];
    };
    assert.deepEqual(versions(PSK_KIND), ['feff', 'fefd']);
    assert.deepEqual(versions(RESUMED_KIND), ['fefd', 'fefd']);
    assert.deepEqual(versions(LEGACY_KIND), ['0100', '0100']);
    assert.deepEqual(versions(kindNamed('PSK, DTLS 1.0')), ['feff', 'feff']);
  });

  it('ignores what arrives before it has said anything', () => {
    const client = clientOf(PSK_KIND);
    const sink = new DatagramSink();
    client.receive(serverHello({}), 0, sink);
    client.receive(record(21, 0, fromHex('0228')), 0, sink);
    client.receive(record(20, 0, fromHex('01')), 0, sink);
    client.receive(started(clientOf(PSK_KIND)).hello, 0, sink);
    assert.deepEqual(client.state, { name: 'idle' });
    assert.equal(client.counters.unexpected, 4);
  });

  it('repeats its hello after 1, 2, 4, … seconds up to a minute, in records with new numbers', () => {
    const { client, sink, hello } = started(clientOf(PSK_KIND));
    const times: number[] = [];
    for (let i = 0; i < 9; i++) {
      const due = client.nextTimeout() ?? assert.fail();
      client.handleTimeout(due - 1, sink);
      assert.deepEqual(sink.records, [], 'not before it is due');
      client.handleTimeout(due, sink);
      times.push(due);
      const [repeated] = sink.take();
      assert.ok(repeated !== undefined);
      assert.equal(repeated[10], i + 1, 'record number');
      assert.equal(toHex(repeated.subarray(11)), toHex(hello.subarray(11)));
    }
    assert.deepEqual(times, [1_000, 3_000, 7_000, 15_000, 31_000, 63_000, 123_000, 183_000, 243_000]);
  });

  it('goes quietly if it is closed before it has said anything, and with close_notify after', () => {
    const client = clientOf(PSK_KIND);
    const sink = new DatagramSink();
    client.close(0, sink);
    assert.deepEqual(sink.records, []);
    assert.deepEqual(client.state, { name: 'closed', by: 'us' });
    assert.equal(client.nextTimeout(), undefined);

    const other = started(clientOf(PSK_KIND));
    other.client.close(1, other.sink);
    other.client.close(2, other.sink);
    assert.deepEqual(
      other.sink.take().map((datagram) => toHex(datagram.subarray(13))),
      ['0100'],
    );
  });
});

describe('DtlsClient and cookies', () => {
  const verify = (sequence: number, cookie = 'c0ffee') =>
    message('helloVerifyRequest', sequence, encodeHelloVerifyRequest({ version: 0xfeff, cookie: fromHex(cookie) }));

  it('says hello again with the cookie, as its second message', () => {
    const { client, sink, hello } = started(clientOf(PSK_KIND));
    client.receive(verify(0), 1, sink);
    const second = sink.takeBytes();
    assert.equal(toHex(second.subarray(17, 19)), '0001', 'message_seq');
    // Behind the session id the first has an empty cookie, the second this one; all else is the same.
    assert.equal(toHex(hello.subarray(92, 93)), '00');
    assert.equal(toHex(second.subarray(92, 96)), '03c0ffee');
    assert.equal(toHex(second.subarray(96)), toHex(hello.subarray(93)));
    assert.equal(toHex(second.subarray(25, 92)), toHex(hello.subarray(25, 92)));
    assert.equal(client.nextTimeout(), 1_001, 'the clock of repetition starts again');
  });

  it('does not let a server ask for ever', () => {
    const { error, alert } = failure(clientOf(PSK_KIND), verify(0), verify(1), verify(2), verify(3));
    assert.match(error.message, /expected ServerHello after 3 cookies, got helloVerifyRequest/);
    assert.ok(alert.endsWith('020a'));
  });
});

describe('DtlsClient that resumes', () => {
  it('takes nothing but resumption, and says so', () => {
    const refused = [
      [serverHello({ suite: 0x009d, sessionId: new Uint8Array(32).fill(1) })],
      [serverHello({ suite: 0x009d, sessionId: new Uint8Array(0) })],
      [serverHello({ suite: 0x009d }), message('certificate', 1, fromHex('000000'))],
      [serverHello({ suite: 0x009d }), message('serverHelloDone', 1, fromHex(''))],
    ];
    for (const datagrams of refused) {
      const { error, alert } = failure(clientOf(RESUMED_KIND), ...datagrams);
      assert.ok(error instanceof PeerMisbehavedError);
      assert.equal(error.code, ERR_DTLS_NOT_RESUMED);
      assert.match(
        error.message,
        /did not resume the session that the gateway announced: it (answered with another session id|sent \w+)\./,
      );
      assert.ok(alert.endsWith('0228'));
    }
  });

  it('wants the one suite that was announced', () => {
    const { error, alert } = failure(clientOf(RESUMED_KIND), serverHello({ suite: 0x009c }));
    assert.match(error.message, /cipher suite 0x009C was not offered/);
    assert.equal(alert, '022f');
  });

  it('offers no extended master secret, and takes none', () => {
    const { client, hello } = started(clientOf(RESUMED_KIND));
    assert.ok(!toHex(hello).endsWith('00170000'));
    assert.equal(client.state.name, 'handshaking');
    const { error, alert } = failure(clientOf(RESUMED_KIND), serverHello({ suite: 0x009d, extensions: [{ type: 23, data: fromHex('') }] }));
    assert.match(error.message, /extension 23 was answered, which is none of ours/);
    assert.equal(alert, '026e');
  });

  it('wants the number of the message in a ChangeCipherSpec of the pre-RFC dialect', () => {
    const { client, sink, hello } = started(clientOf(LEGACY_KIND));
    const serverSink = new DatagramSink();
    serverOf(LEGACY_KIND).receive(hello, 1, serverSink);
    const flight = serverSink.takeBytes();
    const at = flight.length - 77 - 16; // before Finished: a record with 01 and the number
    assert.equal(toHex(flight.subarray(at, at + 16)), '14010000000000000000010003010001');
    for (const body of ['010002', '010000', '01', '000001']) client.receive(record(20, 1, fromHex(body), '0100'), 1, sink);
    client.receive(flight.slice(0, at), 1, sink);
    client.receive(flight.slice(at + 16), 1, sink);
    assert.equal(client.state.name, 'handshaking');
    assert.equal(client.counters.malformed, 2);
    client.receive(flight.slice(at, at + 16), 1, sink);
    assert.equal(client.state.name, 'up');
  });

  it('repeats its last flight when the server repeats its own, but not in the pre-RFC dialect', () => {
    for (const [kind, repeats] of [
      [RESUMED_KIND, true],
      [kindNamed('resumed, DTLS 1.0'), true],
      [LEGACY_KIND, false],
    ] as const) {
      const { client, sink, hello } = started(clientOf(kind));
      const server = serverOf(kind);
      const serverSink = new DatagramSink();
      server.receive(hello, 1, serverSink);
      client.receive(serverSink.takeBytes(), 2, sink);
      assert.equal(client.state.name, 'up');
      assert.equal(client.nextTimeout(), undefined);
      sink.take(); // lost

      server.handleTimeout(server.nextTimeout() ?? assert.fail(), serverSink);
      client.receive(serverSink.takeBytes(), 1_001, sink);
      const answer = sink.takeBytes();
      assert.equal(answer.length > 0, repeats, kind.name);
      server.receive(answer, 1_002, serverSink);
      assert.equal(server.state.name, repeats ? 'up' : 'handshaking');
    }
  });
});

describe('DtlsClient with a pre-shared key', () => {
  it('puts the session id and all its suites into the hello', () => {
    const { hello } = started(new DtlsClient({ crypto: new SeededCrypto(1), version: '1.2', credentials: pskOptions }));
    assert.equal(toHex(hello.subarray(59, 92)), `20${toHex(SESSION_ID)}`);
    assert.equal(toHex(hello.subarray(93, 107)), '000c' + '00a9ccab00a8008d008c00ae');
    assert.equal(toHex(hello.subarray(107)), '0100' + '000f' + 'ff01000100' + '001c00024000' + '00170000');
  });

  it('takes the suites with SHA-1 alone where the version is 1.0', () => {
    const { hello } = started(new DtlsClient({ crypto: new SeededCrypto(1), version: '1.0', credentials: pskOptions }));
    assert.equal(toHex(hello.subarray(93, 99)), '0004' + '008d008c');
  });

  it('reads over a hint at the identity', () => {
    const { client, sink } = started(clientOf(PSK_KIND));
    client.receive(serverHello({}), 1, sink);
    client.receive(message('serverKeyExchange', 1, encodePskIdentityHint(fromHex('aabb'))), 1, sink);
    assert.deepEqual(sink.records, []);
    client.receive(message('serverHelloDone', 2, fromHex('')), 1, sink);
    assert.equal(sink.take().length, 1, 'ClientKeyExchange, ChangeCipherSpec and Finished in one datagram');
  });

  it('refuses what it did not offer', () => {
    const wrong: readonly (readonly [Partial<ServerHello>, new (...args: never[]) => Error, RegExp, string])[] = [
      [{ version: 0xfeff }, UnsupportedError, /chose version 0xfeff; only DTLS 1\.2 was offered/, '0246'],
      [{ suite: 0x00a8 }, PeerMisbehavedError, /cipher suite 0x00A8 was not offered/, '022f'],
      [{ extensions: [{ type: 0x23, data: fromHex('') }] }, PeerMisbehavedError, /extension 35 was answered/, '026e'],
      [{ extensions: [{ type: 0xff01, data: fromHex('01ff') }] }, PeerMisbehavedError, /renegotiation_info/, '0232'],
      [{ extensions: [{ type: 0x1c, data: fromHex('0001') }] }, PeerMisbehavedError, /record_size_limit/, '0232'],
    ];
    for (const [parts, type, text, expected] of wrong) {
      const { error, alert } = failure(clientOf(PSK_KIND), serverHello(parts));
      assert.ok(error instanceof type, error.name);
      assert.match(error.message, text);
      assert.equal(alert, expected);
    }
  });

  it('refuses messages out of turn', () => {
    const cases = [
      [message('serverHelloDone', 0, fromHex(''))],
      [message('certificate', 0, fromHex('000000'))],
      [serverHello({}), message('certificateRequest', 1, fromHex('00'))],
      [serverHello({}), message('serverKeyExchange', 1, fromHex('0000')), message('serverKeyExchange', 2, fromHex('0000'))],
      [serverHello({}), message('serverHelloDone', 1, fromHex('')), message('newSessionTicket', 2, fromHex('000000000000'))],
    ];
    for (const datagrams of cases)
      assert.match(failure(clientOf(PSK_KIND), ...datagrams).error.message, /DTLS handshake: expected \w+, got \w+\./);
  });

  it('gives up when a message is malformed', () => {
    const { error, alert } = failure(clientOf(PSK_KIND), message('serverHello', 0, fromHex('fefd00')));
    assert.match(error.message, /server random: wanted 32 bytes, had 1/);
    assert.equal(alert, '0232');
  });

  it('does not take a Finished in the clear for one', () => {
    const { client, sink } = started(clientOf(PSK_KIND));
    client.receive(message('finished', 0, new Uint8Array(12)), 1, sink);
    assert.equal(client.state.name, 'handshaking');
    assert.equal(client.counters.unexpected, 1);
  });
});

describe('DtlsClient and alerts in the clear', () => {
  const alert = (bytes: string) => record(21, 0, fromHex(bytes));

  it('believes a refusal while it shakes hands, and names it', () => {
    const { error, alert: answer } = failure(clientOf(PSK_KIND), alert('0273'));
    assert.ok(error instanceof PeerRefusedError);
    assert.equal(error.message, 'The DTLS handshake was refused by the peer: unknown_psk_identity.');
    assert.equal(answer, '', 'an alert is not answered');
    assert.match(failure(clientOf(PSK_KIND), alert('0100')).error.message, /close_notify/);
  });

  it('reads over warnings, and over what is no alert', () => {
    const { client, sink } = started(clientOf(PSK_KIND));
    for (const bytes of ['0170', '02', '0900', '022800']) client.receive(alert(bytes), 1, sink);
    assert.equal(client.state.name, 'handshaking');
    assert.equal(client.counters.malformed, 3);
  });

  it('does not look at them once it has keys', () => {
    const pair = pairOf(PSK_KIND);
    pair.settle(1_000);
    assert.equal(pair.left.state.name, 'up');
    pair.left.receive(alert('0228'), pair.now, pair.sinks.left);
    pair.left.receive(alert('0100'), pair.now, pair.sinks.left);
    pair.left.receive(message('serverHello', 0, encodeServerHello(HELLO)), pair.now, pair.sinks.left);
    assert.equal(pair.left.state.name, 'up');
    assert.equal(pair.left.counters.wrongEpoch, 3);
  });
});

describe('DtlsClient options', () => {
  const options = (more: Partial<DtlsClientOptions>): DtlsClientOptions => ({
    crypto: new SeededCrypto(1),
    version: '1.2',
    credentials: pskOptions,
    ...more,
  });
  const resumption = { kind: 'resumption', masterSecret: MASTER_SECRET, sessionId: SESSION_ID, suite: 0x009d } as const;

  it('are refused if they cannot be', () => {
    const wrong: Partial<DtlsClientOptions>[] = [
      { version: '0.9' },
      { version: '1.0', credentials: resumption },
      { version: '1.0', credentials: { ...pskOptions, suites: [0x00ae] } },
      { credentials: { ...pskOptions, key: new Uint8Array(0) } },
      { credentials: { ...pskOptions, sessionId: new Uint8Array(33) } },
      { credentials: { ...pskOptions, identity: new Uint8Array(1025) } },
      { credentials: { ...pskOptions, suites: [] } },
      { credentials: { ...pskOptions, suites: [0x009d] } },
      { credentials: { ...pskOptions, suites: [0xc0a5] } },
      { credentials: { ...resumption, masterSecret: new Uint8Array(47) } },
      { credentials: { ...resumption, sessionId: new Uint8Array(0) } },
      { credentials: { ...resumption, suite: 0x000a } },
      { maxHandshakeDatagram: 199 },
    ];
    for (const more of wrong) assert.throws(() => new DtlsClient(options(more)), MisuseError, JSON.stringify(more));
  });

  it('leave the secrets that they name alone: a Buffer is copied, and the copy wiped', () => {
    const [key, masterSecret] = [Buffer.from(PSK), Buffer.from(MASTER_SECRET)];
    const sink = new DatagramSink();
    for (const credentials of [
      { ...pskOptions, key },
      { ...resumption, masterSecret },
    ]) {
      const client = new DtlsClient(options({ credentials }));
      client.handleTimeout(0, sink);
      client.close(0, sink);
    }
    assert.deepEqual([key, masterSecret], [Buffer.from(PSK), Buffer.from(MASTER_SECRET)]);
  });

  it('limit the datagrams of the handshake: messages are cut to fit', () => {
    const identity = new Uint8Array(600).fill(0x70);
    const client = new DtlsClient(options({ credentials: { ...pskOptions, identity }, maxHandshakeDatagram: 200 }));
    const { sink } = started(client);
    client.receive(serverHello({}), 1, sink);
    client.receive(message('serverHelloDone', 1, fromHex('')), 1, sink);
    const flight = sink.take();
    assert.ok(flight.length >= 4);
    assert.ok(flight.every((datagram) => datagram.length <= 200));
    assert.ok(
      flight.slice(0, 3).every((datagram) => datagram.length === 200),
      'as full as can be',
    );
  });
});
