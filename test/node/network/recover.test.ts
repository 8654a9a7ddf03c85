import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import {
  closeSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  openSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { after, beforeEach, describe, it } from 'node:test';
import { CancelledError } from '../../../src/core/errors.ts';
import { NetworkConfigurator } from '../../../src/node/network/configurator.ts';
import { recover } from '../../../src/node/network/recover.ts';
import { renderResolvConf } from '../../../src/node/network/resolv-conf.ts';
import type { FakeMachine } from './fake-machine.ts';
import { GATEWAY, ip, lanMachine, RESOLV_CONF_BEFORE, tunnel } from './samples.ts';

const root = mkdtempSync(path.join(tmpdir(), 'sallyport-recover-'));
after(() => rmSync(root, { recursive: true }));
let directory = root;
let count = 0;
beforeEach(() => {
  directory = path.join(root, String(++count));
});

const journals = () => (existsSync(directory) ? readdirSync(directory) : []);

/** Sets a tunnel up and lets its process look dead. */
async function crashed(machine: FakeMachine, device = 'tun0', address = '10.99.0.50'): Promise<void> {
  const alive = new Set(journals());
  const config = tunnel({ only: 4, ipv4: { address: ip(address), prefix: 32 } });
  await new NetworkConfigurator({ device, gateway: GATEWAY, directory, machine }).apply(config);
  for (const file of journals().filter((name) => !alive.has(name))) edit(file, (text) => text);
}

/** Rewrites a journal, as one of a process that is gone. */
function edit(file: string, change: (text: string) => string): void {
  const from = path.join(directory, file);
  writeFileSync(from, change(readFileSync(from, 'utf8')));
  renameSync(from, path.join(directory, file.replace(/\.\d+-\d+\.jsonl$/, '.999999999-1.jsonl')));
}

describe('the recovery of a network set-up', () => {
  it('undoes it and says so in plain words', async () => {
    const machine = lanMachine();
    const start = machine.snapshot();
    await crashed(machine);
    const reports = await recover({ directory, machine });
    assert.deepEqual(reports, [
      {
        outcome: 'undone',
        lines: [
          `The network set-up of tun0 by process ${process.pid} was left behind.`,
          'Took back the DNS in /etc/resolv.conf.',
          'Took back the route 128.0.0.0/1 by tun0.',
          'Took back the route 0.0.0.0/1 by tun0.',
          'Took back the address 10.99.0.50/32 of tun0.',
          'Took back the MTU 1400 of tun0.',
          'Took back the route to the gateway, 203.0.113.9/32 by eth0 and 192.0.2.1.',
        ],
      },
    ]);
    assert.deepEqual(machine.snapshot(), start);
    assert.deepEqual(machine.reset, ['tun0']);
  });

  it('finds nothing to do without a folder, an empty one, or only living owners', async () => {
    const machine = lanMachine();
    assert.deepEqual(await recover({ directory, machine }), []);
    mkdirSync(directory, { mode: 0o700 });
    assert.deepEqual(await recover({ directory, machine }), []);
    const network = new NetworkConfigurator({ device: 'tun0', gateway: GATEWAY, directory, machine });
    await network.apply(tunnel());
    const state = machine.snapshot();
    assert.deepEqual(await recover({ directory, machine }), []);
    assert.deepEqual(machine.snapshot(), state);
    await network.undo();
  });

  it('leaves alone what another program now has under the same name', async () => {
    const machine = lanMachine();
    await crashed(machine);
    machine.removeLink('tun0');
    machine.links.set('tun0', { index: 42, mtu: 1420, isUp: true, addresses: ['10.99.0.50/32'] });
    machine.routes = [...machine.routes, { dst: '0.0.0.0/1', dev: 'tun0' }];
    const [report] = await recover({ directory, machine });
    assert.deepEqual(report?.lines.slice(1), [
      'Took back the DNS in /etc/resolv.conf.',
      'Took back the route to the gateway, 203.0.113.9/32 by eth0 and 192.0.2.1.',
    ]);
    assert.deepEqual(machine.links.get('tun0'), { index: 42, mtu: 1420, isUp: true, addresses: ['10.99.0.50/32'] });
    assert.equal(machine.lookup('8.8.8.8')?.dev, 'tun0');
    assert.deepEqual(machine.reset, []);
  });

  it('undoes several, the latest first', async () => {
    const machine = lanMachine();
    machine.links.set('tun1', { index: 8, mtu: 1500, isUp: false, addresses: [] });
    const start = machine.snapshot();
    await crashed(machine);
    await crashed(machine, 'tun1', '10.98.0.2');
    const reports = await recover({ directory, machine });
    assert.deepEqual(
      reports.map(({ lines }) => /of (tun\d)/.exec(lines[0] ?? '')?.[1]),
      ['tun1', 'tun0'],
    );
    assert.deepEqual(machine.snapshot(), start);
  });

  it('is done once, however many start it, and all of it', async () => {
    const machine = lanMachine();
    const start = machine.snapshot();
    await crashed(machine);
    const reports = await Promise.all(Array.from({ length: 4 }, () => recover({ directory, machine })));
    assert.equal(reports.flat().length, 1);
    assert.deepEqual(machine.snapshot(), start);
    assert.deepEqual(journals(), []);
  });

  it('keeps the journal of what it could not undo, for the next time', async () => {
    const machine = lanMachine();
    const start = machine.snapshot();
    await crashed(machine);
    machine.trouble = { at: machine.changes.length, how: 'refuse' };
    const [report] = await recover({ directory, machine });
    assert.equal(report?.outcome, 'incomplete');
    assert.match(report?.lines.at(-1) ?? '', /^Could not take back the DNS in \/etc\/resolv\.conf \(/);
    assert.equal(report?.file, path.join(directory, journals()[0] ?? ''));
    const [again] = await recover({ directory, machine });
    assert.equal(again?.outcome, 'undone');
    assert.deepEqual(machine.snapshot(), start);
  });

  it('waits for what its process had started and has not yet ended', { skip: process.platform !== 'linux' }, async () => {
    const machine = lanMachine();
    const start = machine.snapshot();
    await crashed(machine);
    const count = machine.changes.length;
    const journal = openSync(path.join(directory, journals()[0] ?? ''), 'r');
    const orphan = spawn('cat', { stdio: ['pipe', 'ignore', 'inherit', journal] });
    closeSync(journal);
    const recovering = recover({ directory, machine });
    while (!journals()[0]?.includes(`.${process.pid}-`)) await new Promise(setImmediate); // it has taken the journal over
    for (let i = 0; i < 1000; i++) await new Promise(setImmediate);
    orphan.stdin?.end();
    assert.equal(machine.changes.length, count, 'it has not begun');
    assert.equal((await recovering)[0]?.outcome, 'undone');
    assert.deepEqual(machine.snapshot(), start);
  });

  it('undoes what it can read of a journal that has entries it cannot', async () => {
    const machine = lanMachine();
    const start = machine.snapshot();
    await crashed(machine);
    edit(journals()[0] ?? '', (text) => `${text}{"kind":"from the future"}\n`);
    const [report] = await recover({ directory, machine });
    assert.equal(report?.outcome, 'undone');
    assert.equal(report?.lines.at(-1), '1 entries of its journal could not be read.');
    assert.deepEqual(machine.snapshot(), start);
  });

  it('touches nothing for a journal it cannot read', async () => {
    const machine = lanMachine();
    await crashed(machine);
    const state = machine.snapshot();
    edit(journals()[0] ?? '', (text) => text.replace('"version":1', '"version":99'));
    const [report] = await recover({ directory, machine });
    assert.equal(report?.outcome, 'left');
    assert.match(report?.lines.join() ?? '', /not a journal that this version can read/);
    assert.deepEqual(machine.snapshot(), state);
    assert.equal(journals().length, 1);
  });

  it('removes a journal that had only begun', async () => {
    mkdirSync(directory, { mode: 0o700 });
    writeFileSync(path.join(directory, '1-1-1.999999999-1.jsonl'), '{"version":1,"ki');
    assert.deepEqual(await recover({ directory, machine: lanMachine() }), []);
    assert.deepEqual(journals(), []);
  });

  it('can be cancelled before the next one', async () => {
    const machine = lanMachine();
    await crashed(machine);
    await assert.rejects(recover({ directory, machine, signal: AbortSignal.abort() }), CancelledError);
    assert.equal(journals().length, 1);
  });
});

describe('a resolv.conf that outlived a power cut', () => {
  const session = '999999999-1-0';
  const written = renderResolvConf({ session, device: 'tun0', servers: ['10.0.0.1'], searchDomains: [] }, RESOLV_CONF_BEFORE);

  it('is put back from itself, once', async () => {
    const machine = lanMachine();
    machine.files.set('/etc/resolv.conf', written);
    const reports = await recover({ directory, machine });
    assert.deepEqual(reports, [
      { outcome: 'undone', lines: ['/etc/resolv.conf named the DNS servers of a tunnel that is gone. Put back what was there before.'] },
    ]);
    assert.equal(machine.files.get('/etc/resolv.conf'), RESOLV_CONF_BEFORE);
    assert.deepEqual(await recover({ directory, machine }), []);
  });

  it('is left alone while its process lives', async () => {
    const machine = lanMachine();
    const alive = written.replace(session, `${process.pid}-${readFileSync('/proc/self/stat', 'latin1').split(') ')[1]?.split(' ')[19]}-0`);
    machine.files.set('/etc/resolv.conf', alive);
    assert.deepEqual(await recover({ directory, machine }), []);
    assert.equal(machine.files.get('/etc/resolv.conf'), alive);
  });

  it('is reported where it cannot be put back', async () => {
    const machine = lanMachine();
    machine.files.set('/etc/resolv.conf', written);
    machine.trouble = { at: 0, how: 'refuse' };
    const [report] = await recover({ directory, machine });
    assert.equal(report?.outcome, 'incomplete');
  });
});
