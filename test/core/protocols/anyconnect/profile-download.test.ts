import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { describe, it } from 'node:test';
import type { ProfileStore } from '../../../../src/core/auth/login-io.ts';
import { CancelledError, NetworkError } from '../../../../src/core/errors.ts';
import { CookieJar } from '../../../../src/core/http/cookies.ts';
import { profileOfCookie, updateProfile } from '../../../../src/core/protocols/anyconnect/profile-download.ts';
import { fromUtf8 } from '../../../../src/core/wire/text.ts';
import { logIn } from '../../../support/anyconnect-login.ts';
import { fetching, init, on, page, type Step, success } from '../../../support/login-script.ts';
import { ScriptedLoginIo } from '../../../support/scripted-login-io.ts';
import { testCrypto } from '../../../support/test-crypto.ts';

const sha1Of = (text: string) => createHash('sha1').update(text).digest('hex').toUpperCase();

class MemoryProfile implements ProfileStore {
  text: string | undefined;

  constructor(text?: string) {
    this.text = text;
  }

  async sha1(): Promise<string | undefined> {
    return this.text === undefined ? undefined : sha1Of(this.text);
  }

  async replace(profile: Uint8Array): Promise<void> {
    this.text = fromUtf8(profile);
  }
}

/** The end of a log-in that announces a profile with this hash. */
function ending(sha1: string, { file = 'type="profile" service-type="user"', rev = '1.0' } = {}): Step {
  const manifest = `<vpn rev="${rev}"><file type="binary"/><file ${file}><uri>/profiles/vpn.xml</uri><hash type="md5">x</hash><hash type="sha1">${sha1}</hash></file></vpn>`;
  return on(init('/'), success(`<config client="vpn" type="private"><vpn-profile-manifest>${manifest}</vpn-profile-manifest></config>`));
}

const download = (response = page('<new/>')) => on(fetching('/profiles/vpn.xml', { cookie: 'webvpn=SESSION' }), response);

describe('profile at the end of an AnyConnect log-in', () => {
  it('replaces another one, with the headers and cookies of the log-in', async () => {
    for (const before of [undefined, '<old/>']) {
      const profile = new MemoryProfile(before);
      await logIn([ending(sha1Of('<new/>').toLowerCase()), download()], { io: { profile } });
      assert.equal(profile.text, '<new/>');
    }
  });

  it('is not fetched again when it is the same', async () => {
    await logIn([ending(sha1Of('<new/>').toLowerCase())], { io: { profile: new MemoryProfile('<new/>') } });
  });

  it('is not fetched where the user keeps none, or none is meant for the user', async () => {
    await logIn([ending(sha1Of('<new/>'))]);
    const io = { profile: new MemoryProfile() };
    await logIn([ending(sha1Of('<new/>'), { file: 'type="profile" service-type="vpn-mgmt"' })], { io });
    await logIn([ending(sha1Of('<new/>'), { rev: '2.0' })], { io });
  });

  it('is not saved with another hash or status, and the log-in succeeds all the same', async () => {
    for (const response of [page('<other/>'), page('<new/>', { status: 404 })]) {
      const profile = new MemoryProfile('<old/>');
      const { io } = await logIn([ending(sha1Of('<new/>')), download(response)], { io: { profile } });
      assert.equal(profile.text, '<old/>');
      assert.match(io.log.lines.join('\n'), /error profile not updated status=/);
    }
  });

  it('is found by the cookie webvpnc as well', async () => {
    const profile = new MemoryProfile();
    const webvpnc = `webvpnc=bu:/&p:t&iu:1/&sh:AA&lu:/+CSCOT+/translation-table?textdomain%3DAnyConnect%26type%3Dmanifest&fu:profiles%2Fvpn.xml&fh:${sha1Of('<new/>')}`;
    const headers = [
      ['Set-Cookie', 'webvpn=SESSION; Secure'],
      ['Set-Cookie', `${webvpnc}; path=/`],
    ] as const;
    await logIn(
      [on(init('/'), success('', headers)), on(fetching('/profiles/vpn.xml', { cookie: `webvpn=SESSION; ${webvpnc}` }), page('<new/>'))],
      {
        io: { profile },
      },
    );
    assert.equal(profile.text, '<new/>');
  });

  it('is worth no failure, but a log-in that is cancelled ends', async () => {
    const io = new ScriptedLoginIo([], { crypto: testCrypto(), profile: new MemoryProfile() });
    const reference = { uri: '/p', sha1: 'AA' };
    await updateProfile(io, reference, () => Promise.reject(new NetworkError('gone')));
    assert.deepEqual(io.log.lines, ['error profile not updated reason=gone']);
    await assert.rejects(
      updateProfile(io, reference, () => Promise.reject(new CancelledError())),
      CancelledError,
    );
  });
});

describe('cookie webvpnc', () => {
  const parsed = (value: string) => {
    const jar = new CookieJar();
    jar.set('webvpnc', value);
    return profileOfCookie(jar);
  };

  it('names a profile with a base, a file and a hash', () => {
    assert.deepEqual(parsed('bu:/x/&fu:a%2Fb%2fc.xml&fh:AB'), { uri: '/x/a/b/c.xml', sha1: 'AB' });
    assert.equal(profileOfCookie(new CookieJar()), undefined);
  });

  it('names none without one of them, or with a part that has no value', () => {
    for (const value of ['fu:a&fh:AB', 'bu:/&fh:AB', 'bu:/&fu:a', 'bu:/&fu:a&fh:', 'bux&fu:a&fh:AB', '&&&'])
      assert.equal(parsed(value), undefined, value);
  });
});
