/**
 * A Network Connect gateway that has the machine checked before the log-in, and a program of the user's that does it: openconnect 9.01 and our drop-in
 * speak with it alike.
 *
 * Read first: spec "Juniper NC", sections 4.1 and 4.2.
 */
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import { mkdtemp, rm } from 'node:fs/promises';
import { createServer, type Server } from 'node:https';
import type { AddressInfo } from 'node:net';
import { hostname, tmpdir } from 'node:os';
import path from 'node:path';
import { describe, it } from 'node:test';
import { setImmediate } from 'node:timers/promises';
import { DROP_IN } from '../support/drop-in.ts';
import { printed, runOpenconnect } from '../support/openconnect-run.ts';
import { missing } from '../support/requirements.ts';
import { HANG_LIMIT } from '../support/size.ts';
import { type ThrowawayCertificate, throwawayCertificate } from '../support/throwaway-certificate.ts';

const WELCOME = '/dana-na/auth/url_default/welcome.cgi?p=preauth';
const LOGIN = '/dana-na/auth/url_default/login.cgi';
const FORM = `<html><form name="frmLogin" action="login.cgi" method="POST"><input type="text" name="username"><input type="password" name="password">
<input type="hidden" name="realm" value="Users"><input type="submit" name="btnSubmit" value="Sign In"></form></html>`;

/** As the specification has it: a page without a form, until the cookie is the one that the check has brought. */
async function startGateway({ certificatePem: cert, keyPem: key }: ThrowawayCertificate): Promise<Server> {
  const server = createServer({ cert, key }, (request, response) => {
    const reply = (status: number, headers: Record<string, string | string[]>, body = '') =>
      response.writeHead(status, { ...headers, 'Content-Length': body.length }).end(body);
    const isChecked = request.headers.cookie?.includes('DSPREAUTH=after') === true;
    if (request.url === '/') reply(302, { Location: WELCOME, 'Set-Cookie': 'DSSIGNIN=url_default; path=/dana-na/; secure' });
    else if (request.url === WELCOME && isChecked) reply(302, { Location: `${LOGIN}?loginmode=mode_postAuth` });
    else if (request.url === WELCOME) reply(200, { 'Set-Cookie': 'DSPREAUTH=before; path=/dana-na/; secure' }, '<html>an applet</html>');
    else if (request.method === 'POST' && isChecked)
      reply(302, { Location: '/dana/home/starter0.cgi', 'Set-Cookie': 'DSID=0123; path=/; secure' });
    else if (isChecked && request.url?.startsWith(LOGIN)) reply(200, { 'Content-Type': 'text/html' }, FORM);
    else reply(403, {}, 'no');
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  return server;
}

for (const { name, command, needs } of [
  { name: 'openconnect 9.01', command: ['openconnect'], needs: ['openconnect', 'openssl'] },
  { name: 'our drop-in', command: DROP_IN, needs: ['openssl'] },
] as const) {
  describe(`${name} at a gateway with a host check`, { skip: missing(...needs), timeout: HANG_LIMIT }, () => {
    it('lets the user’s program do it, and logs in with what that brings', async () => {
      const folder = await mkdtemp(path.join(tmpdir(), 'sallyport-'));
      const certificate = throwawayCertificate();
      const server = await startGateway(certificate);
      try {
        const wrapper = path.join(folder, 'checker');
        const told = `echo "$1 $TNCC_SHA256 $TNCC_HOSTNAME" >${folder}/told`;
        const answers = `case "$line" in DSSIGNIN*) printf '200\\n3\\nafter\\n600\\n\\n' >&0;; esac`;
        writeFileSync(
          wrapper,
          `#!/bin/sh\n${told}\nwhile read line; do echo "$line" >>${folder}/heard; ${answers}; done\ntouch ${folder}/left\n`,
          {
            mode: 0o755,
          },
        );
        const { port } = server.address() as AddressInfo; // of an address that was asked for
        const run = await runOpenconnect(
          { authority: `127.0.0.1:${port}`, certificate },
          {
            command,
            args: ['--protocol=nc', '--authenticate', '--passwd-on-stdin', '--user=alice', `--csd-wrapper=${wrapper}`],
            stdin: 'secret\n',
          },
        );
        assert.equal(run.exitCode, 0, run.stderr);
        assert.match(printed(run, 'COOKIE') ?? '', /^DSID=0123/);
        while (!existsSync(path.join(folder, 'left'))) await setImmediate(); // it has seen the end
        const read = (file: string) => readFileSync(path.join(folder, file), 'utf8');
        assert.equal(read('told'), `127.0.0.1 ${certificate.pin.replace('pin-sha256:', '')} ${hostname()}\n`);
        assert.equal(read('heard'), 'start\nIC=127.0.0.1\nCookie=before\nDSSIGNIN=url_default\nsetcookie\nCookie=after\n');
      } finally {
        server.close();
        await rm(folder, { recursive: true });
      }
    });
  });
}
