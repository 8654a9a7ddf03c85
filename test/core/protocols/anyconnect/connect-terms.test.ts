import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import type { ConnectOffer } from '../../../../src/core/protocols/anyconnect/connect-offer.ts';
import { agreeOnTerms, type DatagramTerms, type GatewayTerms } from '../../../../src/core/protocols/anyconnect/connect-terms.ts';
import type { PathFacts } from '../../../../src/core/tunnel/machine.ts';
import { parseIp } from '../../../../src/core/wire/ip-address.ts';

const ip = (text: string) => parseIp(text) ?? assert.fail(text);
const ID = new Uint8Array(32).fill(9);

const OFFER: ConnectOffer = {
  family: 'openconnect',
  encodings: ['lzs', 'oc-lz4'],
  baseMtu: 1500,
  mtu: 1390,
  wantsIpv4: true,
  wantsIpv6: true,
  hasFullIpv6: true,
  previous: [],
};

const offering = (suites: readonly string[], suites12: readonly string[] = []): ConnectOffer => ({
  ...OFFER,
  datagram: { masterSecret: new Uint8Array(48).fill(1), suites, suites12, encodings: ['lzs'] },
});

const DATAGRAM: DatagramTerms = {
  port: 4433,
  id: ID,
  times: {},
  allowsPsk: true,
  suites: ['OC-DTLS1_2-AES256-GCM', 'AES256-SHA', 'AES128-SHA'],
  suites12: ['AES256-GCM-SHA384', 'AES128-GCM-SHA256'],
};

const TERMS: GatewayTerms = {
  config: {
    ipv4: { address: ip('10.0.0.9'), prefix: 24 },
    ipv6: { address: ip('fd00::9'), prefix: 64 },
    dns: [ip('10.0.0.1'), ip('fd00::1')],
    ...{ nbns: [], searchDomains: [], splitDns: [], exclude: [], vendorOptions: [] },
    include: [
      { address: ip('10.0.0.0'), prefix: 8 },
      { address: ip('fd00::'), prefix: 8 },
    ],
  },
  linkMtu: 1500,
  times: {},
  encodings: ['oc-lz4', 'lzs'],
  datagram: DATAGRAM,
};

function facts(remote: string, more: Partial<PathFacts> = {}): PathFacts {
  const end = { address: ip(remote), port: 1 };
  return { local: end, remote: end, engine: false, tls: { cipherSuite: 'TLSv1.3', exported: new Uint8Array(32).fill(1) }, ...more };
}

const V4 = facts('192.0.2.1');
const V6 = facts('2001:db8::1');

describe('The terms of a tunnel', () => {
  // Spec "AnyConnect", section 8.2: what ocserv 1.1.6 answers.
  it('have the MTU that ocserv reckons', () => {
    const mtus = (offer: ConnectOffer, path: PathFacts, terms: GatewayTerms = TERMS) => {
      const { baseMtu, config } = agreeOnTerms(offer, terms, path);
      return [baseMtu, config.mtu];
    };
    assert.deepEqual(mtus(offering(['PSK-NEGOTIATE']), V4), [1500, 1434]);
    assert.deepEqual(mtus(offering(['PSK-NEGOTIATE']), V6), [1500, 1414]);
    assert.deepEqual(mtus(offering(['AES128-SHA']), V4), [1500, 1406]);
    assert.deepEqual(mtus(OFFER, V4), [1500, 1472]);
    assert.deepEqual(mtus({ ...offering(['PSK-NEGOTIATE']), baseMtu: 0, mtu: 1399 }, V4), [1493, 1427]);
  });

  it('have no larger MTU than the client, the gateway or the path can have, and none that IP cannot live with', () => {
    const link = (offer: Partial<ConnectOffer>, path: PathFacts, linkMtu = 1500) =>
      agreeOnTerms({ ...OFFER, ...offer }, { ...TERMS, linkMtu }, path).baseMtu;
    assert.equal(link({ baseMtu: 1400 }, V4), 1400);
    assert.equal(link({ baseMtu: 9000 }, V4), 1500);
    assert.equal(link({}, V4, 1350), 1350);
    assert.equal(link({}, facts('192.0.2.1', { pathMtu: 1300 })), 1300);
    assert.equal(link({ baseMtu: 0, mtu: 0 }, V4), 1500);
    assert.equal(agreeOnTerms({ ...OFFER, baseMtu: 100 }, TERMS, V4).config.mtu, 576);
  });

  it('prefer a pre-shared key, then what is newer, then what the gateway likes best', () => {
    const chosen = (offer: ConnectOffer, terms: Partial<DatagramTerms> = {}, path: PathFacts = V4) => {
      const { datagram } = agreeOnTerms(offer, { ...TERMS, datagram: { ...DATAGRAM, ...terms } }, path);
      if (datagram === undefined) return undefined;
      const { association } = datagram;
      return association.mode === 'psk' ? 'psk' : `${association.suite.version} ${association.suite.name}`;
    };
    const all = offering(['AES128-SHA', 'PSK-NEGOTIATE', 'OC-DTLS1_2-AES256-GCM'], ['AES128-GCM-SHA256', 'AES256-GCM-SHA384']);
    assert.equal(chosen(all), 'psk');
    assert.equal(chosen(offering([], ['PSK-NEGOTIATE'])), 'psk');
    assert.equal(chosen(all, { allowsPsk: false }), '1.2 AES256-GCM-SHA384');
    assert.equal(chosen(all, { suites12: ['AES128-GCM-SHA256'], allowsPsk: false }), '1.2 AES128-GCM-SHA256');
    assert.equal(chosen(offering(['AES128-SHA', 'AES256-SHA'])), '0.9 AES256-SHA');
    assert.equal(chosen(offering(['AES128-SHA']), { suites: [] }), undefined);
    assert.equal(chosen(offering(['DES-CBC-SHA'], ['NULL']), { suites: ['DES-CBC-SHA'], suites12: ['NULL'] }), undefined, 'none of ours');
    assert.equal(chosen(OFFER), undefined);
    assert.equal(agreeOnTerms(all, { ...TERMS, datagram: undefined as never }, V4).datagram, undefined);
  });

  it('have no pre-shared key where TLS exports none', () => {
    const plain = facts('192.0.2.1', { tls: { cipherSuite: 'TLSv1.2' } });
    assert.equal(agreeOnTerms(offering(['PSK-NEGOTIATE']), TERMS, plain).datagram, undefined);
    const { datagram } = agreeOnTerms(offering(['PSK-NEGOTIATE', 'AES256-SHA']), TERMS, plain);
    assert.equal(datagram?.association.mode, 'resumption');
  });

  it('compress as the gateway prefers among what the client offers, each channel by itself', () => {
    const { stream, datagram } = agreeOnTerms(offering(['PSK-NEGOTIATE']), TERMS, V4);
    assert.equal(stream.compression, 'oc-lz4');
    assert.equal(datagram?.compression, 'lzs');
    assert.equal(agreeOnTerms({ ...OFFER, encodings: ['deflate'] }, TERMS, V4).stream.compression, undefined);
    assert.equal(agreeOnTerms(OFFER, { ...TERMS, encodings: [] }, V4).stream.compression, undefined);
  });

  it('have nothing of a family that the client does not want, or that its MTU does not carry', () => {
    const config = (offer: Partial<ConnectOffer>, path = V4) => agreeOnTerms({ ...OFFER, ...offer }, TERMS, path).config;
    for (const without of [config({ wantsIpv6: false }), config({ baseMtu: 1300 }, V6)]) {
      assert.equal(without.ipv6, undefined);
      assert.ok([...without.dns, ...without.include.map(({ address }) => address)].every(({ family }) => family === 4));
      assert.equal(without.include.length, 1);
    }
    assert.equal(config({ wantsIpv4: false }).ipv4, undefined);
    assert.deepEqual(config({}).dns, TERMS.config.dns);
  });
});
