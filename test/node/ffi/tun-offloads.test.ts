/** A TUN that outlives its programs, after one that had asked for offloads and did not live to take that back. */
import assert from 'node:assert/strict';
import { createSocket, type Socket } from 'node:dgram';
import { existsSync } from 'node:fs';
import { it } from 'node:test';
import { setImmediate } from 'node:timers/promises';
import { LINUX, libc } from '../../../src/node/ffi/libc.ts';
import { closeTun, openTun, resetTun } from '../../../src/node/ffi/tun.ts';
import { checksumFault } from '../../support/capture.ts';
import { inNamespace, ip } from '../../support/namespace.ts';
import { HANG_LIMIT } from '../../support/size.ts';

const NAME = 'tunk';

inNamespace('a TUN that outlives its programs', import.meta.filename, () => {
  const c = libc('the test');

  function die(): void {
    closeTun(c, [openTun(c, NAME, { hasHeader: true, hasUdp: true }).fd]); // as the kernel closes what a killed program had
  }

  /** Opens it as a program does that knows nothing of offloads. */
  function openElsewhere(): number {
    const fd = c.open('/dev/net/tun', LINUX.O_RDWR | LINUX.O_NONBLOCK | LINUX.O_CLOEXEC);
    c.scratch.bytes.fill(0, 0, 40);
    c.scratch.bytes.write(NAME, 0, 'latin1');
    c.scratch.view.setUint16(16, LINUX.IFF_TUN | LINUX.IFF_NO_PI, true);
    assert.equal(c.ioctl(fd, LINUX.TUNSETIFF, c.scratch.address(0)), 0);
    return fd;
  }

  const read = (fd: number) => c.read(fd, c.scratch.address(0), 1500);

  /** What is wrong with the checksum of a datagram that the kernel gives to whoever has opened the TUN. */
  async function faultOf(fd: number, socket: Socket): Promise<string | undefined> {
    try {
      // The kernel takes a moment to see that somebody has opened it, and drops what is sent before.
      for (;;) {
        await new Promise<void>((resolve, reject) => socket.send('x', 7, '10.9.0.2', (error) => (error ? reject(error) : resolve())));
        for (let length = read(fd); length > 0; length = read(fd)) {
          const packet = Buffer.from(c.scratch.bytes.subarray(0, length));
          if (packet[0] === 0x45 && packet[9] === 17) return checksumFault(packet);
        }
        await setImmediate();
      }
    } finally {
      closeTun(c, [fd]);
    }
  }

  it('gives the next program packets as they are on a wire, after a recovery or if that program is ours', {
    timeout: HANG_LIMIT,
  }, async () => {
    ip(`tuntap add ${NAME} mode tun`);
    ip(`addr add 10.9.0.1/24 dev ${NAME}`);
    ip(`link set ${NAME} up`);
    const socket = createSocket('udp4');
    await new Promise<void>((resolve) => socket.bind(0, '10.9.0.1', resolve));
    socket.unref(); // where a check fails
    die();
    assert.notEqual(await faultOf(openElsewhere(), socket), undefined, 'checksums were left to the dead program');
    resetTun(c, NAME);
    assert.equal(await faultOf(openElsewhere(), socket), undefined);
    die();
    assert.equal(await faultOf(openTun(c, NAME).fd, socket), undefined);
    socket.close();
  });

  it('is left alone where it is none, is in use, or is not there', () => {
    resetTun(c, 'lo');
    resetTun(c, 'tunl');
    assert.ok(!existsSync('/sys/class/net/tunl'));
    const used = openTun(c, 'tunl', { hasHeader: true, hasUdp: true });
    resetTun(c, 'tunl');
    closeTun(c, [used.fd]);
  });
});
