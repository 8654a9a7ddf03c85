import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import fc from 'fast-check';
import { ownerOf, renderResolvConf, withoutDeadSessions } from '../../../src/node/network/resolv-conf.ts';

const dns = { session: '12-34-0', device: 'tun0', servers: ['10.0.0.1'], searchDomains: ['corp.example'] };
const nobody = () => false;

describe('the resolv.conf of a tunnel', () => {
  it('has its servers alone, its domains first, the old options, and the old file in comments', () => {
    const before = '; by hand\nsearch old.example\ndomain lan.example\nnameserver 192.0.2.53\noptions edns0 trust-ad\noptions timeout:1';
    assert.equal(
      renderResolvConf({ ...dns, servers: ['10.0.0.1', 'fd00::1', '10.0.0.2', '10.0.0.3'] }, before),
      `# sallyport 12-34-0 file
# DNS of tun0. The lines after "#|" are the file that was here before; it comes back when the tunnel ends.
nameserver 10.0.0.1
nameserver fd00::1
nameserver 10.0.0.2
search corp.example lan.example
options edns0 timeout:1
#|; by hand
#|search old.example
#|domain lan.example
#|nameserver 192.0.2.53
#|options edns0 trust-ad
#|options timeout:1
`,
    );
  });

  it('gives back the file it replaced, whatever that was', () => {
    fc.assert(
      fc.property(fc.option(fc.string({ unit: fc.constantFrom('\n', '#', '|', 'a', ' ', '\r', '\u00ff', '\0') })), (before) => {
        const content = renderResolvConf(dns, before);
        assert.equal(ownerOf(content), '12-34-0');
        assert.equal(withoutDeadSessions(content, nobody), before);
      }),
    );
  });

  it('does so through several tunnels, as far as they are gone', () => {
    const first = renderResolvConf({ ...dns, session: '1-1-1' }, 'nameserver 192.0.2.53\n');
    const second = renderResolvConf({ ...dns, session: '2-2-2' }, first);
    assert.equal(withoutDeadSessions(second, nobody), 'nameserver 192.0.2.53\n');
    assert.equal(
      withoutDeadSessions(second, (session) => session === '1-1-1'),
      first,
    );
    assert.equal(
      withoutDeadSessions(second, (session) => session === '2-2-2'),
      second,
    );
  });

  it('is not seen in files of others', () => {
    for (const content of [null, '', 'nameserver 192.0.2.53\n', '# sallyport\n', 'x\n# sallyport 1-2-3 file\n', '# sallyport 1-2-3 file']) {
      assert.equal(ownerOf(content), undefined);
      assert.equal(withoutDeadSessions(content, nobody), content);
    }
  });
});
