/** EAP-TTLS's messages in fragments, and EAP inside: what the specification has, both ends against each other, and hostile ones. */
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import fc from 'fast-check';
import { PeerMisbehavedError, SallyportError } from '../../../../src/core/errors.ts';
import { encodeAuth } from '../../../../src/core/protocols/pulse/auth-payload.ts';
import { ClientExchange } from '../../../../src/core/protocols/pulse/client-exchange.ts';
import { EAP_CODES, EAP_METHODS } from '../../../../src/core/protocols/pulse/eap.ts';
import { encodeInner, InnerPackets, TtlsMessages } from '../../../../src/core/protocols/pulse/eap-ttls.ts';
import { IFT_KINDS, IftWriter } from '../../../../src/core/protocols/pulse/ift-packet.ts';
import { fromHex, toHex, utf8 } from '../../../../src/core/wire/text.ts';

const hex = (text: string) => fromHex(text.replaceAll(/\s/g, ''));
const IDENTITY = { code: EAP_CODES.response, id: 1, method: EAP_METHODS.identity, data: utf8('anonymous') };

describe('messages of EAP-TTLS', () => {
  it('begin with a start, and are whole where they are short', () => {
    const messages = new TtlsMessages();
    assert.deepEqual(messages.receive(hex('20')), { type: 'start' });
    assert.equal(toHex(messages.send(hex('160301'))), '00160301');
    assert.deepEqual(messages.receive(hex('00 1603')), { type: 'message', bytes: hex('1603') });
    assert.deepEqual(messages.receive(hex('80 00000002 1603')), { type: 'message', bytes: hex('1603') });
    assert.equal(toHex(messages.send(new Uint8Array(0))), '00', 'nothing to say is said');
  });

  it('are cut as the specification has it, and each part is waited for', () => {
    const messages = new TtlsMessages();
    const message = Uint8Array.from({ length: 20_000 }, (_, i) => i);
    const first = messages.send(message);
    assert.deepEqual([toHex(first.subarray(0, 5)), first.length], ['c000004e20', 5 + 8192]);
    const rest = [messages.receive(hex('00')), messages.receive(hex('00'))].map((turn) =>
      turn.type === 'answer' ? turn.data : assert.fail(),
    );
    assert.deepEqual(
      rest.map((data) => [data[0], data.length]),
      [
        [0x40, 8193],
        [0, 3617],
      ],
    );
    const peer = new TtlsMessages();
    assert.deepEqual([first, ...rest].map((data) => peer.receive(data)).at(-1), { type: 'message', bytes: message });
  });

  it('are acknowledged part by part', () => {
    const messages = new TtlsMessages();
    assert.deepEqual(messages.receive(hex('c0 00000004 0102')), { type: 'answer', data: hex('00') });
    assert.deepEqual(messages.receive(hex('40 03')), { type: 'answer', data: hex('00') });
    assert.deepEqual(messages.receive(hex('00 04')), { type: 'message', bytes: hex('01020304') });
  });

  it('are as long as they say (spec 15)', () => {
    assert.throws(() => new TtlsMessages().receive(hex('80 00000003 1603')), PeerMisbehavedError);
    const messages = new TtlsMessages();
    messages.receive(hex('c0 00000005 0102'));
    assert.throws(() => messages.receive(hex('00 0304')), PeerMisbehavedError);
    const next = new TtlsMessages();
    next.receive(hex('80 00000002 1603'));
    assert.deepEqual(next.receive(hex('00 16')), { type: 'message', bytes: hex('16') }, 'each says it anew, or does not');
  });

  it('have limits', () => {
    assert.throws(() => new TtlsMessages().receive(hex('c0 00010001 00')), PeerMisbehavedError, 'a length');
    assert.throws(() => new TtlsMessages().receive(hex('01')), PeerMisbehavedError, 'a version');
    const long = new TtlsMessages();
    const part = Uint8Array.of(0x40, ...new Uint8Array(16_000));
    assert.throws(() => Array.from({ length: 5 }, () => long.receive(part)), PeerMisbehavedError);
    const endless = new TtlsMessages();
    assert.throws(() => Array.from({ length: 1025 }, () => endless.receive(hex('40'))), PeerMisbehavedError);
    const impatient = new TtlsMessages();
    impatient.send(new Uint8Array(9000));
    assert.throws(() => impatient.receive(hex('00 01')), PeerMisbehavedError, 'data in the place of an acknowledgement');
  });

  it('throw nothing but their own errors, whatever the bytes', () => {
    fc.assert(
      fc.property(fc.array(fc.uint8Array({ maxLength: 12 }), { maxLength: 20 }), (all) => {
        const [messages, inner] = [new TtlsMessages(), new InnerPackets()];
        try {
          for (const data of all) {
            const turn = messages.receive(data);
            if (turn.type !== 'message') continue;
            inner.push(turn.bytes);
            while (inner.next() !== undefined);
          }
        } catch (error) {
          assert.ok(error instanceof SallyportError, String(error));
        }
      }),
    );
  });
});

describe('what is said inside EAP-TTLS', () => {
  it('is one EAP message each, without padding', () => {
    assert.equal(toHex(encodeInner(IDENTITY)), '0000004f000000160201000e01616e6f6e796d6f7573');
  });

  it('is read in any slices', () => {
    const stream = Buffer.concat([encodeInner(IDENTITY), encodeInner({ ...IDENTITY, id: 2 })]);
    fc.assert(
      fc.property(fc.integer({ min: 1, max: stream.length }), (size) => {
        const inner = new InnerPackets();
        const ids: number[] = [];
        for (let at = 0; at < stream.length; at += size) {
          inner.push(stream.subarray(at, at + size));
          for (let packet = inner.next(); packet !== undefined; packet = inner.next()) ids.push(packet.id);
        }
        assert.deepEqual(ids, [1, 2]);
      }),
    );
  });

  it('is nothing else', () => {
    for (const bytes of ['00000001 40000008', '0000004f 40000007']) {
      const inner = new InnerPackets();
      inner.push(hex(bytes));
      assert.throws(() => inner.next(), PeerMisbehavedError, bytes);
    }
  });
});

describe("a client's exchange with EAP-TTLS", () => {
  const start = encodeAuth({ code: EAP_CODES.request, id: 7, method: EAP_METHODS.ttls, data: hex('20') });
  const begun = (hasInnerTls: boolean) => {
    const exchange = new ClientExchange({ userAgent: 'x', information: {}, hasInnerTls });
    exchange.push(new IftWriter().packet(IFT_KINDS.authChallenge, start));
    return exchange;
  };

  it('hands TLS on, and answers with the id of the request', () => {
    const exchange = begun(true);
    assert.deepEqual(exchange.next(), { type: 'tls', records: new Uint8Array(0) });
    assert.equal(toHex(exchange.tlsAnswer(hex('1603'))), '00005597000000060000001c00000000000a4c010207000815001603');
    assert.deepEqual(exchange.openInside(), { type: 'send', bytes: encodeInner(IDENTITY), isInside: true });
  });

  it('says so where nobody has TLS for it, and has none inside', () => {
    assert.deepEqual(begun(false).next(), { type: 'tls-wanted' });
    const exchange = begun(true);
    exchange.next();
    exchange.openInside();
    exchange.pushInside(encodeInner({ code: EAP_CODES.request, id: 1, method: EAP_METHODS.ttls, data: hex('20') }));
    assert.throws(() => exchange.next(), PeerMisbehavedError);
  });
});
