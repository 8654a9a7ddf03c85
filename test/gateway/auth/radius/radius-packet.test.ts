import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import fc from 'fast-check';
import { MisuseError, PeerMisbehavedError } from '../../../../src/core/errors.ts';
import { fromHex, toHex, utf8 } from '../../../../src/core/wire/text.ts';
import { groupsOf, policyOf, replyMessage } from '../../../../src/gateway/auth/radius/radius-attributes.ts';
import { answerTo } from '../../../../src/gateway/auth/radius/radius-client.ts';
import {
  decodeRadius,
  encodeRadius,
  hidePassword,
  RADIUS_CODES,
  type RadiusPacket,
  sealAccessRequest,
  sealAccountingRequest,
  sealResponse,
  verifyResponse,
} from '../../../../src/gateway/auth/radius/radius-packet.ts';
import { toleratingOwnErrors } from '../../../support/own-errors.ts';

const SECRET = utf8('xyzzy5461');

const attributes = fc.array(
  fc.record({ type: fc.integer({ min: 1, max: 255 }), value: fc.uint8Array({ maxLength: 40 }) }, { noNullPrototype: true }),
  {
    maxLength: 20,
  },
);
const authenticators = fc.uint8Array({ minLength: 16, maxLength: 16 });
const packets: fc.Arbitrary<RadiusPacket> = fc.record(
  { code: fc.integer({ min: 0, max: 255 }), id: fc.integer({ min: 0, max: 255 }), authenticator: authenticators, attributes },
  { noNullPrototype: true },
);

describe('RADIUS packet', () => {
  it('hides a password as RFC 2865 section 7.1 does', () => {
    const authenticator = fromHex('0f 40 3f 94 73 97 80 57 bd 83 d5 cb 98 f4 22 7a');
    assert.equal(toHex(hidePassword(utf8('arctangent'), authenticator, SECRET)), '0dbe708d93d413ce3196e43f782a0aee');
  });

  it('hides long passwords block by block, and refuses what RADIUS cannot carry', () => {
    assert.equal(hidePassword(new Uint8Array(0), new Uint8Array(16), SECRET).length, 16);
    assert.equal(hidePassword(new Uint8Array(17), new Uint8Array(16), SECRET).length, 32);
    assert.equal(hidePassword(new Uint8Array(128), new Uint8Array(16), SECRET).length, 128);
    assert.throws(() => hidePassword(new Uint8Array(129), new Uint8Array(16), SECRET), MisuseError);
  });

  it('knows the answer of RFC 2865 section 7.1 as genuine, but not as signed', () => {
    const datagram = fromHex(
      '02 00 00 26 86 fe 22 0e 76 24 ba 2a 10 05 f6 bf 9b 55 e0 b2 06 06 00 00 00 01 0f 06 00 00 00 00 0e 06 c0 a8 01 03',
    );
    const authenticator = fromHex('0f 40 3f 94 73 97 80 57 bd 83 d5 cb 98 f4 22 7a');
    assert.equal(verifyResponse(datagram, decodeRadius(datagram), { authenticator, secret: SECRET }), 'unsigned');
  });

  it('reads back whatever it writes', () => {
    fc.assert(fc.property(packets, (packet) => assert.deepEqual(decodeRadius(encodeRadius(packet)), packet)));
  });

  it('throws nothing but its own errors, whatever the bytes', () => {
    fc.assert(fc.property(fc.uint8Array({ maxLength: 200 }), (bytes) => toleratingOwnErrors(() => decodeRadius(bytes))));
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 100 }), (body) => {
        const packet = Uint8Array.from([2, 0, 0, body.length + 20, ...new Uint8Array(16), ...body]);
        toleratingOwnErrors(() => policyOf(decodeRadius(packet).attributes));
      }),
    );
  });

  it('refuses lengths that lie', () => {
    const bytes = encodeRadius({ code: 2, id: 1, authenticator: new Uint8Array(16), attributes: [{ type: 1, value: utf8('alice') }] });
    assert.throws(() => decodeRadius(bytes.subarray(0, bytes.length - 1)), PeerMisbehavedError);
    assert.throws(() => decodeRadius(bytes.with(21, 1)), PeerMisbehavedError, 'an attribute shorter than its header');
    assert.throws(() => decodeRadius(bytes.with(21, 8)), PeerMisbehavedError, 'an attribute longer than the packet');
    assert.throws(() => decodeRadius(bytes.with(3, 19)), PeerMisbehavedError);
  });

  it('puts Message-Authenticator first in a request', () => {
    const request = sealAccessRequest(7, new Uint8Array(16).fill(1), [{ type: 1, value: utf8('alice') }], SECRET);
    assert.deepEqual([...request.subarray(20, 22)], [80, 18]);
  });

  it('takes only answers from who knows the secret, to the same request, unchanged', () => {
    fc.assert(
      fc.property(authenticators, attributes, fc.nat(), fc.integer({ min: 1, max: 255 }), (authenticator, given, at, change) => {
        const others = given.filter(({ type }) => type !== 80);
        const request = { id: 9, authenticator, kind: 'access', acceptsUnsigned: false } as const;
        const answer = sealResponse({ code: RADIUS_CODES.accessAccept, id: 9, attributes: others }, authenticator, SECRET);
        assert.equal((answerTo(request, answer, SECRET) as RadiusPacket).code, RADIUS_CODES.accessAccept);
        const changed = answer.slice();
        changed[at % changed.length] = (changed[at % changed.length] ?? 0) ^ change;
        assert.equal(answerTo(request, changed, SECRET), undefined);
        assert.equal(answerTo(request, answer, utf8('another secret')), undefined);
        assert.equal(answerTo({ ...request, id: 10 }, answer, SECRET), undefined);
        assert.equal(
          answerTo({ ...request, authenticator: authenticator.with(0, (authenticator[0] ?? 0) ^ 1) }, answer, SECRET),
          undefined,
        );
      }),
    );
  });

  it('does not take one kind of answer for another', () => {
    const authenticator = new Uint8Array(16).fill(3);
    const answer = sealResponse({ code: RADIUS_CODES.accountingResponse, id: 1, attributes: [] }, authenticator, SECRET);
    assert.equal(answerTo({ id: 1, authenticator, kind: 'access', acceptsUnsigned: true }, answer, SECRET), undefined);
    assert.ok(answerTo({ id: 1, authenticator, kind: 'accounting', acceptsUnsigned: true }, answer, SECRET) !== undefined);
  });

  it('makes the authenticator of a report from the report', () => {
    const one = sealAccountingRequest(1, [{ type: 1, value: utf8('alice') }], SECRET);
    const other = sealAccountingRequest(1, [{ type: 1, value: utf8('alicf') }], SECRET);
    assert.notDeepEqual(one.subarray(4, 20), other.subarray(4, 20));
  });
});

describe('RADIUS attributes', () => {
  const text = (type: number, value: string) => ({ type, value: utf8(value) });

  it('have groups in Class, several or one', () => {
    assert.deepEqual(groupsOf([text(25, 'OU=staff;admins')]), ['staff', 'admins']);
    assert.deepEqual(groupsOf([text(25, 'staff')]), ['staff']);
    assert.deepEqual(groupsOf([text(25, 'ou=a;staff'), text(25, 'more')]), ['staff', 'more']);
    assert.deepEqual(groupsOf([]), []);
  });

  it('leave the address to the gateway where they say so', () => {
    assert.deepEqual(policyOf([{ type: 8, value: Uint8Array.of(255, 255, 255, 254) }]), {});
  });

  it('are left out where they cannot be read', () => {
    assert.deepEqual(
      policyOf([{ type: 8, value: Uint8Array.of(1, 2, 3) }, text(22, 'nonsense'), { type: 97, value: Uint8Array.of(0, 200) }]),
      {},
    );
    assert.deepEqual(policyOf([{ type: 26, value: Uint8Array.of(0, 0, 1, 55, 28, 200, 1, 1, 1, 1) }]), {});
  });

  it('show no control characters to the person', () => {
    assert.equal(replyMessage([text(18, 'Code\u001b[2J'), text(18, 'please')]), 'Code[2J\nplease');
  });
});
