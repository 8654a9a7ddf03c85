/** Array's formats: the specification's bytes, round trips, and whatever else may come. */
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import fc from 'fast-check';
import { MisuseError, PeerMisbehavedError, PeerRefusedError, SallyportError } from '../../../../src/core/errors.ts';
import { CookieJar } from '../../../../src/core/http/cookies.ts';
import { addressOfInteger, integerOfAddress } from '../../../../src/core/protocols/array/address-integer.ts';
import { renderClientId } from '../../../../src/core/protocols/array/client-id.ts';
import { parseOptions, parseSettings, renderOptions, renderSettings } from '../../../../src/core/protocols/array/configuration.ts';
import { CONTROL_TYPES, controlTypeAt, renderControl } from '../../../../src/core/protocols/array/control-packet.ts';
import {
  AnswerReader,
  MESSAGE_TYPES,
  OPTIONS_REQUEST,
  RequestReader,
  renderAnswer,
  SETTINGS_REQUEST,
} from '../../../../src/core/protocols/array/exchange-message.ts';
import { parseLoginScript } from '../../../../src/core/protocols/array/login.ts';
import { PacketStream } from '../../../../src/core/protocols/array/packet-stream.ts';
import { parseSessionCookie, renderSessionCookie } from '../../../../src/core/protocols/array/session-cookie.ts';
import { renderTunnelRequest, TunnelRequests } from '../../../../src/core/protocols/array/tunnel-request.ts';
import { Secret } from '../../../../src/core/secret.ts';
import { packetBytes, packetOf } from '../../../../src/core/tunnel/packet.ts';
import { formatCidr, formatIp, parseCidr, parseIp } from '../../../../src/core/wire/ip-address.ts';
import { fromHex, fromUtf8, toHex, utf8 } from '../../../../src/core/wire/text.ts';
import { CollectingSink } from '../../../support/collecting-sink.ts';

const ip = (text: string) => parseIp(text) ?? assert.fail(text);
const cidr = (text: string) => parseCidr(text) ?? assert.fail(text);

/** Nothing but errors of ours, whatever happens. */
function survives(run: () => unknown): void {
  try {
    run();
  } catch (error) {
    assert.ok(error instanceof SallyportError, String(error));
  }
}

describe('an IPv4 address as an integer', () => {
  it('has its bytes from the lowest on (spec 4.3)', () => {
    for (const [text, integer] of [
      ['1.2.3.4', 67305985],
      ['10.9.8.7', 117967114],
      ['10.9.8.53', 889719050],
      ['255.255.255.0', 16777215],
      ['10.0.0.0', 10],
      ['255.0.0.0', 255],
      ['192.168.200.1', 29927616],
      ['8.8.8.8', 134744072],
    ] as const) {
      assert.equal(integerOfAddress(ip(text)), integer);
      assert.equal(addressOfInteger(integer), text);
    }
  });

  it('may have a sign, and is nothing else than an integer of 32 bits', () => {
    assert.equal(addressOfInteger(-1), '255.255.255.255');
    assert.equal(addressOfInteger(-0x8000_0000), '0.0.0.128');
    for (const wrong of [0x1_0000_0000, -0x8000_0001, 1.5, Number.NaN, '1', null, undefined, [1]]) {
      assert.equal(addressOfInteger(wrong), undefined);
    }
  });

  it('reads back what it writes', () => {
    fc.assert(
      fc.property(fc.ipV4(), (text) => {
        const integer = integerOfAddress(ip(text));
        assert.equal(addressOfInteger(integer), text);
        assert.equal(addressOfInteger(integer | 0), text);
      }),
    );
  });
});

describe('the questions and answers of a tunnel', () => {
  it('are the specification’s bytes (spec 12)', () => {
    assert.equal(toHex(OPTIONS_REQUEST), '50000000000000000000000000000000');
    assert.equal(toHex(SETTINGS_REQUEST).length, 96);
    const answer = renderAnswer(MESSAGE_TYPES.optionsAnswer, renderOptions({ hasDatagrams: false, keepalive: 10_000 })) ?? assert.fail();
    assert.equal(toHex(answer.subarray(0, 16)), '5100000000000000000000004c000000');
    assert.equal(fromUtf8(answer.subarray(16)), '{"allow_speed_tunnel":0,"speed_tunnel_encryption":0,"keepalive_interval":10}');
  });

  it('is over where its object is, in whatever pieces it comes, and whatever its header says', () => {
    const json = '{"a":"}\\"{","b":[{"c":1}]}';
    const bytes = Uint8Array.of(...fromHex('ff'.repeat(16)), ...utf8(json), 0x45, 0);
    for (let size = 1; size <= bytes.length; size++) {
      const reader = new AnswerReader();
      let found: ReturnType<AnswerReader['push']>;
      let at = 0;
      while (found === undefined && at < bytes.length) {
        found = reader.push(bytes.subarray(at, at + size));
        at += size;
      }
      assert.deepEqual(found?.value, JSON.parse(json));
      assert.deepEqual([...(found?.rest ?? []), ...bytes.subarray(Math.min(at, bytes.length))], [0x45, 0]);
    }
  });

  it('refuses what is no object, too deep or too long', () => {
    const pushed = (text: string) => new AnswerReader().push(Uint8Array.of(...new Uint8Array(16), ...utf8(text)));
    for (const text of ['[1]', 'x', '{"a":}', `{"a":${'['.repeat(20)}`]) assert.throws(() => pushed(text), PeerMisbehavedError);
    assert.throws(() => new AnswerReader().push(Uint8Array.of(...new Uint8Array(16), 0x7b, ...new Uint8Array(70_000).fill(0x20))), /65536/);
    assert.equal(renderAnswer(0x55, { a: 'x'.repeat(16_384) }), undefined);
  });

  it('are told apart by a gateway, in pieces too', () => {
    const reader = new RequestReader();
    assert.equal(reader.push(0x54, SETTINGS_REQUEST.subarray(0, 20)), undefined);
    assert.deepEqual(reader.push(0x54, Uint8Array.of(...SETTINGS_REQUEST.subarray(20), 7)), Uint8Array.of(7));
    assert.throws(() => new RequestReader().push(0x50, SETTINGS_REQUEST), PeerMisbehavedError);
    const long = new Uint8Array(16);
    long.set([0x54, 0, 0, 0]);
    new DataView(long.buffer).setUint32(12, 4097, true);
    assert.throws(() => new RequestReader().push(0x54, long), PeerMisbehavedError);
  });

  it('throw nothing but errors of ours', () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 200 }), fc.json(), (bytes, json) => {
        survives(() => new AnswerReader().push(bytes));
        survives(() => new AnswerReader().push(Uint8Array.of(...new Uint8Array(16), ...utf8(json))));
        survives(() => new RequestReader().push(0x50, bytes));
        survives(() => new RequestReader().push(0x54, Uint8Array.of(0x54, ...bytes)));
      }),
      { numRuns: 500 },
    );
  });
});

describe('the configuration', () => {
  const ANSWER =
    '{"client_ipv4":117967114,"client_ipv4_mask":16777215,"include_network_resource":{"ipv4":[{"ip":10,"mask":255}]},' +
    '"exclude_network_resource":{"ipv4":[{"ip":266,"mask":65535}]},"dns_servers":[{"ipv4":[889719050]}],"search_domains":["corp.example"],"proxy_script":{}}';

  it('is read from the specification’s answer (spec 4.3)', () => {
    const { config, warnings } = parseSettings(JSON.parse(ANSWER));
    assert.deepEqual([config.ipv4 && formatIp(config.ipv4.address), config.ipv4?.prefix], ['10.9.8.7', 24]);
    assert.deepEqual(config.include.map(formatCidr), ['10.0.0.0/8']);
    assert.deepEqual(config.exclude.map(formatCidr), ['10.1.0.0/16']);
    assert.deepEqual(config.dns.map(formatIp), ['10.9.8.53']);
    assert.deepEqual(config.searchDomains, ['corp.example']);
    assert.deepEqual(warnings, []);
  });

  it('needs an address and nothing else', () => {
    assert.equal(parseSettings({ client_ipv4: 117967114 }).config.ipv4?.prefix, undefined);
    for (const client_ipv4 of [undefined, 0, 127, -1, 'x', 1.5]) assert.throws(() => parseSettings({ client_ipv4 }), PeerMisbehavedError);
  });

  it('leaves out what is wrong, with a warning', () => {
    const routes = [{ ip: 10, mask: 0x00ff_00ff }, { ip: 10 }, 'x', { ip: '10', mask: 255 }, { ip: 10, mask: 255 }];
    const { config, warnings } = parseSettings({
      client_ipv4: 117967114,
      include_network_resource: { ipv4: routes, ipv6: [{}] },
      dns_servers: [{ ipv4: [1.5, 134744072], ipv6: ['2001:db8::1', 'no'] }, 'x'],
      search_domains: ['-x', 'a.example', 7],
    });
    assert.deepEqual(config.include.map(formatCidr), ['10.0.0.0/8']);
    assert.deepEqual(config.dns.map(formatIp), ['8.8.8.8', '2001:db8::1']);
    assert.deepEqual(config.searchDomains, ['a.example']);
    assert.equal(warnings.length, 8);
  });

  it('reads back what it writes', () => {
    const config = {
      ...{ nbns: [], splitDns: [], vendorOptions: [] },
      ipv4: { address: ip('10.77.0.50'), prefix: 24 },
      dns: [ip('10.77.0.1')],
      searchDomains: ['corp.example'],
      include: [cidr('10.0.0.0/8'), cidr('192.0.2.1/32')],
      exclude: [cidr('10.1.0.0/16')],
    };
    assert.deepEqual(parseSettings(renderSettings({ ...config, include: [...config.include, cidr('fd00::/8')] })).config, config);
    assert.deepEqual(renderSettings({ ...config, dns: [], searchDomains: [], include: [], exclude: [] }), {
      client_ipv4: integerOfAddress(config.ipv4.address),
      client_ipv4_mask: 16777215,
    });
    const options = { hasDatagrams: true, keepalive: 7000 };
    assert.deepEqual(parseOptions(renderOptions(options)), options);
    assert.deepEqual(parseOptions(renderOptions({ hasDatagrams: false })), { hasDatagrams: false });
    assert.deepEqual(parseOptions({ allow_speed_tunnel: '1', keepalive_interval: -5 }), { hasDatagrams: false });
  });

  it('throws nothing but errors of ours, and never an address that no interface can have', () => {
    const keys = ['client_ipv4', 'client_ipv4_mask', 'include_network_resource', 'dns_servers', 'search_domains', 'ipv4', 'ip', 'mask'];
    const value = fc.letrec((tie) => ({
      any: fc.oneof(
        { maxDepth: 3 },
        fc.integer(),
        fc.double(),
        fc.string(),
        fc.constant(null),
        fc.array(tie('any'), { maxLength: 4 }),
        tie('object'),
      ),
      object: fc.dictionary(fc.constantFrom(...keys), tie('any'), { maxKeys: 6 }),
    }));
    fc.assert(
      fc.property(value.object, (answer) => {
        survives(() => parseSettings(answer as Record<string, unknown>));
        survives(() => parseOptions(answer as Record<string, unknown>));
      }),
      { numRuns: 500 },
    );
  });
});

describe('a control packet', () => {
  it('is the specification’s bytes (spec 12)', () => {
    assert.equal(toHex(renderControl(CONTROL_TYPES.keepalive)), '450000140000000000ff00000001000000000000');
    assert.equal(toHex(renderControl(CONTROL_TYPES.datagramGone)), '450000140000000000ff00000005000000000000');
  });

  it('is told from a user’s packet', () => {
    const user = fromHex('4500003400010000400156af0a0908070a090801080037281234000173616c6c79706f72742d746573742d7061796c6f61642d2d');
    assert.equal(controlTypeAt(user, 0), undefined);
    assert.equal(controlTypeAt(Uint8Array.of(0, ...renderControl(6)), 1), 6);
  });
});

describe('the stream of packets', () => {
  const packets = [20, 60, 1400].map((length, i) => {
    const bytes = new Uint8Array(length).fill(i + 1);
    bytes.set([0x45, 0, length >>> 8, length & 0xff, 0, 0, 0, 0, 64, 17]);
    return bytes;
  });
  const ipv6 = Uint8Array.of(0x60, 0, 0, 0, 0, 4, 17, 64, ...new Uint8Array(36));

  it('is cut by IP’s own lengths, whatever the records were', () => {
    const all = [...packets, ipv6];
    const bytes = Uint8Array.from([...all.slice(0, 2), renderControl(1), ...all.slice(2)].flatMap((packet) => [...packet]));
    fc.assert(
      fc.property(fc.array(fc.nat(bytes.length), { maxLength: 12 }), (cuts) => {
        const controls: number[] = [];
        const sink = new CollectingSink();
        const stream = new PacketStream({ control: (type) => controls.push(type) });
        const places = [0, ...cuts.toSorted((a, b) => a - b), bytes.length];
        for (const [i, at] of places.entries()) stream.receive(bytes.slice(at, places[i + 1]), sink);
        assert.deepEqual(sink.packets, all);
        assert.deepEqual(controls, [1]);
      }),
    );
  });

  it('cannot go on behind what is no packet', () => {
    for (const hex of ['50', `4500001300${'00'.repeat(15)}`, `450040ff00${'00'.repeat(15)}`, `60000000ffff${'00'.repeat(34)}`]) {
      assert.throws(() => new PacketStream({ control: () => undefined }).receive(fromHex(hex), new CollectingSink()), PeerMisbehavedError);
    }
  });

  it('sends each packet as one record, and none that no record can hold', () => {
    const sink = new CollectingSink();
    const stream = new PacketStream({ control: () => undefined });
    for (const packet of packets) stream.send(packetOf(packet), sink);
    assert.deepEqual(sink.records, packets);
    const large = packetOf(new Uint8Array(16_385));
    stream.send(large, sink);
    assert.deepEqual([stream.dropped, sink.records.length, packetBytes(large).length], [1, 3, 16_385]);
  });

  it('carries no user’s packet of protocol 255 either way: it would be a control packet at the other end', () => {
    const sink = new CollectingSink();
    const controls: number[] = [];
    const stream = new PacketStream({ control: (type) => controls.push(type) });
    stream.send(packetOf(renderControl(CONTROL_TYPES.keepalive)), sink);
    const withOptions = new Uint8Array(24);
    withOptions.set([0x46, 0, 0, 24, 0, 0, 0, 0, 64, 0xff]);
    stream.send(packetOf(withOptions), sink);
    stream.receive(withOptions, sink);
    assert.deepEqual([stream.dropped, sink.records, sink.packets, controls], [3, [], [], []]);
  });

  it('throws nothing but errors of ours, and holds no more than one packet', () => {
    fc.assert(
      fc.property(fc.array(fc.uint8Array({ maxLength: 80 }), { maxLength: 8 }), (pieces) => {
        const stream = new PacketStream({ control: () => undefined });
        survives(() => {
          for (const piece of pieces) stream.receive(Uint8Array.of(0x45, ...piece), new CollectingSink());
        });
      }),
      { numRuns: 500 },
    );
  });
});

describe('the request for a tunnel', () => {
  it('is the specification’s, header by header (spec 3)', () => {
    const id = renderClientId(fromHex('86c74593aa49b0196f32125e464018a5'));
    assert.equal(id, '86C74593-AA49-B019-6F32-125E464018A5');
    const wish = {
      userAgent: 'Open AnyConnect VPN Agent v9.01',
      cookies: 'ANsession0123456789=abcdef0123',
      clientId: id,
      hostname: 'laptop',
    };
    const expected = [
      'GET /vpntunnel HTTP/1.1',
      'Host: gw.example',
      'User-Agent: Open AnyConnect VPN Agent v9.01',
      'Cookie: ANsession0123456789=abcdef0123',
      'appid: SSPVPN',
      `clientid: ${id}`,
      `cpuid: ${id}`,
      'hostname: laptop',
      'payload-ip-version: 6',
      'x-devtype: 6',
    ];
    const request = renderTunnelRequest({ host: 'gw.example', port: 443, path: '/' }, wish);
    assert.equal(fromUtf8(request), `${expected.join('\r\n')}\r\n\r\n`);
  });

  it('is answered by a yes, a no, or nonsense, none of which is the end before the first tunnel has come and gone', () => {
    const kindOf = (requests: TunnelRequests, status: number) => requests.denial({ status, reason: 'x' })?.kind;
    for (const status of [302, 401, 403, 500, 204]) assert.equal(kindOf(new TunnelRequests(), status), 'unusable', `${status}`);
    assert.ok(new TunnelRequests().denial({ status: 401, reason: 'x' })?.error instanceof PeerRefusedError);
    const requests = new TunnelRequests();
    const answers = (...all: readonly number[]) => all.map((status) => kindOf(requests, status));
    assert.deepEqual(answers(200, 201), [undefined, undefined]);
    assert.deepEqual(answers(500, 503, 401, 500, 204), Array(5).fill('path-lost'), 'one no, and what is none');
    assert.deepEqual(answers(200, 302, 403), [undefined, 'path-lost', 'refused'], 'a tunnel makes up for a no');
  });
});

describe('the cookie', () => {
  it('is all that the jar has, the session’s first', () => {
    const jar = new CookieJar();
    for (const [name, value] of [
      ['other', 'x'],
      ['ANsession0123456789', 'abc'],
    ] as const)
      jar.set(name, value);
    const cookie = renderSessionCookie(jar) ?? assert.fail();
    assert.equal(cookie.reveal(), 'ANsession0123456789=abc; other=x');
    assert.deepEqual(parseSessionCookie(cookie), [
      { name: 'ANsession0123456789', value: 'abc' },
      { name: 'other', value: 'x' },
    ]);
    assert.equal(renderSessionCookie(new CookieJar()), undefined);
  });

  it('is no text without a session, and is not shown', () => {
    for (const text of ['', 'abc', 'webvpn=secret', 'ANsession=', 'ANsession1=a\r\nX: secret', `ANsession1=${'x'.repeat(5000)}`]) {
      assert.throws(
        () => parseSessionCookie(new Secret(text)),
        (error) => error instanceof MisuseError && !error.message.includes('secret'),
      );
    }
  });
});

describe('the script of a login page', () => {
  it('says why', () => {
    assert.equal(parseLoginScript('var a=1;\nvar _AN_str_errormsg_login = "Wrong\u001b password";'), 'Wrong password');
    assert.match(parseLoginScript("_AN_str_errormsg_login='No.'") ?? '', /^No\.$/);
    for (const script of ['', '_AN_str_errormsg_login = ""', '_AN_str_errormsg_login = f()'])
      assert.equal(parseLoginScript(script), undefined);
    fc.assert(fc.property(fc.string(), (text) => void parseLoginScript(`_AN_str_errormsg_login = "${text}"`)));
  });
});
