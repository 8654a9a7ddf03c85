/** The fake gateway's tunnels, driven by the real client: it understands them, so ours can be tested with them. */
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { after, before, describe, it } from 'node:test';
import { type HttpHeaders, type HttpResponse, headerValue } from '../../src/core/http/message.ts';
import { connectRequest } from '../../src/core/protocols/anyconnect/connect-request.ts';
import { CSTP_TYPES } from '../../src/core/protocols/anyconnect/cstp-frame.ts';
import { Secret } from '../../src/core/secret.ts';
import { utf8 } from '../../src/core/wire/text.ts';
import { CLIENT } from '../support/anyconnect-login.ts';
import { type GatewayHandler, type GatewayRequest, startFakeGateway } from '../support/fake-gateway.ts';
import { type FakeTunnel, goodbyeOf } from '../support/fake-tunnel.ts';
import { page, success } from '../support/login-script.ts';
import { type OpenconnectOptions, type OpenconnectRun, runOpenconnect } from '../support/openconnect-run.ts';
import { missing } from '../support/requirements.ts';
import { strapProofHolds } from '../support/strap-proof.ts';

const GRANT: HttpHeaders = [
  ['X-CSTP-Version', '1'],
  ['X-CSTP-Address', '10.1.1.2'],
  ['X-CSTP-Netmask', '255.255.255.0'],
  ['X-CSTP-MTU', '1400'],
];

function connected(headers: HttpHeaders = []): HttpResponse {
  return { version: '1.1', status: 200, reason: 'CONNECTED', headers: [...GRANT, ...headers], body: new Uint8Array(0) };
}

const WITH_COOKIE = ['--cookie=webvpn=COOKIE', '--no-dtls'];

/** An IPv4 packet that nobody answers. */
const PACKET = Uint8Array.from([0x45, 0, 0, 24, 0, 0, 0, 0, 64, 253, 0, 0, 10, 1, 1, 1, 10, 1, 1, 2, 1, 2, 3, 4]);

describe('openconnect 9.01 has a tunnel to the fake gateway', { skip: missing('openconnect', 'openssl', 'bash') }, () => {
  let folder = '';
  /**
   * Says what its environment is, and sends the first packet back. No device and no root. openconnect does not always end it, so it ends itself
   * and keeps none of the pipes that say when openconnect has ended.
   */
  let script = '';
  let environment = '';

  before(async () => {
    folder = await mkdtemp(path.join(tmpdir(), 'sallyport-'));
    script = path.join(folder, 'script');
    environment = path.join(folder, 'environment');
    const echo = 'timeout 5 dd bs=2000 count=1 <&$VPNFD >&$VPNFD';
    await writeFile(script, `#!/bin/bash\nexec >/dev/null 2>&1\nenv > '${environment}'\n${echo}\nexec sleep 5\n`, { mode: 0o700 });
  });

  after(() => rm(folder, { recursive: true, force: true }));

  /** Connects with a cookie; the tunnel's records are checked to be one frame each. */
  async function play(
    handler: GatewayHandler,
    { args = WITH_COOKIE, ...options }: OpenconnectOptions = {},
  ): Promise<{ run: OpenconnectRun; requests: readonly GatewayRequest[] }> {
    await using gateway = await startFakeGateway(handler);
    const run = await runOpenconnect(gateway, { args: ['--script-tun', `--script=exec ${script}`, ...args], ...options });
    return { run, requests: gateway.requests };
  }

  const tunnel =
    (run: (tunnel: FakeTunnel) => Promise<unknown>, headers: HttpHeaders = []): GatewayHandler =>
    () => ({
      response: connected(headers),
      run: async (open) => {
        await run(open);
        // One frame, one record: the length field says where the record ends.
        for (const record of open.records) assert.equal(record.length, 8 + (((record[4] ?? 0) << 8) | (record[5] ?? 0)));
      },
    });

  /** Ends the session and gives the client's last word. */
  async function end(open: FakeTunnel): Promise<string | undefined> {
    open.disconnect();
    return goodbyeOf(await open.nextOf(CSTP_TYPES.disconnect));
  }

  it('with packets both ways and DPD, until the gateway ends it with a reason', async () => {
    let goodbye: string | undefined;
    const { run } = await play(
      tunnel(async (open) => {
        open.send(CSTP_TYPES.dpdRequest, utf8('hello'));
        assert.deepEqual(await open.next(), { type: CSTP_TYPES.dpdResponse, payload: new Uint8Array(0) }, 'it does not echo on TLS');
        open.send(CSTP_TYPES.data, PACKET);
        assert.deepEqual(await open.nextOf(CSTP_TYPES.data), { type: CSTP_TYPES.data, payload: PACKET });
        open.disconnect('Idle Timeout\n!');
        goodbye = goodbyeOf(await open.nextOf(CSTP_TYPES.disconnect));
      }),
    );
    assert.equal(goodbye, 'Server request');
    assert.equal(run.exitCode, 1);
    assert.match(run.stderr, /Received server disconnect: 04 'Idle Timeout\.!'/);
    assert.match(readFileSync(environment, 'utf8'), /^INTERNAL_IP4_ADDRESS=10\.1\.1\.2$/m);
  });

  it('until the gateway kicks it', async () => {
    const { run } = await play(
      tunnel(async (open) => {
        open.terminate();
        assert.equal(goodbyeOf(await open.next()), 'Server request');
      }),
    );
    assert.equal(run.exitCode, 1);
    assert.match(run.stderr, /received server terminate packet/);
  });

  it('until it gets bytes that are no frame', async () => {
    const { run } = await play(
      tunnel(async (open) => {
        open.sendRaw(Uint8Array.from([0x53, 0x54, 0x46, 2, 0, 0, 3, 0]));
        assert.equal(goodbyeOf(await open.next()), 'Unknown packet received');
      }),
    );
    assert.equal(run.exitCode, 1);
  });

  it('and leaves it for another when its requests are not answered', async () => {
    const stall = tunnel(
      async (open) => {
        assert.deepEqual(await open.next(), { type: CSTP_TYPES.dpdRequest, payload: new Uint8Array(0) });
        open.stall();
        await open.closed;
      },
      [['X-CSTP-DPD', '1']],
    );
    const { run } = await play((request) => (request.connection === 1 ? stall(request) : { response: connected(), run: end }));
    assert.match(run.stderr, /Dead Peer Detection detected dead peer/);
  });

  it('again after it was lost, with the addresses of before', async () => {
    const { run, requests } = await play((request) =>
      request.connection === 1 ? { response: connected(), run: async (open) => open.drop() } : { response: connected(), run: end },
    );
    assert.equal(run.exitCode, 1);
    assert.deepEqual(
      requests.map(({ headers }) => headerValue(headers, 'X-CSTP-Address')),
      [undefined, '10.1.1.2'],
    );
  });

  it('until it is told to leave', async () => {
    const leave = new AbortController();
    let goodbye: string | undefined;
    const { run } = await play(
      tunnel(async (open) => {
        open.send(CSTP_TYPES.dpdRequest);
        await open.nextOf(CSTP_TYPES.dpdResponse);
        leave.abort();
        goodbye = goodbyeOf(await open.next());
      }),
      { leave: leave.signal },
    );
    assert.deepEqual([run.exitCode, goodbye], [0, 'Aborted by caller']);
  });

  it('not while the gateway does not answer, and leaves when told to', async () => {
    const leave = new AbortController();
    const { run } = await play(
      () => {
        leave.abort();
        return 'stall';
      },
      { leave: leave.signal },
    );
    assert.equal(run.exitCode, 0);
  });

  it('not with a cookie that is used up, nor when the gateway is full', async () => {
    const refused = await play(() => ({ response: page('', { status: 401, reason: 'Cookie is not acceptable' }) }));
    assert.equal(refused.run.exitCode, 2);
    const full = await play(() => ({
      response: page('', { status: 503, reason: 'Service Unavailable', headers: [['X-Reason', 'no address']] }),
    }));
    assert.equal(full.run.exitCode, 1);
    assert.match(full.run.stderr, /VPN service unavailable; reason: no address/);
  });

  it('asked for with the headers of our CONNECT, in their order', async () => {
    const { requests } = await play(() => ({ response: connected(), run: end }), {
      args: [...WITH_COOKIE, '--os=android'],
    });
    const [request] = requests;
    assert.ok(request !== undefined);
    const value = (name: string) => headerValue(request.headers, name) ?? '';
    const [host = '', port] = value('Host').split(':');
    const ours = connectRequest({
      target: { host, port: Number(port), path: '/' },
      client: {
        ...CLIENT,
        os: 'android',
        userAgent: value('User-Agent'),
        version: value('X-AnyConnect-Identifier-ClientVersion'),
        localHostname: value('X-CSTP-Hostname'),
        mobile: { platformVersion: '1.0', deviceType: 'android', uniqueId: value('X-AnyConnect-Identifier-Device-UniqueID') },
      },
      cookie: new Secret('COOKIE'),
      streamEncodings: ['oc-lz4', 'lzs'],
      baseMtu: Number(value('X-CSTP-Base-MTU')),
      mtu: Number(value('X-CSTP-MTU')),
      wantsIpv6: true,
      previous: [],
    });
    assert.deepEqual(request.headers, ours.headers);
    assert.deepEqual([request.method, request.target], [ours.method, ours.target]);
  });

  it('by a log-in of its own, whose cookie it proves with a new key each time', async () => {
    const known: string[] = [];
    const held: boolean[] = [];
    const { requests } = await play(
      (request: GatewayRequest) => {
        const publicKey = headerValue(request.headers, 'X-AnyConnect-STRAP-Pubkey') ?? '';
        if (request.method === 'POST') {
          known.push(publicKey);
          return { response: success() };
        }
        const proof = { verify: headerValue(request.headers, 'X-AnyConnect-STRAP-Verify') ?? '', publicKey };
        held.push(strapProofHolds(proof, known.at(-1) ?? '', request.clientFinished ?? new Uint8Array(0)));
        known.push(publicKey);
        return { response: connected(), run: held.length === 1 ? async (open: FakeTunnel) => open.drop() : end };
      },
      { args: [] },
    );
    assert.deepEqual(held, [true, true]);
    assert.equal(new Set(known).size, 3, 'a key of its own for the log-in and each CONNECT');
    assert.deepEqual(
      requests.map(({ method }) => method),
      ['POST', 'CONNECT', 'CONNECT'],
    );
    assert.match(headerValue(requests[1]?.headers ?? [], 'X-DTLS-Master-Secret') ?? '', /^[0-9A-F]{96}$/);
  });
});
