import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import fc from 'fast-check';
import { SallyportError, TruncatedError } from '../../../src/core/errors.ts';
import { hostName, isHostName } from '../../../src/core/socks/host-name.ts';
import { decodeSocks4Request, encodeSocks4Reply, encodeSocks4Request } from '../../../src/core/socks/socks4.ts';
import {
  decodeDatagram,
  decodeGreeting,
  decodePassword,
  decodeRequest,
  encodeDatagram,
  encodeGreeting,
  encodeMethod,
  encodePassword,
  encodePasswordStatus,
  encodeReply,
  encodeRequest,
} from '../../../src/core/socks/socks5.ts';
import { ByteReader } from '../../../src/core/wire/byte-reader.ts';
import { formatIp } from '../../../src/core/wire/ip-address.ts';
import { fromHex, toHex, utf8 } from '../../../src/core/wire/text.ts';
import { processorTime } from '../../support/processor-time.ts';

const read = (hex: string) => new ByteReader(fromHex(hex));

const addresses = fc.constantFrom<4 | 6>(4, 6).chain((family) => {
  const length = family === 4 ? 4 : 16;
  return fc.uint8Array({ minLength: length, maxLength: length }).map((bytes) => formatIp({ family, bytes }));
});
const names = fc.constantFrom('a', 'intranet', 'web.corp.test', '_ldap._tcp.corp.test', `${'x'.repeat(63)}.test`, 'root.');
const ports = fc.nat(65_535);
const destinations = fc.record({ host: fc.oneof(addresses, names), port: ports }, { noNullPrototype: true });

describe('SOCKS 5', () => {
  it('says what is offered, chosen and asked for (RFC 1928 §3, §4)', () => {
    assert.deepEqual(decodeGreeting(read('05 02 00 02')), [0, 2]);
    assert.equal(toHex(encodeGreeting([0, 2])), '05020002');
    assert.equal(toHex(encodeMethod(2)), '0502');
    assert.deepEqual(decodeRequest(read('05 01 00 01 0a000001 01bb')), {
      command: 'connect',
      destination: { host: '10.0.0.1', port: 443 },
    });
    assert.deepEqual(decodeRequest(read('05 03 00 03 04 686f7374 0035')), {
      command: 'udp-associate',
      destination: { host: 'host', port: 53 },
    });
    assert.deepEqual(decodeRequest(read('05 02 00 04 20010db8000000000000000000000001 0000')), {
      command: 'bind',
      destination: { host: '2001:db8::1', port: 0 },
    });
  });

  it('keeps apart a command and a kind of address that it does not know', () => {
    assert.equal(decodeRequest(read('05 09 00 01 0a000001 0050')).command, 'unknown');
    assert.equal(decodeRequest(read('05 01 00 02')).destination, undefined);
  });

  it('says how it went (RFC 1928 §6), with zeros where there is no address', () => {
    assert.equal(toHex(encodeReply('refused')), '05050001000000000000');
    assert.equal(toHex(encodeReply('succeeded', { host: '::1', port: 80 })), `05000004${'00'.repeat(15)}010050`);
  });

  it('carries a name and a password (RFC 1929)', () => {
    const { name, password } = decodePassword(read('01 02 6162 03 63 00 ff'));
    assert.deepEqual([toHex(name), toHex(password)], ['6162', '6300ff']);
    assert.equal(toHex(encodePassword({ name: utf8('ab'), password: utf8('c') })), '010261620163');
    assert.deepEqual([toHex(encodePasswordStatus(true)), toHex(encodePasswordStatus(false))], ['0100', '0101']);
    assert.throws(() => decodePassword(read('05 01 61 01 62')), /version of the SOCKS password/);
  });

  it('puts a header in front of datagrams, and drops fragments (RFC 1928 §7)', () => {
    const bytes = encodeDatagram({ host: '10.0.0.1', port: 53 }, utf8('hi'));
    assert.equal(toHex(bytes), '000000010a00000100356869');
    assert.deepEqual(decodeDatagram(bytes)?.destination, { host: '10.0.0.1', port: 53 });
    assert.equal(decodeDatagram(fromHex('0000 01 01 0a000001 0035 6869')), undefined);
    assert.equal(decodeDatagram(fromHex('0000 00 01 0a0000')), undefined);
    assert.equal(decodeDatagram(fromHex('0000 00 07 0a000001 0035')), undefined);
  });

  it('reads back whatever it writes', () => {
    fc.assert(
      fc.property(destinations, fc.uint8Array({ maxLength: 64 }), (destination, payload) => {
        assert.deepEqual(decodeRequest(new ByteReader(encodeRequest('connect', destination))), { command: 'connect', destination });
        const datagram = decodeDatagram(encodeDatagram(destination, payload));
        assert.deepEqual([datagram?.destination, datagram && [...datagram.payload]], [destination, [...payload]]);
      }),
    );
  });
});

describe('SOCKS 4', () => {
  it('asks for an address, or by 4A for a name', () => {
    assert.deepEqual(decodeSocks4Request(read('04 01 0050 0a000001 6d6500')), {
      command: 'connect',
      destination: { host: '10.0.0.1', port: 80 },
    });
    assert.deepEqual(decodeSocks4Request(read('04 02 0050 00000001 00 686f737400')), {
      command: 'bind',
      destination: { host: 'host', port: 80 },
    });
    assert.equal(toHex(encodeSocks4Reply(true)), '005a000000000000');
    assert.equal(toHex(encodeSocks4Reply(false)), '005b000000000000');
  });

  it('refuses users and names without an end', () => {
    assert.throws(() => decodeSocks4Request(read(`04 01 0050 0a000001 ${'61'.repeat(256)}`)), /longer than 255/);
    assert.throws(() => decodeSocks4Request(read(`04 01 0050 00000001 00 ${'61'.repeat(300)}`)), /longer than 254/);
    assert.throws(() => decodeSocks4Request(read('04 01 0050 0a000001 6161')), TruncatedError);
  });

  it('reads back whatever it writes', () => {
    const v4 = fc.uint8Array({ minLength: 4, maxLength: 4 }).filter(([a, b, c]) => (a || b || c) !== 0);
    const hosts = fc.oneof(
      v4.map((bytes) => formatIp({ family: 4, bytes })),
      names,
    );
    fc.assert(
      fc.property(hosts, ports, (host, port) => {
        const destination = { host, port };
        assert.deepEqual(decodeSocks4Request(new ByteReader(encodeSocks4Request('connect', destination))), {
          command: 'connect',
          destination,
        });
      }),
    );
  });
});

describe('messages of SOCKS', () => {
  it('wait for the rest when they are cut short, at any byte', () => {
    const whole: readonly [Uint8Array, (reader: ByteReader) => unknown][] = [
      [encodeGreeting([0, 1, 2]), decodeGreeting],
      [encodePassword({ name: utf8('alice'), password: utf8('secret') }), decodePassword],
      [encodeRequest('connect', { host: 'web.corp.test', port: 443 }), decodeRequest],
      [encodeSocks4Request('connect', { host: 'web.corp.test', port: 443 }), decodeSocks4Request],
    ];
    for (const [bytes, decode] of whole) {
      for (let length = 0; length < bytes.length; length++) {
        assert.throws(() => decode(new ByteReader(bytes.subarray(0, length))), TruncatedError);
      }
      assert.doesNotThrow(() => decode(new ByteReader(bytes)));
    }
  });

  it('throw nothing but our own errors, whatever the bytes', () => {
    const decoders = [decodeGreeting, decodePassword, decodeRequest, decodeSocks4Request];
    fc.assert(
      fc.property(fc.constantFrom(...decoders), fc.constantFrom(1, 4, 5), fc.uint8Array({ maxLength: 600 }), (decode, first, rest) => {
        try {
          decode(new ByteReader(Uint8Array.of(first, ...rest)));
        } catch (error) {
          assert.ok(error instanceof SallyportError, String(error));
        }
        decodeDatagram(rest);
      }),
    );
  });
});

describe('a host name', () => {
  it('is letters, digits, hyphens and underscores in labels, or an address', () => {
    for (const good of [
      'a',
      'A1',
      'web.corp.test',
      'web.corp.test.',
      '_sip._udp.x',
      'a-b',
      '10.0.0.1',
      '2001:db8::1',
      `${'a'.repeat(63)}.b`,
    ]) {
      assert.ok(isHostName(good), good);
    }
    const bad = ['', '.', 'a..b', '-a', 'a-', 'a b', 'a/b', 'a:80', 'a@b', 'ä', 'a\u0000', 'a\nb', `${'a'.repeat(64)}.b`, 'a.'.repeat(130)];
    for (const text of bad) assert.ok(!isHostName(text), text);
    assert.throws(() => hostName(utf8('evil\r\nhost')), /no host name/);
  });

  it('is judged at once, however it is made', () => {
    const start = processorTime();
    isHostName(`${'a-'.repeat(120)}!`);
    isHostName(`${'a.'.repeat(120)}!`);
    assert.ok(processorTime() - start < 100);
  });
});
