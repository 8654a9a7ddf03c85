/** A log-in that ends with a browser's coming to this machine. */
import assert from 'node:assert/strict';
import { createServer } from 'node:net';
import { describe, it } from 'node:test';
import { CancelledError, NetworkError, PeerRefusedError, UnsupportedError } from '../../src/core/errors.ts';
import { browseWith } from '../../src/node/browser-login.ts';

const read = (target: string) => /^\/\?id=([0-9a-z-]+)$/.exec(target)?.[1];
const never = new AbortController().signal;

/** A port that is free, as far as one can know. */
async function freePort(): Promise<number> {
  const server = createServer();
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const address = server.address();
  await new Promise((resolve) => server.close(resolve));
  return address !== null && typeof address === 'object' ? address.port : assert.fail();
}

describe('a log-in by browser', { timeout: 20_000 }, () => {
  it('takes what the browser brings, and nothing else that comes', async () => {
    const port = await freePort();
    const request = { url: 'https://vpn.example/remote/saml/start', port, read, timeout: 10_000 };
    const statuses: number[] = [];
    const brought = await browseWith(
      async (url) => {
        assert.equal(url, request.url);
        for (const target of ['/favicon.ico', '/?id=', '/?id=../x', '/?id=abc-1']) {
          statuses.push((await fetch(`http://127.0.0.1:${port}${target}`)).status);
        }
      },
      request,
      never,
    );
    assert.equal(brought, 'abc-1');
    await assert.rejects(fetch(`http://127.0.0.1:${port}/`), 'the port is closed');
    assert.deepEqual(statuses.slice(0, 3), [404, 404, 404]);
  });

  it('ends when nobody comes, when it is cancelled, and where it cannot begin', async () => {
    const port = await freePort();
    const request = { url: 'https://vpn.example/', port, read, timeout: 50 };
    const nothing = async () => undefined;
    await assert.rejects(browseWith(nothing, request, never), PeerRefusedError);
    await assert.rejects(browseWith(nothing, { ...request, timeout: 10_000 }, AbortSignal.abort()), CancelledError);
    await assert.rejects(browseWith('/nonexistent/browser', { ...request, timeout: 10_000 }, never), UnsupportedError);
    const taken = createServer();
    await new Promise<void>((resolve) => taken.listen(port, '127.0.0.1', resolve));
    await assert.rejects(browseWith(nothing, { ...request, timeout: 10_000 }, never), NetworkError);
    taken.close();
  });
});
