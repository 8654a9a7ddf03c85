import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import type { Aead, HashName, Mac } from '../../../src/core/crypto/provider.ts';
import { DtlsAssociation } from '../../../src/core/dtls/association.ts';
import type { DtlsClient } from '../../../src/core/dtls/client.ts';
import { DIALECTS, prfOf } from '../../../src/core/dtls/dialect.ts';
import type { HandshakeRole } from '../../../src/core/dtls/handshake-role.ts';
import { CONTENT_TYPES } from '../../../src/core/dtls/record.ts';
import type { DtlsServer } from '../../../src/core/dtls/server.ts';
import type { DtlsSession } from '../../../src/core/dtls/state.ts';
import { protectionFor, type SuiteRecordProtection } from '../../../src/core/dtls/suite-protection.ts';
import { PeerRefusedError } from '../../../src/core/errors.ts';
import { cipherSuite } from '../../../src/core/tls-messages/cipher-suites.ts';
import { encodeHandshakeMessage } from '../../../src/core/tls-messages/handshake-fragment.ts';
import { trafficKeys } from '../../../src/core/tls-messages/key-schedule.ts';
import { MAX_RESERVE } from '../../../src/core/tunnel/layer.ts';
import { packetOf } from '../../../src/core/tunnel/packet.ts';
import type { AeadCipher } from '../../../src/core/tunnel/traffic.ts';
import { fromHex, toHex, utf8 } from '../../../src/core/wire/text.ts';
import { NodeCrypto } from '../../../src/node/crypto/node-crypto.ts';
import { DatagramSink } from '../../support/datagram-sink.ts';
import { LayerPair } from '../../support/layer-pair.ts';
import { LossyLink } from '../../support/lossy-link.ts';
import { bothUp, clientOf, type Kind, kindNamed, MASTER_SECRET, serverOf } from './associations.ts';

const GCM = kindNamed('resumed, AES-256-GCM');
const CBC = kindNamed('resumed, DTLS 0.9');

/** A client and a server that are up by resumption, their datagrams in our hands. */
class Ends {
  readonly client: DtlsClient;
  readonly server: DtlsServer;
  readonly toServer = new DatagramSink();
  readonly toClient = new DatagramSink();
  /** Seals as the client does: for records that a client of ours never sends. */
  readonly forger: SuiteRecordProtection;

  constructor(kind: Kind) {
    this.client = clientOf(kind);
    this.server = serverOf(kind);
    this.client.handleTimeout(0, this.toServer);
    const clientHello = this.toServer.takeBytes();
    this.server.receive(clientHello, 0, this.toClient);
    const serverFlight = this.toClient.takeBytes();
    const randoms = { client: clientHello.slice(27, 59), server: serverFlight.slice(27, 59) };
    this.client.receive(serverFlight, 0, this.toServer);
    this.server.receive(this.toServer.takeBytes(), 0, this.toClient);
    assert.deepEqual([this.client.state.name, this.server.state.name], ['up', 'up']);
    const suite = cipherSuite(kind.suite) ?? assert.fail();
    const dialect = DIALECTS[kind.version];
    const keys = trafficKeys(new NodeCrypto(), prfOf(dialect, suite), MASTER_SECRET, randoms, suite.protection);
    this.forger = protectionFor(new NodeCrypto(), dialect, suite, keys.client);
  }

  /** The datagram of a packet from the client. */
  clientSends(payload: Uint8Array): Uint8Array {
    this.client.send(packetOf(payload), 0, this.toServer);
    return this.toServer.takeBytes();
  }

  /** A record of the client's that it never sent. */
  forged(type: number, sequence: number, plaintext: Uint8Array): Uint8Array {
    const room = new Uint8Array(plaintext.length + this.forger.maxOverhead);
    return room.slice(0, this.forger.seal(type, sequence, plaintext, room));
  }

  /** Hands the server a copy; returns the packets that came up, as text. */
  serverReceives(datagram: Uint8Array): string[] {
    this.server.receive(new Uint8Array(datagram), 0, this.toClient);
    return this.toClient.takeTexts();
  }
}

for (const kind of [GCM, CBC]) {
  describe(`DTLS association that is up (${kind.name})`, () => {
    it('takes each record once, in any order within the window', () => {
      const ends = new Ends(kind);
      const datagrams = Array.from({ length: 70 }, (_, i) => ends.clientSends(utf8(`${i}`)));
      const order = [69, 68, 10, 40, 5, 69, 40, 4, 0, 10];
      assert.deepEqual(
        order.flatMap((i) => ends.serverReceives(datagrams[i] ?? assert.fail())),
        ['69', '68', '10', '40', '5'],
      );
      assert.equal(ends.server.counters.replayed, 5);
    });

    it('drops and counts what is forged, and is not moved by its number', () => {
      const ends = new Ends(kind);
      const first = ends.clientSends(utf8('first'));
      const forged = first.slice();
      forged[5] = 0x7f; // a number far ahead
      assert.deepEqual(ends.serverReceives(forged), []);
      const cut = first.slice(0, -1);
      cut[12] = (cut[12] ?? 0) - 1;
      assert.deepEqual(ends.serverReceives(cut), []);
      assert.equal(ends.server.counters.forged, 2);
      assert.deepEqual(ends.serverReceives(first), ['first']);
    });

    it('takes several records in a datagram, up to the first that is broken', () => {
      const ends = new Ends(kind);
      const [one, two, three] = ['one', 'two', 'three'].map((text) => ends.clientSends(utf8(text)));
      assert.ok(one !== undefined && two !== undefined && three !== undefined);
      const broken = three.slice(0, -1);
      assert.deepEqual(ends.serverReceives(Buffer.concat([one, two, broken])), ['one', 'two']);
      assert.equal(ends.server.counters.malformed, 1);
      assert.deepEqual(ends.serverReceives(three), ['three']);
    });

    it('opens in place: the packet that comes up is in the memory of the datagram', () => {
      const ends = new Ends(kind);
      const datagram = ends.clientSends(utf8('here'));
      let buffer: Uint8Array | undefined;
      const sink = new DatagramSink();
      sink.packet = (packet) => {
        buffer = packet.buffer;
      };
      ends.server.receive(datagram, 0, sink);
      assert.equal(buffer, datagram);
    });

    it('passes packets of no bytes over, and takes the largest that fits a room', () => {
      const ends = new Ends(kind);
      assert.deepEqual(ends.serverReceives(ends.clientSends(new Uint8Array(0))), []);
      const overhead = ends.forger.maxOverhead;
      const largest = new Uint8Array(MAX_RESERVE - overhead).fill(0x61);
      assert.equal(ends.serverReceives(ends.clientSends(largest))[0]?.length, largest.length);
      assert.deepEqual(ends.clientSends(new Uint8Array(largest.length + 1)), new Uint8Array(0));
      assert.equal(ends.client.counters.tooLarge, 1);
      assert.deepEqual(ends.serverReceives(ends.forged(CONTENT_TYPES.applicationData, 50, new Uint8Array(2 ** 14 + 1))), []);
      assert.equal(ends.server.counters.malformed, 1, 'larger than a record may be');
    });

    it('believes authentic alerts only: a fatal one fails it, by name', () => {
      const ends = new Ends(kind);
      ends.serverReceives(fromHex(`15${kind.version === '0.9' ? '0100' : 'fefd'}000000000000000900020228`));
      assert.equal(ends.server.counters.wrongEpoch, 1);
      ends.serverReceives(ends.forged(CONTENT_TYPES.alert, 9, fromHex('0164')));
      assert.equal(ends.server.state.name, 'up', 'a warning');
      ends.serverReceives(ends.forged(CONTENT_TYPES.alert, 10, fromHex('0250')));
      assert.deepEqual(ends.server.state, {
        name: 'failed',
        error: new PeerRefusedError('The DTLS connection was ended by the peer: internal_error.'),
      });
      assert.deepEqual(ends.toClient.take(), [], 'no alert answers an alert');
    });

    it('does not shake hands again: says so, and goes on', () => {
      const ends = new Ends(kind);
      const hello = encodeHandshakeMessage({ type: 1, sequence: 2, body: fromHex('') });
      ends.serverReceives(ends.forged(CONTENT_TYPES.handshake, 20, hello));
      const [answer] = ends.toClient.take();
      assert.ok(answer !== undefined && answer[0] === CONTENT_TYPES.alert);
      ends.client.receive(answer, 0, ends.toServer);
      assert.equal(ends.client.state.name, 'up', 'a warning');
      assert.equal(ends.client.counters.unexpected, 1);
      assert.deepEqual(ends.serverReceives(ends.clientSends(utf8('still here'))), ['still here']);
    });

    it('counts authentic records of types that mean nothing to it', () => {
      const ends = new Ends(kind);
      ends.serverReceives(ends.forged(24, 30, utf8('heartbeat')));
      ends.serverReceives(ends.forged(CONTENT_TYPES.changeCipherSpec, 31, fromHex('01')));
      ends.serverReceives(ends.forged(CONTENT_TYPES.handshake, 32, fromHex('ff')));
      assert.equal(ends.server.counters.unexpected, 2);
      assert.equal(ends.server.counters.malformed, 1);
      assert.equal(ends.server.state.name, 'up');
    });

    it('is silent after its end, whatever comes', () => {
      const ends = new Ends(kind);
      const late = ends.clientSends(utf8('late'));
      ends.server.close(0, ends.toClient);
      ends.toClient.take();
      assert.deepEqual(ends.serverReceives(late), []);
      ends.server.send(packetOf(utf8('x')), 0, ends.toClient);
      ends.server.close(0, ends.toClient);
      ends.server.handleTimeout(99_000, ends.toClient);
      assert.deepEqual(ends.toClient.take(), []);
      assert.equal(ends.server.counters.notUp, 1);
    });
  });
}

describe('DTLS association', () => {
  it('sends no packet larger than the peer takes', () => {
    const suite = cipherSuite(0x00a9) ?? assert.fail();
    const keys = { mac: new Uint8Array(0), key: new Uint8Array(32), iv: new Uint8Array(4) };
    const session: DtlsSession = { version: '1.2', suite, isResumed: true, hasExtendedMasterSecret: false, maxPlaintext: 100 };
    const role: HandshakeRole = {
      side: 'client',
      start: (io) => {
        io.sendChangeCipherSpec(protectionFor(io.crypto, io.dialect, suite, keys));
        io.finish(session);
      },
      receive: () => undefined,
      wipe: () => undefined,
    };
    const association = new DtlsAssociation(role, { crypto: new NodeCrypto(), version: '1.2' });
    const sink = new DatagramSink();
    association.handleTimeout(0, sink);
    assert.deepEqual(association.state, { name: 'up', session, confirmed: false });
    sink.take();
    for (const length of [100, 101]) association.send(packetOf(new Uint8Array(length)), 0, sink);
    assert.deepEqual(
      sink.take().map((datagram) => datagram.length),
      [137],
    );
    assert.equal(association.counters.tooLarge, 1);
  });

  it('overwrites the secrets of the handshake when it is up, and the keys when it is over', () => {
    const [clientCrypto, serverCrypto] = [new SpyingCrypto(), new SpyingCrypto()];
    for (const kind of [GCM, kindNamed('PSK, AES-256-GCM')]) {
      const client = clientOf(kind, 1, { crypto: clientCrypto });
      const server = serverOf(kind, 1, { crypto: serverCrypto });
      const pair = new LayerPair(client, server, new LossyLink({}, 1));
      assert.ok(pair.run(bothUp(pair), 1_000));
      for (const spy of [clientCrypto, serverCrypto]) {
        assert.ok(spy.macKeys.length > 0 && spy.macKeys.every(isWiped), 'premaster and master secret');
        assert.ok(spy.cipherKeys.length > 0 && !spy.cipherKeys.some(isWiped));
      }
      pair.close('left');
      pair.settle(pair.now + 1_000);
      for (const spy of [clientCrypto, serverCrypto]) {
        assert.ok(spy.cipherKeys.every(isWiped));
        spy.cipherKeys.length = 0;
      }
    }
  });
});

const isWiped = (key: Uint8Array) => key.every((byte) => byte === 0);

/** Remembers the memory that keys were given in. */
class SpyingCrypto extends NodeCrypto {
  readonly macKeys: Uint8Array[] = [];
  readonly cipherKeys: Uint8Array[] = [];

  override mac(hash: HashName, key: Uint8Array): Mac {
    this.macKeys.push(key);
    return super.mac(hash, key);
  }

  override aead(cipher: AeadCipher, key: Uint8Array): Aead {
    this.cipherKeys.push(key);
    return super.aead(cipher, key);
  }
}

describe('DTLS association on its way up', () => {
  it('sends no packets', () => {
    const client = clientOf(GCM);
    const sink = new DatagramSink();
    client.handleTimeout(0, sink);
    sink.take();
    client.send(packetOf(utf8('too soon')), 0, sink);
    assert.deepEqual(sink.take(), []);
    assert.equal(client.counters.notUp, 1);
  });

  it('keeps a few sealed records that overtook the keys, and counts the others', () => {
    const [client, server] = [clientOf(GCM), serverOf(GCM)];
    const [toServer, toClient] = [new DatagramSink(), new DatagramSink()];
    client.handleTimeout(0, toServer);
    server.receive(toServer.takeBytes(), 0, toClient);
    const flight = toClient.takeBytes();
    const finished = flight.slice(flight.length - 61);
    for (let i = 0; i < 20; i++) {
      const memory = Buffer.from(finished);
      client.receive(memory, 0, toServer);
      memory.fill(0); // a socket uses its memory again
    }
    assert.equal(client.counters.tooEarly, 12);
    client.receive(flight.slice(0, -61), 0, toServer);
    assert.equal(client.state.name, 'up');
    assert.equal(client.counters.replayed, 7, 'eight were kept, all the same');
    assert.equal(toHex(toServer.takeBytes().subarray(0, 14)), '14fefd0000000000000001000101');
  });

  it('takes no data before Finished, though it could open it', () => {
    const client = clientOf(kindNamed('PSK, AES-256-GCM'));
    const server = serverOf(kindNamed('PSK, AES-256-GCM'));
    const [toServer, toClient] = [new DatagramSink(), new DatagramSink()];
    client.handleTimeout(0, toServer);
    server.receive(toServer.takeBytes(), 0, toClient);
    client.receive(toClient.takeBytes(), 0, toServer);
    const flight = toServer.takeBytes();
    server.receive(flight.slice(), 0, toClient);
    client.receive(toClient.takeBytes(), 0, toServer);
    client.send(packetOf(utf8('data')), 0, toServer);
    const data = toServer.takeBytes();

    // The same server again, from the same seed, but now Finished comes last.
    const again = serverOf(kindNamed('PSK, AES-256-GCM'));
    const sink = new DatagramSink();
    const hello = new DatagramSink();
    clientOf(kindNamed('PSK, AES-256-GCM')).handleTimeout(0, hello);
    again.receive(hello.takeBytes(), 0, sink);
    again.receive(flight.slice(0, -61), 0, sink);
    again.receive(data.slice(), 0, sink);
    assert.deepEqual(sink.packets, []);
    assert.equal(again.counters.unexpected, 1);
    again.receive(flight.slice(-61), 0, sink);
    assert.equal(again.state.name, 'up');
  });

  it('drops records of other versions and of epochs that never were', () => {
    const client = clientOf(GCM);
    const sink = new DatagramSink();
    client.handleTimeout(0, sink);
    client.receive(fromHex('16010000000000000000000000'), 0, sink);
    client.receive(fromHex('16030300000000000000000000'), 0, sink);
    client.receive(fromHex('17feff00010000000000000000'), 0, sink);
    assert.equal(client.counters.wrongVersion, 3);
    client.receive(fromHex('17fefd00020000000000000000'), 0, sink);
    assert.equal(client.counters.wrongEpoch, 1);
    client.receive(fromHex('16fefd0000000000000000ffff'), 0, sink);
    client.receive(fromHex('16'), 0, sink);
    assert.equal(client.counters.malformed, 2);
    assert.equal(client.state.name, 'handshaking');
  });
});
