import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { MisuseError } from '../../../src/core/errors.ts';
import { fillRouteCommand, parseRouteCommand } from '../../../src/gateway/network/route-command.ts';
import { cidr } from './lease-requests.ts';

describe('route command', () => {
  it('is split at blanks, but not within quotes', () => {
    const text = `  /sbin/ip  route add\t%{R} 'dev x' "a \\"b\\" \\\\ c" it\\'s e"m"p'ty' "" `;
    assert.deepEqual(parseRouteCommand(text), ['/sbin/ip', 'route', 'add', '%{R}', 'dev x', 'a "b" \\ c', "it's", 'empty', '']);
  });

  it('has the route and the device in its places, each within one word', () => {
    const command = parseRouteCommand('ip route add %{R} dev %{D} "note=%{RI} on %{D}" %{X} %{D}%{D}');
    const filled = fillRouteCommand(command, cidr('172.16.5.0/24'), 'vpns0');
    assert.deepEqual(filled.slice(3), ['172.16.5.0/255.255.255.0', 'dev', 'vpns0', 'note=172.16.5.0/24 on vpns0', '%{X}', 'vpns0vpns0']);
    assert.equal(fillRouteCommand(command, cidr('fdaa::/48'), 'vpns0')[3], 'fdaa::/48');
  });

  for (const text of ['a; b', 'a $(b)', 'a `b`', 'a | b', 'a & b', 'a > b', 'a < b', 'a *', 'a "$HOME"', 'a ~/b', 'a # b', 'a\nb; c']) {
    it(`is refused where it needs a shell: ${JSON.stringify(text)}`, () => {
      assert.throws(
        () => parseRouteCommand(text),
        (error) => error instanceof MisuseError && /needs a shell/.test(error.message),
      );
    });
  }

  it('keeps what is quoted from being a shell’s', () => {
    assert.deepEqual(parseRouteCommand(`a '$(b);*' "x;y" \\;`), ['a', '$(b);*', 'x;y', ';']);
  });

  it('is refused without a program, or with an open quote', () => {
    for (const text of ['', '  ', `''`, `a 'b`, 'a "b', 'a \\', `a "b'`, 'a '.repeat(4000)])
      assert.throws(() => parseRouteCommand(text), MisuseError);
  });
});
