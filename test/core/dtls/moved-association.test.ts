import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { MovedServer } from '../../../src/core/dtls/moved-association.ts';
import { MisuseError } from '../../../src/core/errors.ts';
import { encodeHandshakeMessage } from '../../../src/core/tls-messages/handshake-fragment.ts';
import { HANDSHAKE_TYPES } from '../../../src/core/tls-messages/handshake-messages.ts';
import { packetOf } from '../../../src/core/tunnel/packet.ts';
import { utf8 } from '../../../src/core/wire/text.ts';
import { SeededCrypto } from '../../support/scripted-crypto.ts';
import { kindNamed, pairUp } from './associations.ts';

const KINDS = ['PSK, AES-256-GCM', 'PSK, ChaCha20-Poly1305', 'PSK, AES-128-CBC with SHA-256', 'PSK, DTLS 1.0'].map(kindNamed);

for (const kind of KINDS) {
  describe(`a DTLS association that moves to another process (${kind.name})`, () => {
    it('goes on there, and its client notices nothing', () => {
      const { left, right, sinks } = pairUp(kind);
      const say = (text: string) => {
        left.send(packetOf(utf8(text)), 0, sinks.left);
        return sinks.left.takeBytes();
      };
      const hello = say('who I am');
      right.receive(hello.slice(), 0, sinks.right);
      const moved = new MovedServer(new SeededCrypto(7), structuredClone(right.moveAway()));
      assert.deepEqual([moved.state.name, moved.state.name === 'up' && moved.state.confirmed], ['up', true]);
      moved.receive(hello.slice(), 0, sinks.right);
      assert.deepEqual(sinks.right.takeTexts(), ['who I am'], 'heard once, and not again where it went');
      assert.equal(moved.counters.replayed, 1);
      moved.receive(say('a packet'), 0, sinks.right);
      assert.deepEqual(sinks.right.takeTexts(), ['a packet']);
      moved.send(packetOf(utf8('an answer')), 0, sinks.right);
      left.receive(sinks.right.takeBytes(), 0, sinks.left);
      assert.deepEqual(sinks.left.takeTexts(), ['an answer']);
      moved.close(0, sinks.right);
      left.receive(sinks.right.takeBytes(), 0, sinks.left);
      assert.equal(left.state.name, 'closed');
    });

    it('says and hears nothing any more where it was', () => {
      const { left, right, sinks } = pairUp(kind);
      left.send(packetOf(utf8('who I am')), 0, sinks.left);
      right.receive(sinks.left.takeBytes(), 0, sinks.right);
      sinks.right.takeTexts();
      right.moveAway();
      left.send(packetOf(utf8('a packet')), 0, sinks.left);
      right.receive(sinks.left.takeBytes(), 0, sinks.right);
      right.send(packetOf(utf8('an answer')), 0, sinks.right);
      right.close(0, sinks.right);
      assert.deepEqual([sinks.right.takeTexts(), sinks.right.take()], [[], []]);
      assert.throws(() => right.moveAway(), MisuseError);
    });
  });
}

describe('a DTLS association that has moved', () => {
  it('makes no new handshake', () => {
    const { left, right, sinks } = pairUp(kindNamed('PSK, AES-256-GCM'));
    left.send(packetOf(utf8('who I am')), 0, sinks.left);
    right.receive(sinks.left.takeBytes(), 0, sinks.right);
    const moved = new MovedServer(new SeededCrypto(7), right.moveAway());
    const hello = encodeHandshakeMessage({ type: HANDSHAKE_TYPES.clientHello, sequence: 0, body: new Uint8Array(2) });
    const record = Uint8Array.of(22, 0xfe, 0xff, 0, 0, 0, 0, 0, 0, 0, 9, 0, hello.length, ...hello);
    moved.receive(record, 0, sinks.right);
    assert.deepEqual([moved.counters.wrongEpoch, sinks.right.take(), moved.state.name], [1, [], 'up']);
  });

  it('is none with keys of other lengths than its suite has, or a suite that its version has not', () => {
    for (const kind of KINDS) {
      const { left, right, sinks } = pairUp(kind);
      left.send(packetOf(utf8('who I am')), 0, sinks.left);
      right.receive(sinks.left.takeBytes(), 0, sinks.right);
      const { session, seal, open } = right.moveAway();
      const bytes = (length: number) => new Uint8Array(length);
      const others = [{ key: bytes(5) }, { iv: bytes(13) }, { mac: bytes(21) }, { key: bytes(64) }];
      for (const other of others) {
        assert.throws(() => new MovedServer(new SeededCrypto(7), { session, seal: { ...seal, ...other }, open }), MisuseError);
        assert.throws(() => new MovedServer(new SeededCrypto(7), { session, seal, open: { ...open, ...other } }), MisuseError);
      }
    }
    const { left, right, sinks } = pairUp(kindNamed('PSK, AES-256-GCM'));
    left.send(packetOf(utf8('who I am')), 0, sinks.left);
    right.receive(sinks.left.takeBytes(), 0, sinks.right);
    const { session, seal, open } = right.moveAway();
    assert.throws(() => new MovedServer(new SeededCrypto(7), { session: { ...session, version: '1.0' }, seal, open }), MisuseError);
  });

  it('does not move before its peer has proved itself', () => {
    const { right } = pairUp(kindNamed('PSK, AES-256-GCM'));
    assert.throws(() => right.moveAway(), MisuseError);
  });
});
