import assert from 'node:assert/strict';
import { createSocket } from 'node:dgram';
import { once } from 'node:events';
import { closeSync, readSync, writeSync } from 'node:fs';
import { describe, it } from 'node:test';
import fc from 'fast-check';
import { MisuseError, NetworkError, type SallyportError } from '../../../src/core/errors.ts';
import { parseIp } from '../../../src/core/wire/ip-address.ts';
import { Arena } from '../../../src/node/ffi/arena.ts';
import { EBADFD, ERRNO, errnoName, networkError, systemError } from '../../../src/node/ffi/errno.ts';
import { LINUX, libc } from '../../../src/node/ffi/libc.ts';
import { openSocketPair, openUdpSocket, readSockaddr, setTypeOfService, writeSockaddr } from '../../../src/node/ffi/sockets.ts';
import { checkInterfaceName } from '../../../src/node/interface-name.ts';

const skip = process.platform === 'linux' ? false : 'system calls are bound on Linux only';

function endpoint(address: string, port: number) {
  const parsed = parseIp(address);
  assert.ok(parsed);
  return { address: parsed, port };
}

describe('arena', { skip }, () => {
  it('hands out zeroed, aligned room that does not overlap, until it is full', () => {
    const arena = new Arena(65_536);
    const first = arena.allocate(5);
    const second = arena.allocate(100);
    assert.equal(first % 16, 0);
    assert.equal(second % 16, 0);
    assert.ok(second >= first + 5);
    assert.equal(arena.address(second) - arena.address(first), second - first);
    assert.ok(arena.bytes.subarray(first, second + 100).every((byte) => byte === 0));
    assert.throws(() => arena.allocate(arena.bytes.length - second - 112), MisuseError);
    assert.equal(arena.allocate(16), second + 112, 'a refusal takes nothing');
  });
});

describe('system calls', { skip }, () => {
  const c = libc('the tests');
  const arena = new Arena(65_536);
  const room = arena.allocate(1024);

  it('read and write by address', () => {
    const { ours, theirs } = openSocketPair(c);
    try {
      arena.bytes.write('to the program', room);
      assert.equal(c.write(ours, arena.address(room), 14), 14);
      const got = Buffer.alloc(100);
      assert.equal(got.toString('latin1', 0, readSync(theirs, got)), 'to the program');
      writeSync(theirs, 'and back');
      assert.equal(c.read(ours, arena.address(room + 512), 100), 8);
      assert.equal(arena.bytes.toString('latin1', room + 512, room + 520), 'and back');
    } finally {
      closeSync(ours);
      closeSync(theirs);
    }
  });

  it('keep our end of a socket pair from blocking, and say so by errno', () => {
    const { ours, theirs } = openSocketPair(c);
    assert.equal(c.read(ours, arena.address(room), 100), -1);
    assert.equal(c.errno(), ERRNO.EAGAIN);
    closeSync(theirs);
    assert.equal(c.write(ours, arena.address(room), 10), -1);
    assert.equal(c.errno(), ERRNO.ECONNREFUSED, 'and no SIGPIPE');
    closeSync(ours);
  });

  it('wake a poll through an eventfd', () => {
    const fd = c.eventfd(0, LINUX.EFD_NONBLOCK | LINUX.EFD_CLOEXEC);
    arena.view.setInt32(room, fd, true);
    arena.view.setInt16(room + 4, LINUX.POLLIN, true);
    assert.equal(c.poll(arena.address(room), 1, 0), 0);
    writeSync(fd, Uint8Array.of(1, 0, 0, 0, 0, 0, 0, 0));
    assert.equal(c.poll(arena.address(room), 1, 0), 1);
    assert.equal(arena.view.getInt16(room + 6, true), LINUX.POLLIN);
    assert.equal(c.close(fd), 0);
    assert.equal(c.close(fd), -1);
    assert.equal(c.errno(), ERRNO.EBADF);
  });

  it('know interfaces by name', () => {
    assert.ok(c.ifNameToIndex('lo') > 0);
    assert.equal(c.ifNameToIndex('no-such-if'), 0);
  });

  it('open files, and report the one that is not there', () => {
    assert.equal(c.open('/no/such/file', LINUX.O_RDWR), -1);
    assert.equal(c.errno(), ERRNO.ENOENT);
  });
});

describe('connected UDP socket', { skip }, () => {
  const c = libc('the tests');
  const arena = new Arena(65_536);

  for (const [family, address, level, option] of [
    ['udp4', '127.0.0.1', LINUX.IPPROTO_IP, LINUX.IP_MTU_DISCOVER],
    ['udp6', '::1', LINUX.IPPROTO_IPV6, LINUX.IPV6_MTU_DISCOVER],
  ] as const) {
    it(`talks ${family} with don't-fragment set, and knows its local end and the path's MTU`, async () => {
      const peer = createSocket(family);
      await new Promise<void>((resolve) => peer.bind(0, address, resolve));
      const socket = openUdpSocket(c, { remote: endpoint(address, peer.address().port) });
      try {
        assert.deepEqual(socket.local.address, endpoint(address, 0).address);
        assert.ok(socket.local.port > 0);
        assert.ok((socket.pathMtu ?? 0) >= 65_535, 'of loopback');
        arena.view.setInt32(16, 4, true);
        assert.equal(c.getsockopt(socket.fd, level, option, arena.address(0), arena.address(16)), 0);
        assert.equal(arena.view.getInt32(0, true), LINUX.PMTUDISC_PROBE);
        assert.equal(setTypeOfService(c, socket.fd, family === 'udp4' ? 4 : 6, 0xb8), 0);
        arena.bytes.write('hello');
        const arrived = once(peer, 'message');
        assert.equal(c.send(socket.fd, arena.address(0), 5, 0), 5);
        const [message, from] = await arrived;
        assert.equal(String(message), 'hello');
        assert.equal(from.port, socket.local.port);
      } finally {
        c.close(socket.fd);
        peer.close();
      }
    });
  }

  it('takes the local port that is asked for, and says so when it is taken', () => {
    const first = openUdpSocket(c, { remote: endpoint('127.0.0.1', 9) });
    try {
      const { port } = first.local;
      assert.throws(
        () => openUdpSocket(c, { remote: endpoint('127.0.0.1', 9), localPort: port }),
        (error: SallyportError) => error.code === 'EADDRINUSE' && error.message.includes(`local port ${port}`),
      );
      c.close(first.fd);
      const second = openUdpSocket(c, { remote: endpoint('127.0.0.1', 9), localPort: port });
      c.close(second.fd);
      assert.equal(second.local.port, port);
    } finally {
      c.close(first.fd);
    }
  });
});

describe('socket addresses', { skip }, () => {
  it('read back whatever they write, with their lengths', () => {
    const arena = new Arena(65_536);
    const bytes = fc.oneof(fc.uint8Array({ minLength: 4, maxLength: 4 }), fc.uint8Array({ minLength: 16, maxLength: 16 }));
    fc.assert(
      fc.property(bytes, fc.nat({ max: 65_535 }), (address, port) => {
        const value = { address: { family: address.length === 4 ? 4 : 6, bytes: address } as const, port };
        assert.equal(writeSockaddr(arena, 64, value), address.length === 4 ? 16 : 28);
        assert.deepEqual(readSockaddr(arena, 64), value);
      }),
    );
  });
});

describe('error numbers', () => {
  it('become errors with the name as code and the name in the sentence', () => {
    const error = systemError('reading tun0', ERRNO.EIO);
    assert.equal(error.code, 'EIO');
    assert.equal(error.message, 'reading tun0: i/o error (EIO)');
    assert.ok(!(error instanceof NetworkError));
  });

  it('blame the network where it is to blame', () => {
    assert.ok(networkError('UDP', ERRNO.ECONNREFUSED) instanceof NetworkError);
    assert.equal(networkError('UDP', ERRNO.ECONNREFUSED).code, 'ECONNREFUSED');
    assert.ok(!(networkError('UDP', ERRNO.EINVAL) instanceof NetworkError));
  });

  it('have a name even where Node knows none', () => {
    assert.equal(errnoName(EBADFD), 'EBADFD');
    assert.equal(systemError('tun0', EBADFD).message, 'tun0: the device is gone (EBADFD)');
    assert.equal(errnoName(2999), 'errno 2999');
  });
});

describe('interface names', () => {
  it('are what the kernel takes', () => {
    for (const name of ['tun0', 'vpn-home', 'a', 'x'.repeat(15), 'wg.5_x']) checkInterfaceName(name);
    for (const name of ['', '.', '..', 'x'.repeat(16), 'a b', 'a/b', 'eth0:1', 'tun%d', 'tun\0', 'büro', 'a\nb']) {
      assert.throws(() => checkInterfaceName(name), MisuseError, JSON.stringify(name));
    }
  });

  it('are refused with nothing but MisuseError, whatever they are', () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 20 }), (bytes) => {
        const name = Buffer.from(bytes).toString('latin1');
        try {
          checkInterfaceName(name);
          assert.match(name, /^[!-~]{1,15}$/);
        } catch (error) {
          assert.ok(error instanceof MisuseError);
        }
      }),
    );
  });
});
