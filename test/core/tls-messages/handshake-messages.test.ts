import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import fc from 'fast-check';
import { PeerMisbehavedError, TruncatedError } from '../../../src/core/errors.ts';
import { MAX_EXTENSIONS } from '../../../src/core/tls-messages/extensions.ts';
import {
  type ClientHello,
  decodeClientHello,
  decodeFinished,
  decodeHelloVerifyRequest,
  decodePskClientKeyExchange,
  decodePskIdentityHint,
  decodeServerHello,
  decodeServerHelloDone,
  encodeClientHello,
  encodeHelloVerifyRequest,
  encodePskClientKeyExchange,
  encodePskIdentityHint,
  encodeServerHello,
  MAX_PSK_IDENTITY_LENGTH,
  type ServerHello,
} from '../../../src/core/tls-messages/handshake-messages.ts';
import { fromHex, toHex, utf8 } from '../../../src/core/wire/text.ts';
import { toleratingOwnErrors } from '../../support/own-errors.ts';
import { LEGACY_CAPTURE, PSK_CAPTURE } from '../dtls/captures.ts';

/** A captured message's body: behind record header 13 and handshake header 12. */
const bodyOf = (record: Uint8Array) => record.subarray(25);

const u16 = fc.integer({ min: 0, max: 0xffff });
const bytes = (maxLength: number, minLength = 0) => fc.uint8Array({ minLength, maxLength });
const extensions = fc.uniqueArray(fc.record({ type: u16, data: bytes(40) }, { noNullPrototype: true }), {
  maxLength: 10,
  selector: ({ type }) => type,
});

const clientHellos: fc.Arbitrary<ClientHello> = fc.record(
  {
    version: u16,
    random: bytes(32, 32),
    sessionId: bytes(32),
    cookie: bytes(255),
    suites: fc.array(u16, { minLength: 1, maxLength: 40 }),
    extensions,
  },
  { noNullPrototype: true },
);

const serverHellos: fc.Arbitrary<ServerHello> = fc.record(
  {
    version: u16,
    random: bytes(32, 32),
    sessionId: bytes(32),
    suite: u16,
    extensions,
  },
  { noNullPrototype: true },
);

/** A hello of given parts, the lengths as they say. */
const helloWith = ({ sessionId = '00', cookie = '00', suites = '000200a9', compression = '0100', rest = '' }) =>
  fromHex(`fefd${'11'.repeat(32)}${sessionId}${cookie}${suites}${compression}${rest}`);

describe('ClientHello', () => {
  it('reads the captured hello of openconnect', () => {
    const hello = decodeClientHello(bodyOf(PSK_CAPTURE.clientHello));
    assert.equal(hello.version, 0xfefd);
    assert.equal(toHex(hello.sessionId), '1a843d4b2822082ee0f9287cec83174ca748a65b51a20fd74b2cf52b476703f3');
    assert.deepEqual(hello.suites, [0x00a9, 0xccab, 0xc0a5, 0x008d, 0x00a8, 0xc0a4, 0x008c, 0x00ae]);
    assert.deepEqual(
      hello.extensions.map(({ type }) => type),
      [0x000d, 0x0023, 0xff01, 0x001c],
    );
    assert.equal(toHex(encodeClientHello(hello)), toHex(bodyOf(PSK_CAPTURE.clientHello)));
  });

  it('reads back whatever it writes', () => {
    fc.assert(fc.property(clientHellos, (hello) => assert.deepEqual(decodeClientHello(encodeClientHello(hello)), hello)));
  });

  it('may end without extensions', () => {
    assert.deepEqual(decodeClientHello(helloWith({})).extensions, []);
  });

  it('is refused with an empty or odd list of suites, without null compression, with a session id too long, and with bytes too many', () => {
    for (const parts of [
      { suites: '0000' },
      { suites: '000300a900' },
      { compression: '0101' },
      { compression: '00' },
      { sessionId: `21${'00'.repeat(33)}` },
      { rest: '0000ff' },
    ]) {
      assert.throws(() => decodeClientHello(helloWith(parts)), PeerMisbehavedError, JSON.stringify(parts));
    }
  });

  it('is refused with an extension twice, or with more than there can be', () => {
    assert.throws(() => decodeClientHello(helloWith({ rest: '0008 0017 0000 0017 0000' })), /extension 23 is there twice/);
    const many = Array.from({ length: MAX_EXTENSIONS + 1 }, (_, i) => `${i.toString(16).padStart(4, '0')}0000`).join('');
    const length = (many.length / 2).toString(16).padStart(4, '0');
    assert.throws(() => decodeClientHello(helloWith({ rest: length + many })), /more than 64 extensions/);
  });

  it('says which field is cut short', () => {
    assert.throws(
      () => decodeClientHello(helloWith({ sessionId: '05' }).subarray(0, 37)),
      new TruncatedError('session id: wanted 5 bytes, had 2'),
    );
  });
});

describe('ServerHello', () => {
  it('reads the captured hello of ocserv', () => {
    const hello = decodeServerHello(bodyOf(LEGACY_CAPTURE.serverFlight.subarray(0, 103)));
    assert.equal(hello.version, 0x0100);
    assert.equal(hello.suite, 0x002f);
    assert.deepEqual(
      hello.extensions.map(({ type, data }) => [type, toHex(data)]),
      [[0x001c, '4000']],
    );
  });

  it('reads back whatever it writes', () => {
    fc.assert(fc.property(serverHellos, (hello) => assert.deepEqual(decodeServerHello(encodeServerHello(hello)), hello)));
  });

  it('is refused with a compression method', () => {
    const body = encodeServerHello({
      version: 0xfefd,
      random: new Uint8Array(32),
      sessionId: new Uint8Array(0),
      suite: 0xa9,
      extensions: [],
    });
    body[body.length - 1] = 1;
    assert.throws(() => decodeServerHello(body), /compression method 1 was not offered/);
  });
});

describe('the small messages', () => {
  it('read back whatever they write', () => {
    fc.assert(
      fc.property(bytes(255), u16, (cookie, version) => {
        assert.deepEqual(decodeHelloVerifyRequest(encodeHelloVerifyRequest({ version, cookie })), { version, cookie });
      }),
    );
    fc.assert(
      fc.property(bytes(MAX_PSK_IDENTITY_LENGTH), (identity) => {
        assert.deepEqual(decodePskClientKeyExchange(encodePskClientKeyExchange(identity)), identity);
        assert.deepEqual(decodePskIdentityHint(encodePskIdentityHint(identity)), identity);
      }),
    );
  });

  it('write the identity as captured', () => {
    assert.equal(toHex(encodePskClientKeyExchange(utf8('psk'))), '000370736b');
  });

  it('refuse what is too long or does not end where it says', () => {
    assert.throws(() => decodePskClientKeyExchange(fromHex(`0401${'00'.repeat(1025)}`)), /expected up to 1024 bytes, got 1025/);
    assert.throws(() => decodePskIdentityHint(fromHex('0001aabb')), /1 bytes too many/);
    assert.throws(() => decodeHelloVerifyRequest(fromHex('feff 01 aa bb')), PeerMisbehavedError);
    assert.throws(() => decodeServerHelloDone(fromHex('00')), PeerMisbehavedError);
    assert.throws(() => decodeFinished(new Uint8Array(11)), PeerMisbehavedError);
    assert.throws(() => decodeFinished(new Uint8Array(13)), PeerMisbehavedError);
  });
});

describe('handshake message decoders', () => {
  const decoders = [
    decodeClientHello,
    decodeServerHello,
    decodeHelloVerifyRequest,
    decodePskIdentityHint,
    decodePskClientKeyExchange,
    decodeServerHelloDone,
    decodeFinished,
  ];

  it('throw nothing but their own errors, whatever the bytes', () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 200 }), (body) => {
        for (const decode of decoders) toleratingOwnErrors(() => decode(body));
      }),
    );
  });

  it('throw nothing but their own errors when one byte of a captured hello changes', () => {
    const hello = bodyOf(PSK_CAPTURE.clientHello);
    for (let i = 0; i < hello.length; i++) {
      for (const value of [0, 1, 0x7f, 0xff]) {
        const changed = hello.slice();
        changed[i] = value;
        toleratingOwnErrors(() => decodeClientHello(changed));
        toleratingOwnErrors(() => decodeServerHello(changed));
      }
    }
  });
});
