import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { after, describe, it } from 'node:test';
import { promisify } from 'node:util';
import { packetBytes, packetOf } from '../../../src/core/tunnel/packet.ts';
import { ScriptTunDevice } from '../../../src/node/devices/script-tun-device.ts';
import { PacketEngine } from '../../../src/node/engine/packet-engine.ts';
import { HANG_LIMIT } from '../../support/size.ts';
import { Arrivals } from '../../support/traffic-peer.ts';

const skip = process.platform === 'linux' ? false : 'the packet engine runs on Linux only';
const folder = mkdtempSync(path.join(tmpdir(), 'sallyport-script-'));
after(() => rmSync(folder, { recursive: true }));

const PROGRAM = path.join(import.meta.dirname, 'script-echo.ts');

/** The device with the program behind it, and what the program writes down. */
async function openEcho(engine: PacketEngine, name: string, mode = '') {
  const file = path.join(folder, name);
  const arrived = new Arrivals<Buffer>();
  const device = await ScriptTunDevice.open(engine, {
    command: `REASON="$why" exec '${process.execPath}' '${PROGRAM}' '${file}' ${mode}`,
    environment: { PATH: process.env.PATH, why: 'script-tun', TUNDEV: undefined },
  });
  device.start((packets) => {
    for (const packet of packets) arrived.push(Buffer.from(packetBytes(packet)));
  });
  return { device, arrived, notes: () => readFileSync(file, 'latin1').split('\n') };
}

describe('script device', { skip, timeout: HANG_LIMIT }, () => {
  it('gives the program one packet a datagram and the environment it was told, and hangs up when it is closed', async () => {
    process.env.LEAKED = 'yes';
    await using engine = await PacketEngine.start();
    const { device, arrived, notes } = await openEcho(engine, 'echo');
    device.write([packetOf(Buffer.from('first')), packetOf(Buffer.alloc(1400, 7))]);
    assert.equal((await arrived.next()).toString('latin1'), '\x99irst');
    const second = await arrived.next();
    assert.deepEqual([second.length, second[0], second[1399]], [1400, 7 ^ 0xff, 7]);
    assert.deepEqual(notes(), ['started script-tun undefined undefined', '']);
    await device.close();
    await device.close();
    assert.deepEqual(notes(), ['started script-tun undefined undefined', 'SIGHUP', '']);
  });

  it('fails when the program ends, and says how it did', async () => {
    await using engine = await PacketEngine.start();
    const { device } = await openEcho(engine, 'ends');
    device.write([packetOf(Buffer.from('exit'))]);
    const error = await device.failed;
    assert.match(error.message, /^The script ".*" ended with status 3\.$/);
    await device.close();
  });

  it('fails when the program cannot be started', async () => {
    await using engine = await PacketEngine.start();
    const device = await ScriptTunDevice.open(engine, { command: '/no/such/program', environment: {} });
    assert.match((await device.failed).message, /ended with status 127\.$/);
    await device.close();
  });

  it('hangs up on the program when the process ends without closing it', async () => {
    const file = path.join(folder, 'left');
    const command = `exec '${process.execPath}' '${PROGRAM}' '${file}'`;
    await promisify(execFile)(process.execPath, [path.join(import.meta.dirname, 'script-user.ts'), command], { timeout: 60_000 });
    // Its output ended with the last process that had it: the program.
    assert.match(readFileSync(file, 'latin1'), /\nSIGHUP\n$/);
  });

  it('kills a program that does not hang up, with all it started', async () => {
    await using engine = await PacketEngine.start();
    const { device, arrived, notes } = await openEcho(engine, 'hang', 'hang');
    device.write([packetOf(Buffer.from('ready?'))]);
    await arrived.next();
    await device.close();
    assert.deepEqual(notes(), ['started script-tun undefined undefined', 'hangs', '']);
  });
});
