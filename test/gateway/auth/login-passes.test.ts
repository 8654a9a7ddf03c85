/** A log-in at a portal, and what its pass is good for: at this gateway, at another one with the same key, for a time, and for its user. */
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { writeFileSync } from 'node:fs';
import { describe, it } from 'node:test';
import fc from 'fast-check';
import { Secret } from '../../../src/core/secret.ts';
import { DEFAULT_PORTAL } from '../../../src/gateway/config/portal-config.ts';
import { sampleConfig, sampleHost } from '../config-samples.ts';
import { AuthScene, cookieOf, formOf, ip } from './auth-scene.ts';

const LIFE = 300_000;

/** SHA-256 crypt. */
const HASH = execFileSync('openssl', ['passwd', '-5', '-salt', 'sallyport', 'secret'], { encoding: 'utf8' }).trim();

async function openScene(portal: Partial<typeof DEFAULT_PORTAL> | undefined = {}): Promise<AuthScene> {
  const scene = new AuthScene();
  writeFileSync(scene.file('passwords'), `alice:staff,admins:${HASH}\nbob:*:${HASH}\n`);
  await scene.open(configOf(scene, portal));
  return scene;
}

function configOf(scene: AuthScene, portal: Partial<typeof DEFAULT_PORTAL> | undefined) {
  const auth = { required: [{ method: 'plain' as const, passwordFile: scene.file('passwords') }] };
  return sampleConfig({ ...sampleHost({ auth }), ...(portal !== undefined && { portal: { ...DEFAULT_PORTAL, ...portal } }) });
}

/** Logs in at the portal. */
async function passFor(scene: AuthScene, user = 'alice'): Promise<Secret> {
  return cookieOf(await scene.logIn([{ username: user }, { password: new Secret('secret') }], { wantsPass: true }));
}

describe('a pass of a portal', () => {
  it('is no session, and makes one at the gateway for its user and group, without a further question', async () => {
    await using scene = await openScene();
    const pass = await passFor(scene);
    assert.deepEqual(await scene.service.sessions(), []);
    assert.equal(await scene.service.session(pass, ip('192.0.2.7')), undefined);
    const step = await scene.logIn([], { pass: { pass, username: 'alice' } });
    const session = await scene.service.session(cookieOf(step), ip('192.0.2.7'));
    assert.deepEqual([session?.user, session?.group], ['alice', 'staff']);
  });

  it('is good for its user, for its time, and until the gateway stops; after that people are asked', async () => {
    await using scene = await openScene();
    const pass = await passFor(scene);
    const asks = async (username = 'alice') => formOf(await scene.logIn([], { pass: { pass, username } })).id;
    assert.equal(await asks('bob'), 'main');
    scene.now += LIFE - 1;
    cookieOf(await scene.logIn([], { pass: { pass, username: 'alice' } }));
    scene.now += 1;
    assert.equal(await asks(), 'main');
    const other = await passFor(scene);
    await scene.open(configOf(scene, {}));
    assert.equal(formOf(await scene.logIn([], { pass: { pass: other, username: 'alice' } })).id, 'main');
  });

  it('gives another one that is over with it', async () => {
    await using scene = await openScene();
    const first = await passFor(scene);
    scene.now += LIFE - 1000;
    const second = cookieOf(await scene.logIn([], { wantsPass: true, pass: { pass: first, username: 'alice' } }));
    cookieOf(await scene.logIn([], { pass: { pass: second, username: 'alice' } }));
    scene.now += 1000;
    formOf(await scene.logIn([], { pass: { pass: second, username: 'alice' } }));
  });

  it('is over when the user’s passes are revoked, and what was got by it too; a later one is not', async () => {
    await using scene = await openScene();
    writeFileSync(scene.file('key'), 'k'.repeat(32));
    const config = configOf(scene, { passKey: scene.file('key') });
    await scene.open(config);
    const isTaken = async (pass: Secret, username: string) => (await scene.logIn([], { pass: { pass, username } })).type === 'admitted';
    const [first, bobs] = [await passFor(scene), await passFor(scene, 'bob')];
    scene.now += 1000;
    const second = cookieOf(await scene.logIn([], { wantsPass: true, pass: { pass: first, username: 'alice' } }));
    assert.equal(await isTaken(second, 'alice'), true);
    scene.now += 1000;
    await scene.service.revokePasses('alice');
    const now = async () => [await isTaken(first, 'alice'), await isTaken(second, 'alice'), await isTaken(bobs, 'bob')];
    assert.deepEqual(await now(), [false, false, true]);
    scene.now += 1000;
    assert.equal(await isTaken(await passFor(scene), 'alice'), true);
    await scene.service.reload(config);
    assert.deepEqual(await now(), [false, false, true], 'after a reload');
    await scene.open(config);
    assert.deepEqual(await now(), [false, false, true], 'after a restart, which the key outlives');
  });

  it('is good at other gateways that have its key, and at none that has another', async () => {
    await using one = await openScene();
    await using two = await openScene();
    for (const [scene, key] of [
      [one, 'k'.repeat(32)],
      [two, 'k'.repeat(32)],
    ] as const) {
      writeFileSync(scene.file('key'), key);
      await scene.open(configOf(scene, { passKey: scene.file('key') }));
    }
    const pass = await passFor(one);
    cookieOf(await two.logIn([], { pass: { pass, username: 'alice' } }));
    writeFileSync(two.file('key'), 'K'.repeat(32));
    formOf(await two.logIn([], { pass: { pass, username: 'alice' } }));
  });

  it('is not given under a key that is too short or missing, and the administrator is told', async () => {
    await using scene = await openScene({ passKey: '/nonexistent/key' });
    const logIn = () => scene.logIn([{ username: 'alice' }, { password: new Secret('secret') }], { wantsPass: true });
    assert.equal((await logIn()).type, 'refused');
    writeFileSync(scene.file('key'), 'short');
    await scene.open(configOf(scene, { passKey: scene.file('key') }));
    assert.equal((await logIn()).type, 'refused');
    const reasons = scene.logged.flatMap(({ fields }) => String(fields?.reason ?? ''));
    assert.match(reasons.join('\n'), /No such file or directory[\s\S]*32 bytes at least/);
  });

  it('is neither given nor taken where there is no portal', async () => {
    await using scene = await openScene();
    const pass = await passFor(scene);
    await scene.open(configOf(scene, undefined));
    formOf(await scene.logIn([], { pass: { pass, username: 'alice' } }));
    assert.equal((await scene.logIn([{ username: 'alice' }, { password: new Secret('secret') }], { wantsPass: true })).type, 'refused');
  });

  it('is nothing once a byte of it is another, and any other text is nothing', async () => {
    await using scene = await openScene();
    const pass = Buffer.from((await passFor(scene)).reveal(), 'base64url');
    const tried = async (text: string) => formOf(await scene.logIn([], { pass: { pass: new Secret(text), username: 'alice' } }));
    for (const at of [0, 11, 12, pass.length >> 1, pass.length - 1]) {
      const forged = Buffer.from(pass);
      forged.writeUInt8(forged.readUInt8(at) ^ 1, at);
      await tried(forged.toString('base64url'));
    }
    await fc.assert(
      fc.asyncProperty(fc.string({ maxLength: 100 }), async (text) => void (await tried(text))),
      { numRuns: 20 },
    );
    await tried('x'.repeat(10_000));
  });
});
