/** CISCO_CSTP_OPTIONS of each vendor, as openconnect 9.01 has it at a gateway that says all of it. */
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { PROTOCOL_IDS, type ProtocolId } from '../../../src/core/auth/protocol-id.ts';
import { silentLogger } from '../../../src/core/log.ts';
import type { ProtocolSettings } from '../../../src/core/protocols/client-protocol.ts';
import { loadClientProtocol } from '../../../src/core/protocols/registry.ts';
import type { TunnelConfig } from '../../../src/core/tunnel/config.ts';
import { scriptOptions } from '../../../src/core/tunnel/script-options.ts';
import { parseCidr, parseIp } from '../../../src/core/wire/ip-address.ts';
import { NodeCrypto } from '../../../src/node/crypto/node-crypto.ts';
import { CLIENT } from '../../support/anyconnect-login.ts';

const ip = (text: string) => parseIp(text) ?? assert.fail(text);
const cidr = (text: string) => parseCidr(text) ?? assert.fail(text);

const SETTINGS: ProtocolSettings = {
  ...{ crypto: new NodeCrypto(), log: silentLogger, client: CLIENT, usesXml: true, httpAuth: [], compression: 'none' },
  ...{ wantsIpv6: true, usesDatagrams: false, datagramCiphers: { allowsLegacy: false } },
};

const CONFIG: TunnelConfig = {
  mtu: 1400,
  ipv4: { address: ip('10.11.3.50'), prefix: 22 },
  ipv6: { address: ip('fd00:11::9'), prefix: 128 },
  gatewayIpv4: ip('10.11.3.1'),
  dns: [ip('10.0.0.53'), ip('10.0.0.54'), ip('fd00::53')],
  nbns: [ip('10.0.0.60')],
  searchDomains: ['corp.example', 'lab.example'],
  splitDns: [],
  include: [cidr('10.0.0.0/8'), cidr('192.168.0.0/16'), cidr('fd00::/8')],
  exclude: [cidr('10.99.0.0/16')],
  vendorOptions: [],
};

const DNS_IPV4 = 'DNS=10.0.0.54 DNS=10.0.0.53';
const DNS = `DNS=fd00::53 ${DNS_IPV4}`;
const SEARCH = 'search=corp.example_lab.example';
const BY_NETMASK = 'split-include=192.168.0.0/255.255.0.0 split-include=10.0.0.0/255.0.0.0';

/** Blanks part them here; those in a value are underlined. Observed. */
const EXPECTED: Readonly<Record<ProtocolId, string | undefined>> = {
  anyconnect: undefined,
  gp: `split-exclude=10.99.0.0/16 split-include=192.168.0.0/16 split-include=10.0.0.0/8 ${SEARCH} WINS=10.0.0.60 ${DNS} ipaddr6=fd00:11::9 netmask=255.255.252.0 ipaddr=10.11.3.50`,
  fortinet: `${SEARCH} ipaddr6=fd00:11::9/128 DNS=fd00::53 ipaddr=10.11.3.50 ${DNS_IPV4}`,
  f5: `ppp_ipv6=fd00:11::9 ppp_ipv4=10.11.3.50 search=corp.example,lab.example ${DNS} split-exclude=10.99.0.0/16 split-include=fd00::/8 split-include=192.168.0.0/16 split-include=10.0.0.0/8`,
  // In front the gateway's address, by the name of the client's.
  nc: `ipaddr=10.11.3.1 netmask=255.255.252.0 ipaddr=10.11.3.50 WINS=10.0.0.60 split-exclude=10.99.0.0/255.255.0.0 ${BY_NETMASK} ${SEARCH} ${DNS}`,
  pulse: `split-include6=fd00::/8 ip6netmask=fd00:11::9/128 ip6addr=fd00:11::9 gateway=10.11.3.1 netmask=255.255.252.0 ipaddr=10.11.3.50 WINS=10.0.0.60 ${SEARCH} ${DNS} split-exclude=10.99.0.0/255.255.0.0 ${BY_NETMASK}`,
  // Networks that stay outside are not "split-include" here.
  array: `${SEARCH} ${DNS} split-exclude=10.99.0.0/255.255.0.0 ${BY_NETMASK} client_ipv4_mask=255.255.252.0 client_ipv4=10.11.3.50`,
};

describe('what a script sees of a vendor’s own options', () => {
  for (const protocol of PROTOCOL_IDS) {
    it(`has openconnect’s names and order with ${protocol}`, async () => {
      const { scriptOptions: options } = await loadClientProtocol(protocol, SETTINGS);
      const said = options && scriptOptions(CONFIG, options).map(([name, value]) => `${name}=${value}`.replaceAll(' ', '_'));
      assert.equal(said?.join(' '), EXPECTED[protocol]);
    });
  }

  it('leaves out what there is not', async () => {
    const { ipv4: _, ipv6: __, gatewayIpv4: ___, ...others } = CONFIG;
    const bare = { ...others, dns: [], nbns: [], searchDomains: [], include: [], exclude: [] };
    for (const protocol of PROTOCOL_IDS) {
      const { scriptOptions: options = [] } = await loadClientProtocol(protocol, SETTINGS);
      assert.deepEqual(scriptOptions(bare, options), []);
    }
  });
});
