import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import fc from 'fast-check';
import { PeerMisbehavedError } from '../../../src/core/errors.ts';
import { type Endpoint, parseIp } from '../../../src/core/wire/ip-address.ts';
import { type ProxyHeader, parseProxyHeader, renderProxyHeader, renderProxyLine } from '../../../src/core/wire/proxy-header.ts';
import { fromHex, toHex, utf8 } from '../../../src/core/wire/text.ts';

const endpoint = (address: string, port: number): Endpoint => ({ address: parseIp(address) ?? assert.fail(address), port });
const ENDS = { remote: endpoint('192.0.2.1', 50_000), local: endpoint('198.51.100.2', 443) };
const ENDS6 = { remote: endpoint('2001:db8::1', 50_000), local: endpoint('2001:db8::2', 443) };
const SIGNATURE = '0d0a0d0a000d0a515549540a';

/** Plain objects, as a parser makes them. */
const record = <T>(fields: { [Name in keyof T]: fc.Arbitrary<T[Name]> }) => fc.record(fields, { noNullPrototype: true });

const endpoints = (family: 4 | 6): fc.Arbitrary<Endpoint> => {
  const length = family === 4 ? 4 : 16;
  return record({
    address: fc.uint8Array({ minLength: length, maxLength: length }).map((bytes) => ({ family, bytes })),
    port: fc.nat(65_535),
  });
};
const ends = fc.constantFrom<4 | 6>(4, 6).chain((family) => record({ remote: endpoints(family), local: endpoints(family) }));
const tls = fc
  .record({
    isCertificateVerified: fc.boolean(),
    commonName: fc.option(fc.string({ unit: 'grapheme', maxLength: 60 }), { nil: undefined }),
  })
  .map(({ isCertificateVerified, commonName }) => ({ isCertificateVerified, ...(commonName !== undefined && { commonName }) }));
const headers: fc.Arbitrary<ProxyHeader> = fc
  .record({ ends: fc.option(ends, { nil: undefined }), tls: fc.option(tls, { nil: undefined }) })
  .map((header) => ({ ...(header.ends !== undefined && { ends: header.ends }), ...(header.tls !== undefined && { tls: header.tls }) }));

describe('The PROXY header', () => {
  it('is read in its first version', () => {
    const line = utf8('PROXY TCP4 192.0.2.1 198.51.100.2 50000 443\r\n\x16\x03');
    assert.deepEqual(parseProxyHeader(line), { header: { ends: ENDS }, length: line.length - 2 });
    assert.deepEqual(parseProxyHeader(utf8('PROXY TCP6 2001:db8::1 2001:db8::2 50000 443\r\n'))?.header, { ends: ENDS6 });
    assert.deepEqual(parseProxyHeader(utf8('PROXY UNKNOWN\r\n'))?.header, {});
    assert.deepEqual(parseProxyHeader(utf8('PROXY UNKNOWN ff:: ff:: 1 2\r\n'))?.header, {});
  });

  it('is read in its second version, with what the proxy knows of TLS', () => {
    const addresses = 'c0000201 c6336402 c350 01bb';
    const plain = fromHex(`${SIGNATURE} 21 11 000c ${addresses}`);
    assert.deepEqual(parseProxyHeader(plain), { header: { ends: ENDS }, length: 28 });
    // Flags TLS and certificate on this connection, verified, version, common name.
    const ssl = '20 0018 03 00000000 21 0007 544c5376312e33 22 0006 6361726f6c31';
    const withTls = fromHex(`${SIGNATURE} 21 11 0027 ${addresses} ${ssl}`);
    assert.deepEqual(parseProxyHeader(withTls)?.header, { ends: ENDS, tls: { isCertificateVerified: true, commonName: 'carol1' } });
    const unverified = fromHex(`${SIGNATURE} 21 11 0014 ${addresses} 20 0005 03 00000012`);
    assert.deepEqual(parseProxyHeader(unverified)?.header.tls, { isCertificateVerified: false });
    const noCertificate = fromHex(`${SIGNATURE} 21 11 0014 ${addresses} 20 0005 01 00000000`);
    assert.deepEqual(parseProxyHeader(noCertificate)?.header.tls, { isCertificateVerified: false });
  });

  it('says nothing where the proxy speaks for itself or for a unix socket', () => {
    assert.deepEqual(parseProxyHeader(fromHex(`${SIGNATURE} 20 00 0000`)), { header: {}, length: 16 });
    assert.deepEqual(parseProxyHeader(fromHex(`${SIGNATURE} 20 11 000c c0000201 c6336402 c350 01bb`))?.header, {});
    assert.deepEqual(parseProxyHeader(fromHex(`${SIGNATURE} 21 31 00d8 ${'00'.repeat(216)}`))?.header, {});
  });

  it('is refused where it could be read in two ways, or is longer than any is', () => {
    for (const text of [
      'GET / HTTP/1.1\r\n',
      'PROXY TCP4 192.0.2.1 198.51.100.2 50000 443\n',
      'PROXY TCP4 192.0.2.1 198.51.100.2 50000 65536\r\n',
      'PROXY TCP4 192.0.2.1 198.51.100.2 050000 443\r\n',
      'PROXY TCP4 192.0.2.1 2001:db8::2 50000 443\r\n',
      'PROXY TCP4 192.0.2.1 198.51.100.2 50000 443 more\r\n',
      'PROXY TCP4  192.0.2.1 198.51.100.2 50000 443\r\n',
      'PROXY UDP4 192.0.2.1 198.51.100.2 50000 443\r\n',
      `PROXY UNKNOWN ${'x'.repeat(100)}`,
    ]) {
      assert.throws(() => parseProxyHeader(utf8(text)), PeerMisbehavedError, text);
    }
    for (const hex of [
      `0d0a0d0a000d0a515549540b 21 11 000c`,
      `${SIGNATURE} 11 11 000c`,
      `${SIGNATURE} 22 11 000c`,
      `${SIGNATURE} 21 12 000c c0000201 c6336402 c350 01bb`,
      `${SIGNATURE} 21 11 1001`,
      `${SIGNATURE} 21 11 000b c0000201 c6336402 c350 01`,
      `${SIGNATURE} 21 11 0010 c0000201 c6336402 c350 01bb 20 0005 03`,
    ]) {
      assert.throws(() => parseProxyHeader(fromHex(hex)), PeerMisbehavedError, hex);
    }
  });

  it('is read back as it was written, in both versions, and its length is where the rest begins', () => {
    fc.assert(
      fc.property(headers, fc.uint8Array({ maxLength: 20 }), (header, rest) => {
        const bytes = renderProxyHeader(header);
        assert.deepEqual(parseProxyHeader(Uint8Array.of(...bytes, ...rest)), { header, length: bytes.length });
        const { tls: _, ...line } = header;
        const text = renderProxyLine(line);
        assert.deepEqual(parseProxyHeader(Uint8Array.of(...text, ...rest)), { header: line, length: text.length });
      }),
    );
  });

  it('is waited for as long as what has come can be its beginning', () => {
    fc.assert(
      fc.property(headers, fc.boolean(), (header, isLine) => {
        const bytes = isLine ? renderProxyLine(header) : renderProxyHeader(header);
        for (let length = 0; length < bytes.length; length++) assert.equal(parseProxyHeader(bytes.subarray(0, length)), undefined);
      }),
      { numRuns: 30 },
    );
  });

  it('throws nothing but its own errors, and never waits for more than its limits, whatever the bytes', () => {
    const beginnings = fc.constantFrom(
      fromHex(SIGNATURE),
      fromHex(`${SIGNATURE} 21 11`),
      utf8('PROXY '),
      utf8('PROXY TCP4 '),
      new Uint8Array(),
    );
    fc.assert(
      fc.property(beginnings, fc.uint8Array({ maxLength: 5000, size: 'max' }), (beginning, rest) => {
        const bytes = Uint8Array.of(...beginning, ...rest);
        try {
          const parsed = parseProxyHeader(bytes);
          if (parsed === undefined) assert.ok(bytes.length < 16 + 4096, toHex(bytes.subarray(0, 40)));
          else assert.ok(parsed.length <= bytes.length);
        } catch (error) {
          assert.ok(error instanceof PeerMisbehavedError, String(error));
        }
      }),
      { numRuns: 300 },
    );
  });
});
