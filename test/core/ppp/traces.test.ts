/** The worked traces of spec "PPP", section 12, byte for byte: one of our ends against the other end's lines. */
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { silentLogger } from '../../../src/core/log.ts';
import { f5Encapsulation, fortinetEncapsulation, HDLC, RAW } from '../../../src/core/ppp/encapsulation.ts';
import { FULL_ACCM, maxHdlcLength, writeHdlcFrame } from '../../../src/core/ppp/hdlc.ts';
import { PppLink } from '../../../src/core/ppp/link.ts';
import type { ClientNetwork, GatewayNetwork, PppLinkOptions } from '../../../src/core/ppp/link-options.ts';
import { packetOf } from '../../../src/core/tunnel/packet.ts';
import { type IpAddress, parseIp } from '../../../src/core/wire/ip-address.ts';
import { fromHex, toHex } from '../../../src/core/wire/text.ts';
import { CollectingSink } from '../../support/collecting-sink.ts';
import { ScriptedCrypto } from '../../support/scripted-crypto.ts';

const CLIENT_MAGIC = fromHex('11223344');
const GATEWAY_MAGIC = fromHex('a1b2c3d4');
const FROM_CLIENT = fromHex('4500001400000000 40ff65e9 0a000002 0a000001');
const FROM_GATEWAY = fromHex('4500001400000000 40ff65e9 0a000001 0a000002');

function address(text: string): IpAddress {
  const parsed = parseIp(text);
  assert.ok(parsed);
  return parsed;
}

const GATEWAY_IPV4 = { own: address('10.0.0.1'), peer: address('10.0.0.2'), dns: [address('10.0.0.53')], nbns: [] };

function hdlcFrame(body: string): string {
  const bytes = fromHex(body);
  const room = new Uint8Array(maxHdlcLength(bytes.length));
  return toHex(room.subarray(0, writeHdlcFrame(room, new Uint8Array(0), bytes, 0, bytes.length, FULL_ACCM)));
}

class End {
  readonly sink = new CollectingSink();
  readonly link: PppLink;
  now = 0;

  constructor(network: ClientNetwork | GatewayNetwork, options: Pick<PppLinkOptions, 'encapsulation' | 'mtu'> & Partial<PppLinkOptions>) {
    const crypto = new ScriptedCrypto([network.role === 'client' ? CLIENT_MAGIC : GATEWAY_MAGIC]);
    this.link = new PppLink({ carrier: 'stream', crypto, log: silentLogger, network, ...options });
    this.link.handleTimeout(this.now, this.sink);
  }

  receives(hex: string): void {
    this.link.receive(fromHex(hex), this.now, this.sink);
  }

  sends(hex: string): void {
    assert.equal(toHex(this.sink.records.shift() ?? new Uint8Array(0)), hex.replaceAll(' ', ''));
  }

  isSilent(): void {
    assert.deepEqual(this.sink.records.map(toHex), []);
  }

  waits(): void {
    const due = this.link.nextTimeout();
    assert.ok(due !== undefined);
    this.now = due;
    this.link.handleTimeout(due, this.sink);
  }
}

describe('trace 12.1, Fortinet', () => {
  const [c1, s2, s3, c4, c5, s6, s7, c8, s9, c10, c11, s12, c13, s14] = [
    '00 18 50 50 00 12 ff 03 c0 21 01 01 00 0e 01 04 05 a5 05 06 11 22 33 44',
    '00 12 50 50 00 0c c0 21 01 01 00 0a 05 06 a1 b2 c3 d4',
    '00 16 50 50 00 10 c0 21 02 01 00 0e 01 04 05 a5 05 06 11 22 33 44',
    '00 14 50 50 00 0e ff 03 c0 21 02 01 00 0a 05 06 a1 b2 c3 d4',
    '00 14 50 50 00 0e ff 03 80 21 01 01 00 0a 03 06 0a 00 00 02',
    '00 12 50 50 00 0c 80 21 01 02 00 0a 03 06 0a 00 00 01',
    '00 12 50 50 00 0c 80 21 02 01 00 0a 03 06 0a 00 00 02',
    '00 14 50 50 00 0e ff 03 80 21 02 02 00 0a 03 06 0a 00 00 01',
    '00 10 50 50 00 0a c0 21 09 03 00 08 a1 b2 c3 d4',
    '00 12 50 50 00 0c ff 03 c0 21 0a 03 00 08 11 22 33 44',
    '00 1e 50 50 00 18 ff 03 00 21 45 00 00 14 00 00 00 00 40 ff 65 e9 0a 00 00 02 0a 00 00 01',
    '00 1c 50 50 00 16 00 21 45 00 00 14 00 00 00 00 40 ff 65 e9 0a 00 00 01 0a 00 00 02',
    '00 0e 50 50 00 08 ff 03 c0 21 05 02 00 04',
    '00 0c 50 50 00 06 c0 21 06 02 00 04',
  ] as const;

  it('is what the client says', () => {
    const ipv4 = { address: address('10.0.0.2'), asksServers: false };
    const end = new End({ role: 'client', ipv4 }, { encapsulation: fortinetEncapsulation('client'), mtu: 1445 });
    end.sends(c1);
    end.receives(s2);
    end.receives(s3);
    end.sends(c4);
    end.sends(c5);
    end.receives(s6);
    end.receives(s7);
    end.sends(c8);
    assert.deepEqual(end.link.state, {
      name: 'up',
      terms: { mtu: 1445, ipv4: { local: address('10.0.0.2'), remote: address('10.0.0.1'), dns: [], nbns: [] } },
    });
    end.receives(s9);
    end.sends(c10);
    end.link.send(packetOf(FROM_CLIENT), end.now, end.sink);
    end.sends(c11);
    end.receives(s12);
    assert.deepEqual(end.sink.packets.map(toHex), [toHex(FROM_GATEWAY)]);
    end.link.close(end.now, end.sink);
    end.sends(c13);
    end.receives(s14);
    assert.equal(end.link.state.name, 'closed');
    end.isSilent();
  });

  it('is what the gateway says', () => {
    const encapsulation = fortinetEncapsulation('gateway');
    const end = new End({ role: 'gateway', ipv4: GATEWAY_IPV4 }, { encapsulation, mtu: 1445, sendsMru: false, dpd: 10_000 });
    end.receives(c1);
    end.sends(s2);
    end.sends(s3);
    end.receives(c4);
    end.receives(c5);
    end.sends(s6);
    end.sends(s7);
    end.receives(c8);
    end.waits();
    end.sends(s9);
    end.receives(c10);
    end.receives(c11);
    assert.deepEqual(end.sink.packets.map(toHex), [toHex(FROM_CLIENT)]);
    end.link.send(packetOf(FROM_GATEWAY), end.now, end.sink);
    end.sends(s12);
    end.receives(c13);
    end.sends(s14);
    assert.equal(end.link.state.name, 'closed');
    end.isSilent();
  });
});

describe('trace 12.2, a gateway that insists on its MTU', () => {
  it('repeats its MRU after a Nak, and the client adopts it', () => {
    const end = new End({ role: 'gateway', ipv4: GATEWAY_IPV4 }, { encapsulation: fortinetEncapsulation('gateway'), mtu: 1400 });
    end.sends('00 16 50 50 00 10 c0 21 01 01 00 0e 01 04 05 78 05 06 a1 b2 c3 d4');
    end.receives('00 18 50 50 00 12 ff 03 c0 21 01 01 00 0e 01 04 05 a5 05 06 11 22 33 44');
    end.sends('00 16 50 50 00 10 c0 21 02 01 00 0e 01 04 05 a5 05 06 11 22 33 44');
    end.receives('00 12 50 50 00 0c ff 03 c0 21 03 01 00 08 01 04 05 a5');
    end.sends('00 16 50 50 00 10 c0 21 01 02 00 0e 01 04 05 78 05 06 a1 b2 c3 d4');
    end.isSilent();
  });
});

describe('trace 12.3, F5, everything asked through PPP', () => {
  const [c1, s2, s3, c4, c5, s6, s7, c8, c9, s10, c11, s12] = [
    'f5 00 00 16 ff 03 c0 21 01 01 00 12 01 04 05 aa 05 06 11 22 33 44 07 02 08 02',
    'f5 00 00 1c ff 03 c0 21 01 01 00 18 01 04 05 aa 02 06 00 00 00 00 05 06 a1 b2 c3 d4 07 02 08 02',
    'f5 00 00 16 ff 03 c0 21 02 01 00 12 01 04 05 aa 05 06 11 22 33 44 07 02 08 02',
    'f5 00 00 1c ff 03 c0 21 02 01 00 18 01 04 05 aa 02 06 00 00 00 00 05 06 a1 b2 c3 d4 07 02 08 02',
    'f5 00 00 24 80 21 01 01 00 22 03 06 00 00 00 00 81 06 00 00 00 00 82 06 00 00 00 00 83 06 00 00 00 00 84 06 00 00 00 00',
    'f5 00 00 0e ff 03 80 21 01 02 00 0a 03 06 0a 00 00 01',
    'f5 00 00 1a ff 03 80 21 04 01 00 16 82 06 00 00 00 00 83 06 00 00 00 00 84 06 00 00 00 00',
    'f5 00 00 0c 80 21 02 02 00 0a 03 06 0a 00 00 01',
    'f5 00 00 12 80 21 01 02 00 10 03 06 00 00 00 00 81 06 00 00 00 00',
    'f5 00 00 14 ff 03 80 21 03 02 00 10 03 06 0a 00 00 02 81 06 0a 00 00 35',
    'f5 00 00 0c 80 21 01 03 00 0a 03 06 0a 00 00 02',
    'f5 00 00 0e ff 03 80 21 02 03 00 0a 03 06 0a 00 00 02',
  ] as const;
  const terminate = 'f5 00 00 17 ff 03 c0 21 05 04 00 13 53 65 73 73 69 6f 6e 2d 54 69 6d 65 6f 75 74';
  const terminated = 'f5 00 00 08 ff 03 c0 21 06 04 00 04';

  it('is what the client says', () => {
    const end = new End({ role: 'client', ipv4: { asksServers: true } }, { encapsulation: f5Encapsulation('client'), mtu: 1450 });
    end.sends(c1);
    end.receives(s2);
    end.receives(s3);
    end.sends(c4);
    end.sends(c5);
    end.receives(s6);
    end.receives(s7);
    end.sends(c8);
    end.sends(c9);
    end.receives(s10);
    end.sends(c11);
    end.receives(s12);
    assert.deepEqual(end.link.state, {
      name: 'up',
      terms: { mtu: 1450, ipv4: { local: address('10.0.0.2'), remote: address('10.0.0.1'), dns: [address('10.0.0.53')], nbns: [] } },
    });
    end.link.send(packetOf(FROM_CLIENT), end.now, end.sink);
    end.sends('f5 00 00 15 21 45 00 00 14 00 00 00 00 40 ff 65 e9 0a 00 00 02 0a 00 00 01');
    end.receives(terminate);
    end.sends(terminated);
    assert.equal(end.link.state.name, 'closed');
    assert.deepEqual(end.link.state, {
      name: 'closed',
      reason: { kind: 'ended-by-peer', message: 'The other side ended the link: Session-Timeout' },
    });
  });

  it('is what the gateway says, but for headers that it sends short once the client asked for it', () => {
    const end = new End({ role: 'gateway', ipv4: GATEWAY_IPV4 }, { encapsulation: f5Encapsulation('gateway'), mtu: 1450 });
    const short = (line: string) => {
      const payload = line.replaceAll(' ', '').slice(12);
      return `f500${(payload.length / 2).toString(16).padStart(4, '0')}${payload}`;
    };
    end.sends(s2);
    end.receives(c1);
    end.sends(s3);
    end.receives(c4);
    end.receives(c5);
    end.sends(short(s6));
    end.sends(short(s7));
    end.receives(c8);
    end.receives(c9);
    end.sends(short(s10));
    end.receives(c11);
    end.sends(short(s12));
    assert.equal(end.link.state.name, 'up');
    end.receives('f5 00 00 06 80 fd 01 01 00 04'); // CCP
    end.sends('f5 00 00 0e ff 03 c0 21 08 03 00 0a 80 fd 01 01 00 04');
    end.link.close(end.now, end.sink, 'Session-Timeout');
    end.sends(terminate);
    end.receives(terminated);
    assert.equal(end.link.state.name, 'closed');
  });

  it('gives an interface identifier to a client that has none', () => {
    const client = new End({ role: 'client', ipv6: {} }, { encapsulation: f5Encapsulation('client'), mtu: 1450 });
    client.receives(s2);
    client.receives(s3);
    client.sink.records.length = 0;
    client.link.receive(fromHex('f5 00 00 12 ff 03 80 57 01 02 00 0e 01 0a 00 00 00 00 00 00 00 01'), 0, client.sink);
    client.receives('f5 00 00 12 ff 03 80 57 03 01 00 0e 01 0a 00 00 00 00 00 00 00 aa');
    client.sends('f5 00 00 10 80 57 02 02 00 0e 01 0a 00 00 00 00 00 00 00 01');
    client.sends('f5 00 00 10 80 57 01 02 00 0e 01 0a 00 00 00 00 00 00 00 aa');
    client.receives('f5 00 00 12 ff 03 80 57 02 02 00 0e 01 0a 00 00 00 00 00 00 00 aa');
    assert.ok(client.link.state.name === 'up');
    assert.deepEqual(client.link.state.terms.ipv6?.linkLocal, address('fe80::aa'));
  });
});

describe('trace 12.4, HDLC', () => {
  const [c1, s2, s3, c4, c5, s6, c7, s8] = [
    '7e ff 7d 23 c0 21 7d 21 7d 21 7d 20 7d 38 7d 21 7d 24 7d 25 7d 5d 7d 22 7d 26 7d 20 7d 20 7d 20 7d 20 7d 25 7d 26 7d 31 22 33 44 7d 27 7d 22 7d 28 7d 22 bb e0 7e',
    '7e ff 7d 23 c0 21 7d 21 7d 21 7d 20 7d 38 7d 21 7d 24 7d 25 7d 5d 7d 22 7d 26 7d 20 7d 20 7d 20 7d 20 7d 25 7d 26 a1 b2 c3 d4 7d 27 7d 22 7d 28 7d 22 b3 7d 2b 7e',
    '7e ff 7d 23 c0 21 7d 22 7d 21 7d 20 7d 38 7d 21 7d 24 7d 25 7d 5d 7d 22 7d 26 7d 20 7d 20 7d 20 7d 20 7d 25 7d 26 7d 31 22 33 44 7d 27 7d 22 7d 28 7d 22 77 7d 2d 7e',
    '7e ff 7d 23 c0 21 7d 22 7d 21 7d 20 7d 38 7d 21 7d 24 7d 25 7d 5d 7d 22 7d 26 7d 20 7d 20 7d 20 7d 20 7d 25 7d 26 a1 b2 c3 d4 7d 27 7d 22 7d 28 7d 22 7f e6 7e',
    '7e 80 21 01 01 00 0a 03 06 0a 00 00 02 d1 39 7e',
    '7e ff 7d 23 80 21 7d 22 7d 21 7d 20 7d 2a 7d 23 7d 26 7d 2a 7d 20 7d 20 7d 22 c6 a3 7e',
    '7e 21 45 00 00 14 00 00 00 00 40 ff 65 e9 0a 00 00 02 0a 00 00 01 e1 e6 7e',
    '7e 21 45 7d 20 7d 20 7d 34 7d 20 7d 20 7d 20 7d 20 40 ff 65 e9 7d 2a 7d 20 7d 20 7d 21 7d 2a 7d 20 7d 20 7d 22 b6 c9 7e',
  ] as const;

  it('is what the client says', () => {
    const ipv4 = { address: address('10.0.0.2'), asksServers: false };
    const end = new End({ role: 'client', ipv4 }, { encapsulation: HDLC, mtu: 1405 });
    end.sends(c1);
    end.receives(s2);
    end.receives(s3);
    end.sends(c4);
    end.sends(c5);
    end.receives(s6);
    end.receives(hdlcFrame('ff 03 80 21 01 02 00 04')); // the trace leaves out the gateway's request: one without an address
    assert.equal(end.link.counters.malformed, 0);
    end.sink.records.length = 0;
    assert.equal(end.link.state.name, 'up');
    end.link.send(packetOf(FROM_CLIENT), end.now, end.sink);
    end.sends(c7);
    end.receives(s8);
    assert.equal(end.sink.packets.length, 1);
  });

  it('begins as the gateway does', () => {
    const end = new End({ role: 'gateway', ipv4: GATEWAY_IPV4 }, { encapsulation: HDLC, mtu: 1405 });
    end.receives(c1);
    end.sends(s2);
    end.sends(s3);
    end.receives(c4);
    end.receives(c5);
    assert.equal(end.sink.records.length, 2);
  });
});

describe('trace 12.5, raw', () => {
  it('is what the client says first', () => {
    const end = new End({ role: 'client', ipv4: { asksServers: false } }, { encapsulation: RAW, mtu: 1454 });
    end.sends('ff 03 c0 21 01 01 00 12 01 04 05 ae 05 06 11 22 33 44 07 02 08 02');
  });
});

describe('a client that takes less than the gateway', () => {
  it('is asked for as much as it takes: openconnect adopts what it is asked for, both ways', () => {
    const end = new End({ role: 'gateway', ipv4: GATEWAY_IPV4 }, { encapsulation: f5Encapsulation('gateway'), mtu: 1400 });
    end.sends('f5 00 00 1c ff 03 c0 21 01 01 00 18 01 04 05 78 02 06 00 00 00 00 05 06 a1 b2 c3 d4 07 02 08 02');
    end.receives('f5 00 00 12 ff 03 c0 21 01 01 00 0e 01 04 05 4c 05 06 11 22 33 44');
    end.sends('f5 00 00 12 ff 03 c0 21 02 01 00 0e 01 04 05 4c 05 06 11 22 33 44');
    end.sends('f5 00 00 1c ff 03 c0 21 01 02 00 18 01 04 05 4c 02 06 00 00 00 00 05 06 a1 b2 c3 d4 07 02 08 02');
    end.receives('f5 00 00 1c ff 03 c0 21 02 01 00 18 01 04 05 78 02 06 00 00 00 00 05 06 a1 b2 c3 d4 07 02 08 02');
    end.isSilent();
    end.receives('f5 00 00 1c ff 03 c0 21 02 02 00 18 01 04 05 4c 02 06 00 00 00 00 05 06 a1 b2 c3 d4 07 02 08 02');
    end.sends('f5 00 00 0e ff 03 80 21 01 03 00 0a 03 06 0a 00 00 01');
  });
});
