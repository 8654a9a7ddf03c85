/** The report on this machine: when it is sent, what is in it, and what becomes of it where there is none. */
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import type { HostFacts, HostReport, HostReportRequest } from '../../../../src/core/auth/login-io.ts';
import { PeerMisbehavedError } from '../../../../src/core/errors.ts';
import { parseForm } from '../../../../src/core/http/form-urlencoded.ts';
import { attribute, child, childrenNamed, parseXml, textOf, type XmlElement } from '../../../../src/core/markup/xml.ts';
import { reportHost } from '../../../../src/core/protocols/gp/client-host-report.ts';
import { GpHttp } from '../../../../src/core/protocols/gp/client-http.ts';
import { parseHostReport, parseReportForm } from '../../../../src/core/protocols/gp/gateway-host-report.ts';
import { renderHostReport } from '../../../../src/core/protocols/gp/host-report.ts';
import { parseSessionCookie } from '../../../../src/core/protocols/gp/session-cookie.ts';
import { Secret } from '../../../../src/core/secret.ts';
import { parseIp } from '../../../../src/core/wire/ip-address.ts';
import { fromUtf8, utf8 } from '../../../../src/core/wire/text.ts';
import { CLIENT } from '../../../support/anyconnect-login.ts';
import { PlayedIo, reply } from '../../../support/played-io.ts';

const ip = (text: string) => parseIp(text) ?? assert.fail(text);
/** Spec 12. */
const COOKIE = 'authcookie=5ec7e7&portal=GW-N&user=alice&domain=%28empty_domain%29&computer=vm';
const LABEL = '0b90be0154e875e25f8ba20a17e25485';
const CHECK = {
  sent: `POST /ssl-vpn/hipreportcheck.esp client-role=global-protect-full&${COOKIE}&client-ip=10.9.8.7&md5=${LABEL}`,
  answer: reply(200, '<response><hip-report-needed>yes</hip-report-needed></response>'),
};
const FACTS: HostFacts = {
  ...{ os: 'Debian <12> & more', osVendor: 'Linux' },
  interfaces: [{ name: 'eth0', mac: '02:00:00:00:00:01', addresses: [ip('192.0.2.7'), ip('fd00::7')] }],
};

class ReportingIo extends PlayedIo {
  readonly asked: HostReportRequest[] = [];
  report: HostReport | undefined;

  readonly reportHost = async (request: HostReportRequest) => {
    this.asked.push(request);
    return this.report;
  };

  /** Whatever is sent as a report, answered so. */
  override async http(request: Parameters<PlayedIo['http']>[0]) {
    if (request.target.path !== '/ssl-vpn/hipreport.esp') return super.http(request);
    this.requests.push(request);
    return this.answer;
  }
  answer = reply(200, '<response status="success"></response>');
}

async function run(io: PlayedIo): Promise<boolean> {
  const http = new GpHttp(io, { host: 'vpn.example', port: 443, path: '/' }, CLIENT);
  const config = { ipv4: { address: ip('10.9.8.7'), prefix: 32 } };
  return reportHost({ io, http, client: CLIENT, clientVersion: '6.3.3', cookie: parseSessionCookie(new Secret(COOKIE)), config });
}

const at = (root: XmlElement, ...names: string[]) => names.reduce((element, name) => child(element, name) ?? assert.fail(name), root);

describe('GlobalProtect’s host report', () => {
  it('is not sent where it is not wanted', async () => {
    const io = new ReportingIo([{ ...CHECK, answer: reply(200, '<response><hip-report-needed>no</hip-report-needed></response>') }]);
    assert.equal(await run(io), false);
    io.assertFinished();
    assert.deepEqual(io.asked, []);
  });

  it('is what the user’s program has written, which is told no secret', async () => {
    const io = new ReportingIo([CHECK]);
    io.report = { kind: 'written', bytes: utf8('<hip-report name="hip-report"/>') };
    assert.equal(await run(io), true);
    assert.deepEqual(io.asked, [
      {
        arguments: [
          ...['--cookie', 'portal=GW-N&user=alice&domain=%28empty_domain%29&computer=vm', '--client-ip', '10.9.8.7'],
          ...['--md5', LABEL, '--client-os', 'Linux'],
        ],
        environment: { APP_VERSION: '6.3.3' },
      },
    ]);
    const fields = new Map(parseForm(fromUtf8(io.requests.at(-1)?.body ?? assert.fail())));
    assert.deepEqual([fields.get('report'), fields.get('client-ip')], ['<hip-report name="hip-report"/>', '10.9.8.7']);
    io.assertFinished(['5ec7e7']);
  });

  it('is what the machine says of itself without such a program', async () => {
    const io = new ReportingIo([CHECK]);
    io.report = { kind: 'facts', facts: FACTS };
    await run(io);
    const fields = new Map(parseForm(fromUtf8(io.requests.at(-1)?.body ?? assert.fail())));
    const root = parseXml(fields.get('report') ?? '');
    assert.deepEqual([root.name, attribute(root, 'name')], ['hip-report', 'hip-report']);
    const value = (...names: string[]) => textOf(at(root, ...names));
    assert.deepEqual(
      ['md5-sum', 'user-name', 'domain', 'ip-address', 'ipv6-address', 'generate-time', 'hip-report-version'].map((name) => value(name)),
      [LABEL, 'alice', '(empty_domain)', '10.9.8.7', '', '01/15/2027 08:00:00', '4'],
    );
    const entries = childrenNamed(at(root, 'categories'), 'entry');
    assert.deepEqual(entries.map((entry) => attribute(entry, 'name')).slice(0, 3), ['host-info', 'anti-malware', 'disk-backup']);
    const info = entries[0] ?? assert.fail();
    assert.deepEqual([textOf(at(info, 'os')), textOf(at(info, 'os-vendor'))], ['Debian <12> & more', 'Linux']);
    const card = at(info, 'network-interface', 'entry');
    assert.deepEqual(
      [attribute(card, 'name'), textOf(at(card, 'mac-address')), attribute(at(card, 'ip-address', 'entry'), 'name')],
      ['eth0', '02-00-00-00-00-01', '192.0.2.7'],
    );
    assert.ok(
      entries.slice(1).every((entry) => at(entry, 'list').children.length === 0),
      'nobody has looked, and nothing is claimed',
    );
  });

  it('is missed with a warning, and not taken with one: nothing ends for it', async () => {
    const without = new PlayedIo([CHECK]);
    assert.equal(await run(without), true);
    assert.match(without.log.lines.join('\n'), /gets none/);
    for (const answer of [reply(200, '<response status="error"><error>No</error></response>'), reply(500), reply(200, 'nonsense')]) {
      const io = new ReportingIo([CHECK]);
      io.report = { kind: 'facts', facts: FACTS };
      io.answer = answer;
      assert.equal(await run(io), true);
      assert.match(io.log.lines.join('\n'), /does not take/);
    }
  });

  it('is a few words to a gateway', () => {
    const subject = { label: LABEL, user: 'alice', domain: 'd', hostname: 'vm', clientVersion: '6.3.3', addresses: [], now: 0 };
    const summary = { os: FACTS.os, hostname: 'vm', clientVersion: '6.3.3', products: [] };
    assert.deepEqual(parseHostReport(renderHostReport(subject, FACTS)), summary);
    const product = '<entry name="firewall"><list><entry><ProductInfo><Prod name="nft" vendor="x"/></ProductInfo></entry></list></entry>';
    const others = `<hip-report><categories><entry name="${'b'.repeat(500)}"><list><entry/></list></entry>${product}</categories></hip-report>`;
    assert.deepEqual(parseHostReport(others), { os: '', hostname: '', clientVersion: '', products: ['b'.repeat(100), 'firewall'] });
    for (const bad of ['', 'nonsense', '<report/>', '<hip-report>']) assert.throws(() => parseHostReport(bad), PeerMisbehavedError, bad);
    assert.throws(() => parseReportForm({ body: new Uint8Array(1024 * 1024 + 1) }), PeerMisbehavedError);
    const form = parseReportForm({ body: utf8('user=alice&report=a%20b&user=bob') });
    assert.deepEqual([form.get('user'), form.get('report')], ['alice', 'a b']);
  });

  it('can be read whatever names there are in it', () => {
    const facts = { ...FACTS, interfaces: [{ name: 'a"<&\u0000b', mac: '', addresses: [] }] };
    const subject = { label: LABEL, user: '<&>"', domain: '\u0001', hostname: 'é', clientVersion: '6', addresses: [], now: 0 };
    assert.equal(textOf(at(parseXml(renderHostReport(subject, facts)), 'user-name')), '<&>"');
  });
});
