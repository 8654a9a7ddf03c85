/**
 * The package in a clean project: packed, installed by npm, compiled against by TypeScript, run as ESM and as CommonJS on the oldest Node that is promised
 * and on the newest that is used here, its examples against a real gateway. A long test, as it fetches packages; skipped, with npm's reason, where no
 * registry can be reached.
 */
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { chmodSync, copyFileSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { after, before, describe, it, type TestContext } from 'node:test';
import { assertBuilt } from '../support/drop-in.ts';
import { FETCH_LIMIT, fetchNode, npm } from '../support/fetched-node.ts';
import { Lab } from '../support/lab.ts';
import { ALICE, Ocserv } from '../support/ocserv.ts';
import { OpenConnect } from '../support/openconnect.ts';
import { HANG_LIMIT, sized } from '../support/size.ts';
import { makeAuthority, makeServerCertificate } from '../support/throwaway-certificates.ts';
import { skip as skipTunnel, TunnelScene } from './tunnel-scene.ts';

const ROOT = path.resolve(import.meta.dirname, '../..');
const EXAMPLES = { client: 'userspace/fetch-inside.mjs', gateway: 'gateway/gateway.mjs' } as const;

interface Manifest {
  readonly engines: { readonly node: string };
  readonly devDependencies: Readonly<Record<string, string>>;
}

const { engines, devDependencies } = JSON.parse(readFileSync(path.join(ROOT, 'package.json'), 'utf8')) as Manifest;
const VERSIONS = [`${engines.node.replace('>=', '')}.0`, devDependencies.node ?? ''];

/** Unpacked, of the package alone. Bytes. */
const MAX_SIZE = 12_000_000;
/** From the start of Node to the library loaded, beyond what Node itself needs: the least of some. Milliseconds. */
const MAX_START = 500;
const STARTS = 9;

const TSCONFIG = {
  compilerOptions: {
    strict: true,
    exactOptionalPropertyTypes: true,
    noUncheckedIndexedAccess: true,
    skipLibCheck: false,
    module: 'nodenext',
    target: 'es2024',
    lib: ['es2024', 'esnext.disposable', 'dom'],
    types: ['node'],
    outDir: 'out',
  },
  files: ['consumer.mts', 'consumer.cts'],
};

const skip = sized<string | false>('a long test: it fetches packages', false) || skipTunnel;

describe('the package in a clean project', { skip, timeout: 2 * FETCH_LIMIT + HANG_LIMIT }, () => {
  let folder = '';
  let obstacle = '';
  let unpackedSize = 0;
  const nodes = new Map<string, string>();

  before(() => {
    assertBuilt();
    folder = mkdtempSync(path.join(tmpdir(), 'sallyport-consumer-'));
    chmodSync(folder, 0o755);
    const project = path.join(folder, 'project');
    mkdirSync(project);
    writeFileSync(path.join(project, 'package.json'), JSON.stringify({ name: 'consumer', private: true }));
    writeFileSync(path.join(project, 'tsconfig.json'), JSON.stringify(TSCONFIG));
    for (const name of TSCONFIG.files) copyFileSync(path.join(import.meta.dirname, 'consumer', name), path.join(project, name));
    for (const example of Object.values(EXAMPLES)) {
      copyFileSync(path.join(ROOT, 'examples', example), path.join(project, path.basename(example)));
    }
    const packed = JSON.parse(npm(ROOT, ['pack', '--json', '--ignore-scripts', '--pack-destination', folder])) as readonly {
      readonly filename: string;
      readonly unpackedSize: number;
    }[];
    unpackedSize = packed[0]?.unpackedSize ?? 0;
    const tools = ['typescript', '@types/node'].map((name) => `${name}@${devDependencies[name]}`);
    try {
      npm(project, ['install', path.join(folder, packed[0]?.filename ?? ''), ...tools]);
      for (const version of VERSIONS) {
        const home = path.join(folder, version);
        mkdirSync(home);
        nodes.set(version, fetchNode(home, version));
      }
    } catch (error) {
      obstacle = error instanceof Error ? error.message : String(error);
    }
  });
  after(() => rmSync(folder, { recursive: true, force: true }));

  /** True, and the test is skipped, where the packages could not be had. */
  function isMissing(context: TestContext): boolean {
    if (obstacle !== '') context.skip(`the packages could not be installed: ${obstacle}`);
    return obstacle !== '';
  }

  const inProject = (name: string) => path.join(folder, 'project', name);
  const run = (program: string, args: readonly string[]) =>
    execFileSync(program, args, { cwd: inProject('.'), encoding: 'utf8', stdio: ['ignore', 'pipe', 'pipe'], timeout: 120_000 });

  it('has types that a strict program compiles with, as ESM and as CommonJS', (context) => {
    if (isMissing(context)) return;
    try {
      run(process.execPath, [inProject('node_modules/typescript/bin/tsc'), '--project', '.']);
    } catch (error) {
      assert.fail((error as { readonly stdout?: string }).stdout ?? String(error));
    }
  });

  it('is small', (context) => {
    if (isMissing(context)) return;
    context.diagnostic(`${(unpackedSize / 1e6).toFixed(1)} MB unpacked`);
    assert.ok(unpackedSize < MAX_SIZE, `${unpackedSize} bytes`);
  });

  for (const version of VERSIONS) {
    describe(`on Node ${version}`, () => {
      const node = () => nodes.get(version) ?? '';

      it('is imported and required', (context) => {
        if (isMissing(context)) return;
        assert.equal(run(node(), ['--version']), `v${version}\n`);
        assert.equal(run(node(), ['out/consumer.mjs']), 'esm\n');
        assert.equal(run(node(), ['out/consumer.cjs']), 'commonjs\n');
      });

      it('starts soon', (context) => {
        if (isMissing(context)) return;
        const least = (program: string) =>
          Math.min(
            ...Array.from({ length: STARTS }, () => {
              const start = performance.now();
              run(node(), ['--input-type=module', '--eval', program]);
              return performance.now() - start;
            }),
          );
        const bare = least('');
        const loaded = least("import 'sallyport'");
        context.diagnostic(`Node ${version}: ${bare.toFixed(0)} ms, with the library ${loaded.toFixed(0)} ms`);
        assert.ok(loaded - bare < MAX_START, `${loaded - bare} ms`);
      });

      it('fetches from inside a VPN, as examples/userspace has it', async (context) => {
        if (isMissing(context)) return;
        await using scene = await TunnelScene.open({ settings: { dns: ['10.77.0.1'], 'default-domain': 'corp.test' } });
        const { client, gateway, ocserv, lab } = scene;
        const authority = await makeAuthority(lab.folder, 'inside-ca');
        const { certificate, key } = await makeServerCertificate(lab.folder, authority, ['inside.test'], 'inside');
        const program = path.join(import.meta.dirname, 'inside-program.ts');
        const inside = await lab.server.start(process.execPath, [program, certificate, key, '10.77.0.1']);
        await inside.waitFor(/^inside$/m);
        const words = [inProject('fetch-inside.mjs'), `https://${gateway}`, ALICE.name, 'http://web.corp.test:8080/', ocserv.pin];
        const { code, stdout, output } = await client.finish(node(), words, { input: `${ALICE.password}\n` });
        assert.equal(code, 0, output);
        assert.equal(stdout, '200 \n');
      });

      it('serves openconnect, as examples/gateway has it', async (context) => {
        if (isMissing(context)) return;
        await using lab = await Lab.open();
        // Started with ocserv's arguments, of which the configuration is the fifth and the example's only one.
        const shell = ['sh', '-c', `exec "$0" ${inProject('gateway.mjs')} "$5"`, node()] as const;
        const gateway = await Ocserv.start(lab, { program: { command: shell, ready: /"event":"listening"/ } });
        const client = await OpenConnect.start(lab.client, { gateway: gateway.gateway, pin: gateway.pin, user: ALICE });
        assert.equal((await client.up()).dtls, 'connected');
        await lab.client.run('ping', ['-c', '1', '-W', '2', '10.77.0.1']);
        await client.disconnect();
        await gateway.stop();
      });
    });
  }
});
