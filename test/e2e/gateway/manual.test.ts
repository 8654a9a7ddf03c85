/** What docs/gateway.md says is done as it says, on two machines, and clients come in. */
import assert from 'node:assert/strict';
import { cpSync, existsSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { describe, it } from 'node:test';
import { exportJWK, generateKeyPair, SignJWT } from 'jose';
import { missing } from '../../support/requirements.ts';
import { MANUAL, ManualScene, PASSWORD, ROOT } from './manual-scene.ts';

const skip = missing('root', 'netns', 'tun', 'openconnect', 'openssl', 'ping', 'nft');

const BEGIN = 'You start from nothing';

/** The way in that the other sections build on. */
const OPENCONNECT = 'openconnect --user alice --servercert "pin-sha256:$PIN" vpn.example.com';

/** In the routers' network: behind the gateway, and not on the client's way to it. */
const BEHIND = '10.9.9.9';

describe('the links of the gateway’s manual', () => {
  it('lead somewhere', () => {
    for (const [, file = ''] of MANUAL.matchAll(/\]\(([^)#:]+)\)/g)) assert.ok(existsSync(path.join(ROOT, 'docs', file)), file);
    const headings = new Set([...MANUAL.matchAll(/^##+ (.*)$/gm)].map(([, heading = '']) => heading.toLowerCase().replaceAll(' ', '-')));
    for (const [, heading = ''] of MANUAL.matchAll(/\]\(#([^)]+)\)/g)) assert.ok(headings.has(heading), heading);
  });
});

describe("the gateway's manual", { skip, timeout: 300_000 }, () => {
  it('gets both clients in from nothing', async () => {
    await using scene = await ManualScene.open();
    assert.match(await scene.follow(BEGIN), /gateway\.toml: nothing is wrong\./);
    const commands = scene.clientCommands(BEGIN);
    assert.equal(commands.length, 2);
    for (const command of commands) {
      const client = await scene.connect(command);
      await scene.lab.client.run('ping', ['-c', '1', '-W', '2', '10.11.0.1']);
      await client.stop({ signal: 'SIGINT' });
    }
  });

  it('starts from a file of ocserv', async () => {
    await using scene = await ManualScene.open();
    await scene.shell(
      'mkdir -p /etc/ocserv; cd /etc/ocserv; sallyport-ocpasswd -c passwd alice; openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -subj /CN=vpn.example.com -keyout k -out c',
    );
    await scene.shell(
      'printf "server-cert = /etc/ocserv/c\\nserver-key = /etc/ocserv/k\\n" >>/etc/ocserv/ocserv.conf; id ocserv || useradd -r ocserv',
    );
    const printed = await scene.follow('You have ocserv');
    assert.match(printed, /warning: .*isolate-workers/);
  });

  it('gives groups and users their own settings', async () => {
    await using scene = await ManualScene.open();
    await scene.follow(BEGIN, 'Passwords and groups');
    await scene.shell('sallyport-ocpasswd --passwd /etc/sallyport/passwords --groupname staff alice');
    await scene.restart();
    const client = await scene.connect(OPENCONNECT);
    assert.match(client.output, /Configured as 10\.11\.0\.77/);
    assert.match(await scene.lab.client.run('ip', ['route', 'show', 'dev', 'tun0']), /^172\.16\.0\.0\/12/m);
  });

  it('asks for a code of the telephone', async () => {
    await using scene = await ManualScene.open();
    const printed = await scene.follow(BEGIN, 'A code from the telephone (TOTP)');
    const [, secret] = /&secret=([A-Z2-7]+)$/m.exec(printed) ?? [];
    assert.ok(secret, printed);
    writeFileSync(scene.lab.client.file('/etc/sallyport/alice.totp'), `base32:${secret}\n`);
    await scene.restart();
    for (const command of scene.clientCommands('A code from the telephone (TOTP)')) await scene.connect(command);
    assert.match(scene.read('/etc/sallyport/users.otp'), /^HOTP\/T30\talice\t-\t[0-9a-f]{40}\t-?\d+\t\d{6}\t/m);
  });

  it('lets a certificate in', async () => {
    await using scene = await ManualScene.open();
    await scene.follow(BEGIN, 'Certificates');
    for (const name of ['alice.pem', 'alice.key']) {
      cpSync(scene.lab.server.file(`/etc/sallyport/${name}`), scene.lab.client.file(`/etc/sallyport/${name}`));
    }
    await scene.restart();
    for (const command of scene.clientCommands('Certificates')) await scene.connect(command, { input: '' });
  });

  it('asks Debian’s FreeRADIUS, which signs what it says', { skip: missing('freeradius') }, async () => {
    await using scene = await ManualScene.open();
    await scene.shell(
      `printf 'alice Cleartext-Password := "${PASSWORD}"\\n\\tClass := "OU=staff"\\n' >/etc/freeradius/3.0/mods-config/files/authorize`,
    );
    await scene.follow(BEGIN, 'RADIUS');
    await scene.shell('mkdir -p /run/freeradius && chown freerad: /run/freeradius');
    const server = await scene.start('freeradius -X');
    await server.waitFor(/Ready to process requests/);
    await scene.restart();
    await assert.rejects(scene.connect(OPENCONNECT, { input: 'wrong\n' }));
    await scene.connect(OPENCONNECT);
    await server.waitFor(/Sent Access-Accept[\s\S]*Message-Authenticator/);
    await server.waitFor(/Acct-Status-Type = Start/);
  });

  it('asks PAM', async () => {
    await using scene = await ManualScene.open();
    await scene.follow(BEGIN, 'PAM');
    await scene.shell(`useradd --uid 4711 --user-group alice; echo 'alice:${PASSWORD}' | chpasswd`);
    await scene.restart();
    await scene.connect(OPENCONNECT);
  });

  it('believes a token that a provider has signed', async () => {
    await using scene = await ManualScene.open();
    await scene.follow(BEGIN, 'OpenID Connect');
    const { publicKey, privateKey } = await generateKeyPair('ES256');
    writeFileSync(
      scene.lab.server.file('/etc/sallyport/keys.json'),
      JSON.stringify({ keys: [{ ...(await exportJWK(publicKey)), alg: 'ES256' }] }),
    );
    const claims = { aud: 'vpn', iss: 'https://login.example.com', preferred_username: 'alice' };
    const token = await new SignJWT(claims).setProtectedHeader({ alg: 'ES256' }).setExpirationTime('5m').sign(privateKey);
    writeFileSync(scene.lab.client.file('/etc/sallyport/token.jwt'), token);
    await scene.restart();
    for (const command of scene.clientCommands('OpenID Connect')) await scene.connect(command, { input: '' });
  });

  it('forwards to networks behind it', async () => {
    await using scene = await ManualScene.open();
    await scene.lab.router.ip(`address add ${BEHIND}/32 dev lo`);
    await scene.follow(BEGIN, 'Networks');
    await scene.connect(OPENCONNECT);
    await scene.lab.client.run('ping', ['-c', '1', '-W', '2', BEHIND]);
  });

  it('runs scripts', async () => {
    await using scene = await ManualScene.open();
    await scene.follow(BEGIN, 'Scripts');
    await scene.restart();
    const client = await scene.connect(OPENCONNECT);
    await client.stop({ signal: 'SIGINT' });
    await scene.stop();
    const lines = scene.read('/var/log/sallyport-sessions').trim().split('\n');
    assert.match(lines[0] ?? '', /^connect alice no group 192\.0\.2\.2 as 10\.11\.\d+\.\d+ $/);
    assert.match(lines[1] ?? '', /^disconnect alice no group 192\.0\.2\.2 as 10\.11\.\d+\.\d+ after \d+ s$/);
  });

  it('is controlled and measured', { skip: missing('curl') }, async () => {
    await using scene = await ManualScene.open();
    await scene.follow(BEGIN);
    scene.configure('Control');
    await scene.restart();
    const client = await scene.connect(OPENCONNECT);
    assert.match(await scene.follow('Metrics and log'), /^sallyport_active_sessions 1\n[\s\S]*^ok$/m);
    const said = await scene.follow('Control');
    assert.match(said, /^General info:[\s\S]*^\s+Active sessions: 1$/m);
    assert.match(said, /^user 'alice' was disconnected$/m);
    assert.match(said, /^Server scheduled to reload$/m);
    await client.exited;
  });

  it('keeps sessions over maintenance, a reload and a crash', async () => {
    await using scene = await ManualScene.open();
    await scene.follow(BEGIN);
    scene.configure('Control');
    await scene.restart();
    const client = await scene.connect(OPENCONNECT);
    await scene.follow('Stop, restart, maintenance');
    await scene.shell('sallyport-occtl -s /run/sallyport/control maintenance on');
    await assert.rejects(scene.connect(OPENCONNECT), 'nobody else comes in');
    await scene.shell('sallyport-occtl -s /run/sallyport/control maintenance off; sallyport-occtl -s /run/sallyport/control reload');
    await scene.lab.client.run('ping', ['-c', '1', '-W', '2', '10.11.0.1']);
    await scene.restart('SIGKILL');
    await client.waitFor(/script reconnect ended with 0/, { within: 60_000 });
    await scene.lab.client.run('ping', ['-c', '1', '-W', '2', '10.11.0.1']);
  });

  it('shares port 443 with a web site, behind HAProxy', { skip: missing('haproxy', 'curl') }, async () => {
    await using scene = await ManualScene.open();
    await scene.follow(BEGIN, 'HAProxy');
    await scene.restart();
    const site = await scene.start('openssl s_server -www -accept 127.0.0.1:8443 -cert /etc/sallyport/vpn.pem -key /etc/sallyport/vpn.key');
    await site.waitFor(/^ACCEPT/m);
    const proxy = await scene.start('haproxy -W -f /etc/haproxy/haproxy.cfg');
    await proxy.waitFor(/Loading success/);
    assert.match((await scene.shell('curl --silent --insecure https://127.0.0.1/')).stdout, /s_server/);
    const client = await scene.connect(OPENCONNECT);
    await client.waitFor(/^Established DTLS connection/m);
    await scene.logged(/alice\]:192\.0\.2\.2 user connected/);
  });

  it('shares port 443 with a web site, behind nginx and a unix socket', { skip: missing('nginx', 'curl') }, async () => {
    await using scene = await ManualScene.open();
    await scene.follow(BEGIN, 'nginx, and a unix socket');
    await scene.restart();
    await scene.start("nginx -g 'daemon off;'");
    const site = await scene.shell('curl --silent --insecure --retry 20 --retry-connrefused --retry-delay 1 https://127.0.0.1/');
    assert.equal(site.stdout, 'a web site\n');
    const client = await scene.connect(OPENCONNECT);
    await client.waitFor(/^Established DTLS connection/m);
    await scene.logged(/alice\]:192\.0\.2\.2 user connected/);
  });

  it('is a web site to who does not know the secret', { skip: missing('curl') }, async () => {
    await using scene = await ManualScene.open();
    await scene.follow(BEGIN, 'Camouflage');
    await scene.restart();
    const { stdout } = await scene.shell('curl --silent --insecure --head https://127.0.0.1/');
    assert.match(stdout, /^HTTP\/1\.1 401 [\s\S]*WWW-Authenticate: Basic realm="Intranet"/i);
    await assert.rejects(scene.connect(OPENCONNECT));
    for (const command of scene.clientCommands('Camouflage')) await scene.connect(command);
  });
});
