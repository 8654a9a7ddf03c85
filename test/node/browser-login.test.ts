/** A log-in that ends with a browser's coming to this machine. */
import assert from 'node:assert/strict';
import { createServer } from 'node:net';
import { describe, it } from 'node:test';
import { CancelledError, NetworkError, PeerRefusedError, UnsupportedError } from '../../src/core/errors.ts';
import { browseWith } from '../../src/node/browser-login.ts';
import { HANG_LIMIT } from '../support/size.ts';

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

describe('a log-in by browser', { timeout: HANG_LIMIT }, () => {
  it('takes what the browser brings, and nothing else that comes', async () => {
    const port = await freePort();
    const request = { kind: 'returns' as const, url: 'https://vpn.example/remote/saml/start', port, read, timeout: 10_000 };
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

  it('takes what a person has copied, in a page of its own that leads to the log-in', async () => {
    const request = {
      ...{ kind: 'copied' as const, gateway: 'vpn.example', instruction: 'Copy <it>.', timeout: 10_000 },
      isAnswer: (copied: string) => copied === 'the+answer=&',
    };
    const visited: string[] = [];
    const visit = (start: { readonly url: string } | { readonly html: string }) =>
      browseWith(
        async (url) => {
          assert.match(url, /^http:\/\/127\.0\.0\.1:\d+\/[0-9a-f]{32}$/);
          const page = await fetch(url);
          assert.match(page.url, /^http:\/\/127\.0\.0\.1:\d+\/[0-9a-f]{32}$/);
          assert.notEqual(page.url, url, 'what stands in the process list is no longer of use');
          assert.match(page.headers.get('Content-Security-Policy') ?? '', /default-src 'none'.*frame-ancestors 'none'/);
          const html = await page.text();
          visited.push(html);
          const wrong = [new URL('/', url).href, `${page.url}x`, `${page.url}/begin`];
          for (const address of wrong) assert.equal((await fetch(address)).status, 404);
          assert.equal((await fetch(url, { method: 'POST', body: new URLSearchParams({ copied: 'the+answer=&' }) })).status, 404);
          if ('html' in start) {
            const begin = await fetch(new URL(/href="(\/[0-9a-f]{32})"/.exec(html)?.[1] ?? assert.fail(), url));
            assert.equal(await begin.text(), start.html);
            assert.match(begin.headers.get('Content-Security-Policy') ?? '', /^sandbox (?!.*allow-same-origin)/);
          }
          const paste = (copied: string) => fetch(page.url, { method: 'POST', body: new URLSearchParams({ copied }) });
          for (const wrong of ['', 'something', 'x'.repeat(2_000_000)]) assert.equal((await paste(wrong)).status, 400);
          await paste('the+answer=&');
        },
        { ...request, start },
        never,
      );
    assert.equal(await visit({ url: 'https://idp.example/?a=1&b="2"' }), 'the+answer=&');
    assert.equal(await visit({ html: '<form>' }), 'the+answer=&');
    assert.match(visited[0] ?? '', /href="https:\/\/idp\.example\/\?a=1&amp;b=&quot;2&quot;"[\s\S]*Copy &lt;it&gt;\./);
  });

  it('ends with what the page says of a log-in that has failed', async () => {
    const request = {
      ...{ kind: 'copied' as const, start: { url: 'https://idp.example/' }, gateway: 'vpn.example', instruction: '', timeout: 10_000 },
      isAnswer: () => {
        throw new PeerRefusedError('It has failed.');
      },
    };
    const browser = async (url: string) => {
      const page = await fetch(url);
      await fetch(page.url, { method: 'POST', body: 'copied=x' }).catch(() => undefined);
    };
    await assert.rejects(browseWith(browser, request, never), /It has failed/);
  });

  it('ends when two open the page: the first may have been somebody else, who has seen the address', async () => {
    const start = { url: 'https://idp.example/' };
    const request = {
      ...{ kind: 'copied' as const, start, gateway: 'vpn.example', instruction: '', timeout: 10_000 },
      isAnswer: () => true,
    };
    const browser = async (url: string) => {
      await fetch(url, { redirect: 'manual' });
      await fetch(url).catch(() => undefined);
    };
    await assert.rejects(browseWith(browser, request, never), /opened twice/);
  });

  it('ends when nobody comes, when it is cancelled, and where it cannot begin', async () => {
    const port = await freePort();
    const request = { kind: 'returns' as const, url: 'https://vpn.example/', port, read, timeout: 50 };
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
