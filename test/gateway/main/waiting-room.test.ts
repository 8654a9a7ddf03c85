import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { MAX_WAITING, MAX_WAITING_OF_ADDRESS, WaitingRoom } from '../../../src/gateway/main/waiting-room.ts';
import { ip } from '../auth/auth-scene.ts';

function full(address: string | undefined, count: number, room: WaitingRoom = new WaitingRoom()): WaitingRoom {
  for (let i = 0; i < count; i++) room.enter(room.size + 1, address === undefined ? undefined : ip(address));
  return room;
}

describe('connections that wait', () => {
  it('are refused beyond the share of an address, and taken from others', () => {
    const room = full('192.0.2.1', MAX_WAITING_OF_ADDRESS);
    assert.equal(room.hasRoom(ip('192.0.2.1')), false);
    assert.equal(room.hasRoom(ip('192.0.2.2')), true);
  });

  it('share what is an IPv6 client’s: a /64', () => {
    const room = full('2001:db8::1', MAX_WAITING_OF_ADDRESS);
    assert.equal(room.hasRoom(ip('2001:db8::2')), false);
    assert.equal(room.hasRoom(ip('2001:db8:0:1::2')), true);
  });

  it('are refused when all together are too many, wherever they come from', () => {
    const room = full(undefined, MAX_WAITING);
    assert.equal(room.hasRoom(ip('192.0.2.1')), false);
    assert.equal(room.hasRoom(undefined), false);
  });

  it('make room when they leave or get a tunnel, once each', () => {
    const room = full('192.0.2.1', MAX_WAITING_OF_ADDRESS);
    room.leave(1);
    room.leave(1);
    assert.equal(room.hasRoom(ip('192.0.2.1')), true);
    room.enter(1, ip('192.0.2.1'));
    assert.equal(room.hasRoom(ip('192.0.2.1')), false);
  });

  it('count for the address that a proxy tells later', () => {
    const room = new WaitingRoom();
    room.enter(1, undefined);
    room.enter(1, ip('192.0.2.1'));
    assert.equal(room.size, 1);
    full('192.0.2.1', MAX_WAITING_OF_ADDRESS - 1, room);
    assert.equal(room.hasRoom(ip('192.0.2.1')), false);
  });
});
